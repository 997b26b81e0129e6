# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""In the place of any module that works on a host: it writes down that it was called, and answers with what stands beside the host's machine.

``memmap.json``: the fact ``memmap``. ``calls.jsonl``: of each call the module and how many entries its longest list has.
"""
from __future__ import annotations

import json
import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Takes what the module takes, without looking at it."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        directory = self._templar.template(task_vars["simulated_directory"])
        name = self._task.action.rpartition(".")[2]
        entries = max([len(value) for value in self._task.args.values() if isinstance(value, list)], default=0)
        with open(os.path.join(directory, "calls.jsonl"), "a", encoding="utf-8") as stream:
            stream.write(json.dumps([name, entries]) + "\n")
        result["changed"] = name != "memmap_facts"
        if name == "memmap_facts":
            with open(os.path.join(directory, "memmap.json"), encoding="utf-8") as stream:
                result["ansible_facts"] = {"memmap": json.load(stream)}
        return result
