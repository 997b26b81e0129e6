# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one domain error of the collection."""
from __future__ import annotations

import errno


class TestbedError(Exception):
    """Something a user has to know: what was tried, what answered, what to do.

    ``summary`` is one line that stands alone. ``details`` is a list of further
    lines (output of a tool, a log's tail). ``remedy`` says what the user can do. ``changed``: something is no longer as it was.
    ``lasting``: no waiting helps, because it lies in the kernel, its boot parameters or what was asked for.
    ``any_kernel``: it holds whichever kernel runs, because it lies in data that would be lost or memory that is not there.
    """

    __test__ = False  # pytest collects classes called Test*

    def __init__(self, summary, details=(), remedy=None, lasting=False, any_kernel=False):
        super(TestbedError, self).__init__(summary)
        self.summary = summary
        self.details = [str(line) for line in details]
        self.remedy = remedy
        self.changed = False
        self.lasting = lasting
        self.any_kernel = any_kernel

    def __str__(self):
        lines = [self.summary if self.remedy is None else "%s: %s" % (self.summary.rstrip("."), self.remedy)]
        lines += self.details
        return "\n".join(lines)

    def fail_arguments(self):
        """Keyword arguments for ``AnsibleModule.fail_json``: the only translation of this error there is."""
        found = {"msg": str(self), "summary": self.summary, "details": self.details, "remedy": self.remedy, "changed": self.changed}
        return dict(found, any_kernel=True) if self.any_kernel else found


def errno_name(number):
    """``16`` -> ``EBUSY``: the name a reader of kernel sources knows; unknown numbers stay numbers."""
    return errno.errorcode.get(number, "errno %s" % number)
