# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel-wide policies held back for the length of a step, and put back whatever happens.

``drivers_autoprobe`` of the dax bus decides whether a new device is bound by itself; ``auto_online_blocks`` whether new
memory goes online by itself. Both belong to the whole machine, so they are changed for as short as can be. What they
were is noted in a file first: a run that was killed outright is put right by the next one.
"""
from __future__ import annotations

import contextlib
import json
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import lock, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

AUTOPROBE = "/sys/bus/dax/drivers_autoprobe"
AUTO_ONLINE = "/sys/devices/system/memory/auto_online_blocks"
NOTES = lock.DIRECTORY + "/held.json"
DISABLED = "disabled"  # what a region or namespace is held at, see :mod:`disabled`
_CAN_BE_DISABLED = re.compile(r"/sys/bus/(nd|cxl)/devices/(region[0-9]+|namespace[0-9]+\.[0-9]+)")
# Where the name of a device is written that a driver is not to take by name any more: what was put on its list for a moment is noted, too.
_REMOVE_ID = re.compile("/sys/bus/dax/drivers/(kmem|device_dax)/remove_id")


def autoprobe_off(host):
    """No dax device is bound unless we bind it."""
    return held(host, AUTOPROBE, "0")


def auto_online_off(host):
    """No new memory block goes online unless we put it online."""
    return held(host, AUTO_ONLINE, "offline")


@contextlib.contextmanager
def held(host, path, value):
    """Keep ``path`` at ``value``; yields what it was. Only under :func:`lock.exclusive`.

    Raises :class:`TestbedError` at the end when somebody else changed it meanwhile: theirs is kept.
    """
    if not host.exists(path):
        raise TestbedError("this kernel has no %s" % path, remedy="it needs memory hot-plug and dax support")
    before = host.read(path)
    if before == value:
        yield before
        _refuse_changed(path, host.read(path), value)
        return
    note(host, path, before, value)
    try:
        _write(host, path, value)
        yield before
    finally:
        with signals.deferred():
            found = host.read(path)
            if found == value:
                _write(host, path, before)
            note(host, path, None, None)
    _refuse_changed(path, found, value)


def _refuse_changed(path, found, value):
    if found != value:
        raise TestbedError("%s was set to %s by someone else while it had to stay at %s" % (path, found, value),
                           remedy="find what sets it (a service, another tool), stop that, and run again")


def restore_leftovers(host):
    """Undo the holds of a run that was killed; returns lines saying what was put back."""
    done = []
    for path, (before, value) in _notes(host).items():
        if value == DISABLED:
            continue
        if _REMOVE_ID.fullmatch(path):
            if host.exists(path):
                _write(host, path, before)
                done.append("%s is not taken by name any more (%s), as a run that was killed had left it" % (before, path))
        elif host.read_optional(path) == value:
            _write(host, path, before)
            done.append("%s put back to %s, left at %s by a run that was killed" % (path, before, value))
        note(host, path, None, None)
    return done


def disabled(host):
    """``{place: identity}`` of what is noted as disabled, see :mod:`disabled`."""
    return {path: before for path, (before, value) in _notes(host).items() if value == DISABLED}


def _write(host, path, value):
    try:
        host.write(path, value)
    except OSError as exc:
        raise TestbedError("cannot set %s to %s (%s)" % (path, value, errno_name(exc.errno)))


def _notes(host):
    text = host.read_optional(NOTES)
    try:
        notes = json.loads(text or "{}")
        return {path: (before, value) for path, (before, value) in notes.items()
                if path in (AUTOPROBE, AUTO_ONLINE) or _REMOVE_ID.fullmatch(path) and re.fullmatch(r"dax[0-9]+\.[0-9]+", before)
                or _CAN_BE_DISABLED.fullmatch(path) and value == DISABLED}
    except (ValueError, AttributeError, TypeError):
        return {}


def note(host, path, before, value):
    """Note that ``path`` is held at ``value`` and was ``before``, or with ``None`` that it is not held any more. Raises :class:`TestbedError`."""
    notes = _notes(host)
    notes.pop(path, None)
    if value is not None:
        notes[path] = (before, value)
    place = host.path(NOTES)
    if not notes:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place)
        return
    try:
        with open(place + ".new", "w", encoding="ascii") as stream:
            json.dump(notes, stream)
        os.replace(place + ".new", place)
    except OSError as exc:
        raise TestbedError("cannot write %s (%s)" % (NOTES, errno_name(exc.errno)))
