# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A benchmark's figures beside their limits; one that is above its limit makes the benchmark end with exit code 1."""
from __future__ import annotations


class Limits:
    """Prints each figure with its limit, and remembers the broken ones."""

    def __init__(self):
        self.broken = []

    def at_most(self, limit, figure, what, form="%.2f"):
        """:arg what: the line up to the figure. :arg form: of figure and limit alike, with its unit."""
        print("%s %s (at most %s)%s" % (what, form % figure, (form % limit).strip(), "" if figure <= limit else ": too much"), flush=True)
        if not figure <= limit:
            self.broken.append(what)

    def exit_code(self):
        return 1 if self.broken else 0
