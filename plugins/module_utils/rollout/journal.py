# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal of a rollout: JSON lines, one file for the rollout and one for each host, on the controller.

A line is one write(2) to the end of its file and on the disk before the call returns, so that a controller that dies loses at most the line it was
writing. A line without its newline is such a one: it is left out, and cut off before the next is written.
"""
from __future__ import annotations

import json
import os
import re
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

ROLLOUT = "rollout.jsonl"
HOSTS = "hosts"

# What an entry has to have beside its event for others to read it.
_NEEDED = {"begun": {"step": str}, "snapshot": {"before": object}, "planned": {"name": str, "id": str, "what": dict}, "run": {"run": int},
           "wave_closed": {"run": int, "wave": int, "passed": bool}}


class Journal:
    """The files below one directory."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, host=None):
        """The host's file, or the rollout's own."""
        return os.path.join(self.directory, ROLLOUT) if host is None else os.path.join(self.directory, HOSTS, _file_name(host))

    def read(self, host=None):
        """The entries of one file, a list of dictionaries; empty where there is no file. Raises :class:`TestbedError` naming a damaged line."""
        return _read(self.path(host))[0]

    def torn(self):
        """Names of the files whose last line was cut off."""
        return sorted(os.path.basename(path) for path in self._files() if _read(path)[1])

    def read_hosts(self):
        """Host name -> its entries, of all hosts that have any."""
        found = {}
        for path in self._files():
            entries = _read(path)[0] if os.path.basename(os.path.dirname(path)) == HOSTS else []
            for entry in entries:
                if _file_name(entry["host"]) != os.path.basename(path):
                    raise TestbedError("the journal %s holds an entry of host %s" % (path, entry["host"]), remedy="put it back from a copy")
            if entries:
                found[entries[0]["host"]] = entries
        return found

    def append(self, event, host=None, **data):
        """Add an entry, with the time. On the disk when this returns. Raises :class:`TestbedError` with the errno's name."""
        entry = dict({"event": event, "time": round(time.time(), 3)}, **data)
        if host is not None:
            entry["host"] = host
        path = self.path(host)
        try:
            _append(path, json.dumps(entry, sort_keys=True) + "\n")
        except OSError as exc:
            raise TestbedError("cannot write the journal %s (%s)" % (path, errno_name(exc.errno)), remedy="nothing is done that is not in the journal")
        return entry

    def _files(self):
        names = []
        directory = os.path.join(self.directory, HOSTS)
        try:
            with os.scandir(directory) as entries:
                names = [entry.path for entry in entries if entry.name.endswith(".jsonl")]
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise TestbedError("cannot read the journal %s (%s)" % (directory, errno_name(exc.errno)))
        return sorted(names) + [self.path()]


def _file_name(host):
    """A file's name that no other host has: an inventory's names may hold slashes."""
    return re.sub(r"[^A-Za-z0-9._-]|^\.", lambda match: "%%%02x" % ord(match.group()), host) + ".jsonl"


def _read(path):
    """Entries, and whether the last line was cut off."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        return [], False
    except OSError as exc:
        raise TestbedError("cannot read the journal %s (%s)" % (path, errno_name(exc.errno)))
    whole, newline, rest = content.rpartition(b"\n")
    entries = []
    for number, line in enumerate(whole.split(b"\n") if newline else [], 1):
        try:
            entry = json.loads(line.decode("utf-8"))
            _check(entry, os.path.basename(os.path.dirname(path)) == HOSTS)
        except (ValueError, RecursionError):
            raise TestbedError("line %d of the journal %s is damaged: %.60r" % (number, path, line.decode("utf-8", "replace")),
                               remedy="put it back from a copy; what it said of the hosts cannot be guessed")
        entries.append(entry)
    return entries, bool(rest)


def _check(entry, of_host):
    """Raises :class:`ValueError` for what is no entry, or lacks what its event needs."""
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        raise ValueError("not an entry")
    needed = dict(_NEEDED.get(entry["event"], {}), **({"host": str} if of_host else {}))
    if not all(key in entry and isinstance(entry[key], kind) for key, kind in needed.items()):
        raise ValueError("an entry without what belongs to it")
    if entry["event"] == "planned" and not _are_waves(entry["what"].get("waves")):
        raise ValueError("a plan without waves")


def _are_waves(value):
    return isinstance(value, list) and all(isinstance(wave, list) and all(isinstance(host, str) for host in wave) for wave in value)


def _append(path, line):
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    new = not os.path.exists(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        _cut_torn(descriptor)
        data = line.encode("utf-8")
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "short write")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        _sync_directory(directory)


def _cut_torn(descriptor):
    """End the file after its last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    end = os.pread(descriptor, size, 0).rfind(b"\n") + 1
    os.ftruncate(descriptor, end)


def _sync_directory(directory):
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
