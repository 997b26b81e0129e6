# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_shards, on the controller."""
from __future__ import annotations

import os

from ansible.plugins.action import ActionBase

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import shards
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal


class ActionModule(ActionBase):
    """See the module of this name for what it takes and returns."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("directory", "run", "wave", "hosts", "workers", "reboots", "environment"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        asked = plain(self._task.args)
        journal, workers, hosts = Journal(asked["directory"]), asked["workers"], asked["hosts"]
        try:
            cut = shards.cut(hosts, len(workers), int(asked["reboots"]))
            values = {host: shards.variables(plain(task_vars["hostvars"][host])) for host in hosts}
            extra = {"rollout_run": int(asked["run"]), "rollout_reboots": int(asked["reboots"]) // len(cut), "rollout_workers": []}
            running = []
            try:
                for number, names in enumerate(cut):
                    ident = "%d-%d-%d" % (int(asked["run"]), int(asked["wave"]), number)
                    directory = os.path.join(journal.directory, "shards", ident)
                    shards.prepare(directory, names, values, journal, extra, asked["environment"])
                    # This process is one of them: it goes on taking entries over when the run is lost.
                    shards.note(directory, [os.getpid()])
                    processes = shards.start(directory, workers[number]["command"], ident)
                    shards.note(directory, [os.getpid()] + [process.pid for process in processes])
                    running.append((directory, processes))
            finally:
                ended = [(directory, [process.wait() for process in processes]) for directory, processes in running]
            result["shards"] = []
            for names, (directory, codes) in zip(cut, ended):
                merged = shards.merge(directory, journal)
                shards.ended(directory)
                result["shards"].append({"hosts": names, "codes": codes, "entries": merged, "log": os.path.join(directory, "log")})
            result["changed"] = True
        except TestbedError as exc:
            result.update(exc.fail_arguments(), failed=True)
        return result
