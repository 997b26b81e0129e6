# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_journal, on the controller."""
from __future__ import annotations

import os

from ansible.plugins.action import ActionBase

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import lock, states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal


class ActionModule(ActionBase):
    """See the module of this name for what it takes and returns."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("directory", "host", "event", "run", "data"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        asked = plain(self._task.args)
        journal, host = Journal(asked["directory"]), asked.get("host") or None
        try:
            if asked.get("event"):
                result["entry"] = journal.append(asked["event"], host, run=int(asked["run"]), **asked.get("data") or {})
                result["changed"] = True
                if asked["event"] == "finished":
                    lock.release(journal.directory, os.getppid())
                return result
            entries = journal.read(host)
        except TestbedError as exc:
            result.update(exc.fail_arguments(), failed=True)
            return result
        result.update(state=states.state(entries), step=states.step(entries), before=states.before(entries), in_service=states.in_service(entries),
                      changed=False)
        return result
