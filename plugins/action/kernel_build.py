# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's part of kernel_build: shows how far the builder is, and brings the packages here."""
from __future__ import annotations

import base64
import json
import os
import shlex
import tempfile
import threading
import time

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import artifact
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.progress import sentence

# Seconds between two looks at the builder's progress.
LOOK = 2.0
# A line is shown when this share of the objects is done, and at the latest after this many seconds.
SHARE = 0.05
LATEST = 60


class ActionModule(ActionBase):
    """Runs the module and looks at its progress file beside it."""

    TRANSFERS_FILES = True

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments.setdefault("progress", self._connection._shell.join_path(self._connection._shell.tmpdir, "progress.json"))
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(arguments["progress"], task_vars["inventory_hostname"], ended), daemon=True)
        watcher.start()
        try:
            result = self._execute_module(module_args=arguments, task_vars=task_vars)
            if result.get("artifact") and not result.get("failed") and not self._task.check_mode and self._connection.transport != "local":
                result["artifact"] = self._bring(result["artifact"], result["manifest"], task_vars)
        finally:
            ended.set()
            watcher.join()
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _watch(self, path, name, ended):
        """Show a line when a stage begins, when another part of the objects is done, and now and then."""
        shown, when = None, 0.0
        while not ended.wait(LOOK):
            state = self._look(path)
            if state is None:
                continue
            part = int(state["done"] / max(state["of"], 1) / SHARE)
            if shown != (state["stage"], part) or time.monotonic() - when > LATEST:
                shown, when = (state["stage"], part), time.monotonic()
                Display().display("%s: %s" % (name, sentence(state)))

    def _look(self, path):
        try:
            if self._connection.transport == "local":
                with open(path, encoding="utf-8") as stream:
                    return json.load(stream)
            return json.loads(self._low_level_execute_command("cat %s" % shlex.quote(path))["stdout"])
        except (OSError, ValueError, AnsibleError):
            return None  # the builder is asked again, and the module itself says what is wrong

    def _bring(self, found, manifest, task_vars):
        """The artifact as the controller has it, fetched from the builder unless it is here."""
        place = artifact.directory(found["key"])
        known = artifact.manifest(found["key"])
        if known is None:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=os.path.dirname(place)) as work:
                stage = os.path.join(work, "artifact")
                os.mkdir(stage)
                for name, wanted in manifest["artifacts"].items():
                    self._fetch(os.path.join(found["directory"], name), os.path.join(stage, name), task_vars)
                    if artifact.described(os.path.join(stage, name)) != wanted:
                        raise AnsibleActionFail("%s did not come from the builder as it is there" % name)
                with open(os.path.join(stage, "manifest.json"), "w", encoding="utf-8") as stream:
                    json.dump(manifest, stream, indent=1, sort_keys=True)
                # one that is damaged is there, too
                directories.remove(place)
                os.rename(stage, place)
        return artifact.answer(found["key"], manifest)

    def _fetch(self, source, target, task_vars):
        """One file of the builder's. What lies in the directory of a user that the task has become, the connection's own user may not read."""
        if self._connection.become is None:
            self._connection.fetch_file(source, target)
            return
        read = self._execute_module("ansible.builtin.slurp", {"src": source}, task_vars=task_vars)
        if read.get("failed"):
            raise AnsibleActionFail("cannot read %s on the builder: %s" % (source, read.get("msg")))
        with open(target, "wb") as stream:
            stream.write(base64.b64decode(read["content"]))
