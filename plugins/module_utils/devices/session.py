# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module that changes memory devices does first: be root, be alone, be able to put things back."""
from __future__ import annotations

import contextlib
import os

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import hold as at_boot
from ansible_collections.memlab.testbed.plugins.module_utils.devices import disabled, holds, lock, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


@contextlib.contextmanager
def changing(host, check_mode=False, timeout=120.0):
    """Yields lines about what an earlier run, or the boot service, had left and was put right. Nothing is locked or changed in check mode."""
    if host.live and os.geteuid() != 0:
        raise TestbedError("only root can read and change this", remedy="use become: true")
    if check_mode:
        yield []
        return
    with signals.as_errors(), lock.exclusive(host, timeout):
        yield holds.restore_leftovers(host) + disabled.restore_leftovers(host) + at_boot.end_abandoned(host)


def put_back(host, undo, failure, *holding):
    """``undo`` under the holds that its steps were taken under, anew: that somebody else set what was held may be the failure.

    :arg holding: functions of the host that return a hold, see :mod:`holds`.
    """
    if not undo:
        return
    with contextlib.suppress(signals.Interrupt), signals.deferred():  # as in Undo.into
        try:
            with contextlib.ExitStack() as held:
                for hold in holding:
                    held.enter_context(hold(host))
                undo.into(failure)
        except TestbedError as exc:
            failure.details.append(exc.summary)
            failure.changed = failure.changed or bool(undo)


class Undo(object):
    """Steps back, run in reverse order when a later step fails."""

    def __init__(self):
        self._steps = []

    def add(self, what, action, *arguments):
        self._steps.append((what, action, arguments))

    def __bool__(self):
        return bool(self._steps)

    def into(self, failure):
        """Undo all of it; what was undone, and what could not be, is added to the failure's details, and what stays makes it ``changed``."""
        with contextlib.suppress(signals.Interrupt), signals.deferred():  # one that came meanwhile: the failure ends the run, too
            while self._steps:
                what, action, arguments = self._steps.pop()
                try:
                    action(*arguments)
                    failure.details.append("undone: %s" % what)
                except TestbedError as exc:
                    failure.details.append("could not undo: %s: %s" % (what, exc.summary))
                    failure.changed = True
