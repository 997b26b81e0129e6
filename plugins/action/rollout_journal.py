# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_journal, on the controller."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import kernel, lock, states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.modules import rollout_journal
from ansible_collections.memlab.testbed.plugins.plugin_utils.controller_action import ControllerAction


class ActionModule(ControllerAction):
    """See the module of this name for what it takes and returns."""

    DOCUMENTATION = rollout_journal.DOCUMENTATION
    _supports_check_mode = False

    def act(self, asked, task_vars):
        journal, host = Journal(asked["directory"]), asked["host"] or None
        if asked["event"]:
            if asked["run"] is None:
                raise TestbedError("an entry of the journal needs the number of its run")
            data = dict(asked["data"] or {})
            if asked["event"] == "done":
                data["kernel"] = kernel.identity(asked["kernel_packages"], asked["kernel_key"])
            entry = journal.append(asked["event"], host, run=asked["run"], **data)
            if asked["event"] == "finished":
                lock.release(journal.directory, os.getppid())
            return {"entry": entry, "changed": True}
        entries = journal.read(host)
        return {"state": states.state(entries), "step": states.step(entries), "before": states.before(entries), "in_service": states.in_service(entries),
                "done": states.done(entries), "changed": False}
