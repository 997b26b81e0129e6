# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Callback: a rollout's progress."""
from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
type: notification
short_description: One line for each host and wave of a rollout, and a summary as JSON
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Prints a line when a host has ended and when a wave has, with an estimate of what is left, and a summary as JSON at the end.
  - Says nothing in playbooks that are no rollout. The hosts of other controllers are told when these have ended their wave.
  - Name it in C(callbacks_enabled) beside another callback's output, or in C(stdout_callback) for this, the plan and errors only.
options:
  summary:
    description: File that gets the summary, too.
    type: path
    env:
      - name: MEMLAB_ROLLOUT_SUMMARY
    ini:
      - section: callback_rollout
        key: summary
"""

import json
import time

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.keys import write_atomically
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.progress import Progress

PREFIX = "memlab.testbed.rollout_"


class CallbackModule(CallbackBase):
    """Sees the rollout by the results of its own actions."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "memlab.testbed.rollout"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._progress = Progress(time.monotonic)

    def v2_runner_on_ok(self, result):
        action, found = result._task.action, result._result
        if not action.startswith(PREFIX):
            return
        lines = []
        if "plan" in found:
            self._progress.opened(plain(found["plan"]), result._task.args.get("state") == "back")
        elif "verdict" in found and "wave" in found:
            lines = [self._progress.closed(int(found["wave"]), plain(found["verdict"]), str(found["wanted"]))]
        elif "entry" in found and found["entry"].get("host"):
            lines = [self._progress.event(str(found["entry"]["host"]), str(found["entry"]["event"]))]
        elif "journal" in found:
            lines = [self._progress.event(str(entry["host"]), str(entry["event"]), float(entry["time"])) for entry in found["journal"]]
        elif "text" in found and self._is_stdout():
            lines = [str(line) for line in found["text"]]
        for line in filter(None, lines):
            self._display.display("rollout: " + line)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if self._is_stdout() and not ignore_errors:
            self._display.display("rollout: %s: %s" % (result._host.get_name(), str(result._result.get("msg", "")).split("\n", maxsplit=1)[0]))

    def v2_runner_on_unreachable(self, result):
        if self._progress.name is None and not self._is_stdout():
            return
        self._display.display("rollout: %s: unreachable" % result._host.get_name())

    def v2_playbook_on_stats(self, stats):
        summary = self._progress.summary()
        if summary is None:
            return
        self._display.display("rollout: " + json.dumps(summary))
        if self.get_option("summary"):
            write_atomically(self.get_option("summary"), json.dumps(summary, indent=2) + "\n")

    def _is_stdout(self):
        """Whether nobody else prints."""
        return constants.DEFAULT_STDOUT_CALLBACK == self.CALLBACK_NAME
