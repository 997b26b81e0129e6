# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time on a host: a lock that the kernel drops by itself when its holder dies."""
from __future__ import annotations

import contextlib
import fcntl
import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

DIRECTORY = "/run/memlab"  # root's own; the world-writable /run/lock would let any user block us
LOCK = DIRECTORY + "/lock"


@contextlib.contextmanager
def exclusive(host, timeout=120.0):
    """Hold the host's lock. A second run waits for ``timeout`` seconds, then gets a :class:`TestbedError` naming the first one's process."""
    try:
        os.makedirs(host.path(DIRECTORY), mode=0o700, exist_ok=True)
        descriptor = os.open(host.path(LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise TestbedError("cannot open the lock %s (%s)" % (LOCK, errno_name(exc.errno)), remedy="run as root (become: true)")
    try:
        try:
            host.wait_until(lambda: _try(descriptor), "the lock %s" % LOCK, timeout=timeout, interval=0.1)
        except TestbedError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise TestbedError("another run (process %s) is changing this host's memory devices, and %g s of waiting did not see its end" % (owner, timeout),
                               remedy="wait for it, or end it, and run again")
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        except OSError as exc:
            raise TestbedError("cannot write the lock %s (%s)" % (LOCK, errno_name(exc.errno)))
        yield
    finally:
        os.close(descriptor)


def _try(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
