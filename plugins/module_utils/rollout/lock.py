# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One controller's run at a time on one journal.

The holder is the ansible-playbook process, which outlives the workers that its tasks run in; so the lock names that process, by its id and its
start time, and counts for as long as that process is there, or until the run gives it back. On a shared directory another controller's processes cannot
be seen, so what a run there has left that was killed is for people to remove.
"""
from __future__ import annotations

import json
import os
import socket

from ansible_collections.memlab.testbed.plugins.module_utils import process
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import once


def take(directory, pid, what):
    """Take the lock for process ``pid``. Raises :class:`TestbedError` naming another holder that is still there."""
    path, mine = _path(directory), holder(pid)
    for unused in range(3):
        try:
            once.create(path, mine, 0o700)
            return
        except FileExistsError:
            other = _read(path)
        except OSError as exc:
            raise TestbedError("cannot write %s (%s)" % (path, errno_name(exc.errno)))
        if other == mine:
            return
        if other is not None and not is_gone(other):
            raise TestbedError("%s is being worked on by another run (process %s on %s)" % (what, other["pid"], other["controller"]),
                               remedy="wait for it, or end it; where neither that process nor a worker of it is left, remove %s" % path)
        _remove_stale(path, other)
    raise TestbedError("%s is being taken by another run" % what, remedy="run again when that one has ended")


def release(directory, pid):
    """Give the lock back, where process ``pid`` has it. One that cannot be read or removed is for the next run to speak of."""
    path = _path(directory)
    try:
        if _read(path) == holder(pid):
            os.unlink(path)
    except (TestbedError, OSError):
        return


def _path(directory):
    return os.path.join(directory, "lock.json")


def holder(pid):
    """What tells a process from all others, on all controllers and over reboots."""
    return {"pid": pid, "started": process.start_time(pid), "boot": _boot(), "controller": socket.gethostname()}


def is_gone(found):
    """Whether the process that :func:`holder` told of has ended, as far as that can be seen from here."""
    if found["controller"] != socket.gethostname():
        return False  # the directory is shared: its processes cannot be seen from here
    return found["boot"] != _boot() or process.start_time(found["pid"]) != found["started"]


def _read(path):
    try:
        with open(path, encoding="ascii") as stream:
            found = json.load(stream)
        if not isinstance(found, dict) or set(found) != {"pid", "started", "boot", "controller"} or not isinstance(found["pid"], int):
            raise ValueError("not a lock")
        return found
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise TestbedError("cannot read %s (%s)" % (path, errno_name(exc.errno)))
    except (ValueError, RecursionError):
        raise TestbedError("the lock %s is damaged" % path, remedy="remove it, if no run is at work on this journal")


def _remove_stale(path, other):
    """Only the one that was looked at: somebody else may have taken its place meanwhile."""
    aside = "%s.stale.%d" % (path, os.getpid())
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != other:
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
    os.unlink(aside)


def _boot():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()
