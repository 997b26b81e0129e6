# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A process by more than its number: the kernel's start time makes a pid unique for as long as the machine runs."""
from __future__ import annotations

import os
import select
import signal

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def start_time(pid):
    """Clock ticks between boot and the start of a process (field 22 of proc_pid_stat(5)), ``None`` where it does not run (any more)."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid, started):
    """Whether the process that had ``pid`` at start time ``started`` still runs; another one under that number does not count."""
    return started is not None and start_time(pid) == started


def end(pid, started, patience=10.0):
    """End that process: SIGTERM, and SIGKILL after ``patience`` seconds. Raises :class:`TestbedError` when it survives that."""
    if not is_alive(pid, started):
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # Between the look and the descriptor the number could have changed hands.
        if not is_alive(pid, started):
            return
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
            try:
                signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return
            if select.select([descriptor], [], [], seconds)[0]:
                return
    finally:
        os.close(descriptor)
    raise TestbedError("process %d does not end, not even by SIGKILL" % pid)
