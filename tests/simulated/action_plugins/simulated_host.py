# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host that is a directory: its machine is a JSON file, and what goes wrong with it stands beside it.

``machine.json``: release, parameters, blocks (id -> online), and ``log``, every change that was made to it.
``faults.json``: step -> fail, vanish, die (the controller is killed in the middle of the step), or a number of seconds that the step
lasts, which ``lasted.json`` then tells: from when to when.
Each fault comes once, except ``always`` ones (``{"kernel": "fail always"}``).
"""
from __future__ import annotations

import json
import os
import signal
import time

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

CHANGES = ("kernel", "parameters", "devices")


class ActionModule(ActionBase):
    """``step``: what to do; ``directory``: the host; ``before``: for rollback, what a snapshot returned; ``log``: whether the machine remembers it."""

    _VALID_ARGS = frozenset(("step", "directory", "before", "log"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        step, self._directory = self._task.args["step"], self._task.args["directory"]
        fault = self._fault(step)
        if fault == "vanish" or (self._load("faults.json") or {}).get("gone"):
            self._store("faults.json", dict(self._load("faults.json") or {}, gone=True))
            raise AnsibleConnectionFailure("simulated: no route to host")
        if isinstance(fault, (int, float)):
            begun = time.time()
            time.sleep(fault)
            self._store("lasted.json", [begun, time.time()])
        machine = self._load("machine.json")
        if self._task.args.get("log"):
            self._change(machine, step)
        answer = getattr(self, "_" + step, lambda machine, fault: None)(machine, fault) or {}
        if fault == "die":
            self._kill()
        if fault == "fail":
            result.update(failed=True, msg="simulated: %s fails" % step)
        result.update(answer, changed=step in CHANGES)
        return result

    def _survey(self, machine, fault):
        forbids = ["data at risk"] if fault == "refuse" else []
        return {"survey": {"kernel": "6.12.1 -> 6.12.2", "blocks": "8 to be online", "reboots": 1, "forbids": forbids}}

    def _snapshot(self, machine, fault):
        return {"before": {key: machine[key] for key in ("release", "parameters", "blocks")}}

    def _kernel(self, machine, fault):
        self._change(machine, "kernel", release="6.12.2")

    def _parameters(self, machine, fault):
        self._change(machine, "parameters", parameters=machine["parameters"] + ["memory_hotplug.memmap_on_memory=1"])

    def _devices(self, machine, fault):
        """Block by block: a fault leaves half of them."""
        for number in range(8):
            if number == 4 and fault == "die":
                self._kill()
            if number == 4 and fault == "fail":
                return {}
            if machine["blocks"].get(str(number)):
                return {"failed": True, "msg": "simulated: block %d is online already (EINVAL)" % number}
            self._change(machine, "devices" if number == 7 else "block %d" % number, blocks=dict(machine["blocks"], **{str(number): True}))
        return {}

    def _verify(self, machine, fault):
        good = machine["release"] == "6.12.2" and len(machine["blocks"]) == 8 and len(machine["parameters"]) == 2
        return {} if good else {"failed": True, "msg": "simulated: not as declared"}

    def _rollback(self, machine, fault):
        self._change(machine, "rollback", **self._task.args["before"])

    def _change(self, machine, what, **values):
        machine.update(values)
        machine["log"].append(what)
        self._store("machine.json", machine)

    def _fault(self, step):
        faults = self._load("faults.json") or {}
        fault = faults.get(step)
        if isinstance(fault, str) and fault.endswith(" always"):
            return fault.split(" ", maxsplit=1)[0]
        if fault is not None:
            del faults[step]
            self._store("faults.json", faults)
        return fault

    def _kill(self):
        """The controller and this worker of it, as the loss of a machine would."""
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _load(self, name):
        path = os.path.join(self._directory, name)
        if not os.path.exists(path):
            return None
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)

    def _store(self, name, content):
        path = os.path.join(self._directory, name)
        with open(path + ".new", "w", encoding="utf-8") as stream:
            json.dump(content, stream)
        os.replace(path + ".new", path)
