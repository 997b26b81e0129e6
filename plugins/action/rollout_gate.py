# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_gate, on the controller."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import gate, lock, states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.modules import rollout_gate
from ansible_collections.memlab.testbed.plugins.plugin_utils.controller_action import ControllerAction


class ActionModule(ControllerAction):
    """See the module of this name for what it takes and returns."""

    DOCUMENTATION = rollout_gate.DOCUMENTATION
    _supports_check_mode = False

    def act(self, asked, task_vars):
        try:
            result = self._judge(Journal(asked["directory"]), asked)
        except TestbedError:
            lock.release(asked["directory"], os.getppid())
            raise
        if not result.get("passed", True):
            lock.release(asked["directory"], os.getppid())
        return result

    def _judge(self, journal, asked):
        run, wave, hosts = asked["run"], asked["wave"], asked["hosts"]
        closed = {entry["wave"]: entry for entry in journal.read() if entry["event"] == "wave_closed" and entry["run"] == run}
        if asked["state"] == "opened":
            missing = [number for number in range(1, wave) if number not in closed or not closed[number]["passed"]]
            if missing:
                raise TestbedError("wave %d does not start: wave %d did not pass its gate" % (wave, missing[0]))
            # One that was brought back is in service again.
            lost = [host for entry in closed.values() for word in ("failed", "unreachable") for host in entry.get(word, ())]
            gate.refuse_last_of_a_domain(hosts, asked["domains"], lost, wave)
            journal.append("wave_begun", run=run, wave=wave, hosts=len(hosts))
            return {"changed": True, "wave": wave, "hosts": hosts}
        wanted = states.UNDONE if asked["wanted"] == "undone" else states.GOOD
        entries = {host: journal.read(host) for host in hosts}
        if asked["state"] == "ended":
            found = gate.judge(hosts, entries, run, wanted=wanted)
            if not found["passed"]:
                raise TestbedError("%d of %d hosts were not brought back: %s" % (found["bad"], len(hosts), found["message"].partition(": no further")[0]),
                                   remedy="see to them and run the rollback again; they stay claimed for it")
            return {"verdict": found, "passed": True, "message": found["message"], "changed": False}
        # A host that could not be repaired is bad in its wave, too, and is one host.
        earlier = {host for entry in closed.values() for word in gate.BAD for host in entry.get(word, ())}
        found = gate.judge(hosts, entries, run, asked["limit"], len(earlier.difference(hosts)), wanted)
        journal.append("wave_closed", run=run, wave=wave, passed=found["passed"], bad=found["bad"], good=len(found["good"]),
                       good_hosts=found["good"],
                       **{word: found[word] for word in gate.BAD})
        # Ansible gives words like failed and unreachable a meaning of its own, so the verdict is apart.
        return {"verdict": found, "passed": found["passed"], "message": found["message"], "changed": True, "wave": wave, "wanted": asked["wanted"]}
