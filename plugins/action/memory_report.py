# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: memory_report, on the controller."""
from __future__ import annotations

import json
import os

from ansible_collections.memlab.testbed.plugins.module_utils import store
from ansible_collections.memlab.testbed.plugins.module_utils.report import rows, table
from ansible_collections.memlab.testbed.plugins.modules import memory_report
from ansible_collections.memlab.testbed.plugins.plugin_utils.controller_action import ControllerAction


class ActionModule(ControllerAction):
    """See the module of this name for what it takes and returns."""

    DOCUMENTATION = memory_report.DOCUMENTATION

    def act(self, asked, task_vars):
        hostvars = task_vars["hostvars"]
        found = rows.of_hosts(task_vars["ansible_play_hosts"], hostvars, asked["variable"])
        lines, changed, result = table.table(found), False, {}
        if asked["path"]:
            path, content = os.path.abspath(os.path.expanduser(asked["path"])), json.dumps(found, indent=2, sort_keys=True) + "\n"
            changed, before = store.store(path, content, self._task.check_mode, 0o644)
            lines += "\n\nAs JSON: %s" % path
            if self._task.diff and changed:
                result["diff"] = {"before": before, "after": content, "before_header": path, "after_header": path}
        # The table is for people: it is shown without -v, too.
        return dict(result, msg=lines, changed=changed, _ansible_verbose_always=True)
