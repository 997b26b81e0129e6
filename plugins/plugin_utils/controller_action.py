# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Actions that are all there is of their module: they run on the controller, and the module is its documentation."""
from __future__ import annotations

import abc

import yaml
from ansible.plugins.action import ActionBase

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain

_KEYS = ("type", "elements", "choices", "default", "required")


class ControllerAction(ActionBase):
    """``DOCUMENTATION`` is the module's, whose options are checked as any module's are; :meth:`act` does the work."""

    TRANSFERS_FILES = False
    DOCUMENTATION = ""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        asked = plain(self.validate_argument_spec(specification(yaml.safe_load(self.DOCUMENTATION)["options"]))[1])
        try:
            result.update(self.act(asked, task_vars))
        except TestbedError as exc:
            result.update(exc.fail_arguments(), failed=True)
        return result

    @abc.abstractmethod
    def act(self, asked, task_vars):
        """What the task returns. :arg asked: the options, defaults filled in. Raises :class:`TestbedError`."""


def specification(options):
    """The argument specification that documented options stand for."""
    return {name: dict({key: option[key] for key in _KEYS if key in option},
                       **({"options": specification(option["suboptions"])} if "suboptions" in option else {})) for name, option in options.items()}
