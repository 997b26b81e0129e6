# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Locks between runs on one controller. They are the kernel's (flock), so a run that dies leaves none behind."""
from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


@contextlib.contextmanager
def held(path, what, patience=0.0):
    """Hold the lock file ``path`` for the length of a ``with`` block.

    :arg what: what the lock protects, for the message.
    :arg patience: seconds to wait for another run. Raises :class:`TestbedError` naming the holder when they have passed.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                    raise TestbedError("%s is being worked on by another run (process %s)" % (what, holder or "unknown"), remedy="wait for it, or end it")
                time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)
