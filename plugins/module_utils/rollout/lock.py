# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One controller's run at a time on one journal.

The holder is the ansible-playbook process, which outlives the workers that its tasks run in; so the lock names that process, by its id and its
start time, and counts for as long as that process is there.
"""
from __future__ import annotations

import json
import os
import socket

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import once


def take(directory, pid, what):
    """Take the lock for process ``pid``. Raises :class:`TestbedError` naming another holder that is still there."""
    path = os.path.join(directory, "lock.json")
    mine = {"pid": pid, "started": started(pid), "boot": _boot(), "controller": socket.gethostname()}
    for unused in range(3):
        try:
            once.create(path, mine, 0o700)
            return
        except FileExistsError:
            holder = _read(path)
        except OSError as exc:
            raise TestbedError("cannot write %s (%s)" % (path, errno_name(exc.errno)))
        if holder == mine:
            return
        if holder is not None and not _is_gone(holder):
            raise TestbedError("%s is being worked on by another run (process %s on %s)" % (what, holder["pid"], holder["controller"]),
                               remedy="wait for it, or end it")
        _remove_stale(path, holder)
    raise TestbedError("%s is being taken by another run" % what, remedy="run again when that one has ended")


def started(pid):
    """Clock ticks after boot at which a process started, which tell it from a later one with its id; ``None`` where there is none."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def _is_gone(holder):
    if holder.get("controller") != socket.gethostname():
        return False  # the directory is shared: its processes cannot be seen from here
    return holder.get("boot") != _boot() or started(int(holder.get("pid", 0))) != holder.get("started")


def _read(path):
    try:
        with open(path, encoding="ascii") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def _remove_stale(path, holder):
    """Only the one that was looked at: somebody else may have taken its place meanwhile."""
    aside = "%s.stale.%d" % (path, os.getpid())
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != holder:
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
    os.unlink(aside)


def _boot():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()
