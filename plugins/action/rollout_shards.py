# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_shards, on the controller."""
from __future__ import annotations

import os

from ansible.errors import AnsibleError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import lock, shards
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown
from ansible_collections.memlab.testbed.plugins.modules import rollout_shards
from ansible_collections.memlab.testbed.plugins.plugin_utils.controller_action import ControllerAction


class ActionModule(ControllerAction):
    """See the module of this name for what it takes and returns."""

    DOCUMENTATION = rollout_shards.DOCUMENTATION
    _supports_check_mode = False

    def act(self, asked, task_vars):
        try:
            return self._share(asked, task_vars)
        except TestbedError:
            lock.release(asked["directory"], os.getppid())
            raise

    def _share(self, asked, task_vars):
        journal, workers, hosts = Journal(asked["directory"]), asked["workers"], asked["hosts"]
        if hosts and not workers:
            raise TestbedError("workers: there is none")
        if asked["reboots"] < 0:
            raise TestbedError("reboots: %d is not a number of hosts" % asked["reboots"], remedy="0 is for no limit")
        cut = shards.cut(hosts, len(workers), asked["reboots"])
        commands = [worker["command"] for worker, names in zip(workers, cut)]
        shards.check(commands)
        values, left = {}, []
        for host in hosts:
            values[host], names = _resolved(task_vars["hostvars"][host])
            left += ["%s of %s" % (name, host) for name in names]
        warnings = ["variables that do not resolve are not sent to workers: %s" % shown(left)] if left else []
        extra = {"rollout_run": asked["run"], "rollout_reboots": asked["reboots"] // max(len(cut), 1), "rollout_workers": []}
        running = []
        try:
            for number, names in enumerate(cut):
                directory = os.path.join(journal.directory, "shards", "%d-%d-%d" % (asked["run"], asked["wave"], number))
                shards.prepare(directory, names, values, journal, extra, asked["environment"])
                # This process is one of them: it goes on taking entries over when the run is lost.
                shards.note(directory, [os.getpid()])
                processes = shards.start(directory, commands[number], os.path.basename(directory))
                shards.note(directory, [os.getpid()] + [process.pid for process in processes])
                running.append((directory, processes))
        finally:
            ended = [(directory, [process.wait() for process in processes]) for directory, processes in running]
        found, came = [], []
        for names, command, (directory, codes) in zip(cut, commands, ended):
            merged, log = shards.merge(directory, journal), os.path.join(directory, "log")
            shards.ended(directory)
            came += merged
            found.append({"hosts": names, "codes": codes, "entries": len(merged), "log": log})
            if any(codes):
                warnings.append("the worker %s for %s ended with exit code %d (transmit %d, process %d): see %s"
                                % (" ".join(command), shown(names), codes[1], codes[0], codes[2], log))
        return {"shards": found, "journal": came, "warnings": warnings, "changed": bool(found)}


def _resolved(variables):
    """A host's variables for its worker, and the names of those that do not resolve, which need not be used by anything."""
    found, left = {}, []
    for name in shards.variables({str(name): None for name in variables}):
        try:
            found[name] = plain(variables[name])
        except AnsibleError:
            left.append(name)
    return found, left
