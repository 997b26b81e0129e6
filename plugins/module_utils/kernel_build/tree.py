# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The patched source tree. From one set of patches to another only the files that differ are written, so that make(1) sees what changed and no more."""
from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

_PATCHING = re.compile(r"patching file (.*?)(?: \((?:renamed|copied|read) from .*\))?")
# What patch(1) says of a file before it begins with it, and what that means.
_BEFORE = {"can't find file to patch": "the source has no such file", "The next patch would create ": "the file exists already",
           "The next patch would delete ": "the source has no such file", "The next patch would empty ": "the file is empty already"}


class Tree(object):
    """A base's source tree with its patches.

    ``source/`` is the tree, ``originals/`` has each file that a patch touched as it came, ``state.json`` what is applied. A patch is tried on copies of the
    files that it touches; one that fails has changed nothing.
    """

    def __init__(self, directory):
        self.directory = directory
        self.source = os.path.join(directory, "source")
        self._originals = os.path.join(directory, "originals")
        self._state = os.path.join(directory, "state.json")
        self.state = None
        with contextlib.suppress(OSError, ValueError):
            with open(self._state, encoding="utf-8") as stream:
                self.state = json.load(stream)

    def unpack(self, host, source):
        """Bring the source's files here unless they are. Raises :class:`TestbedError`."""
        if self.state is not None:
            return
        for path in (self.source, self._originals):
            directories.remove(path)
        os.makedirs(self._originals)
        with directories.fresh(self.source + ".new") as work:
            fresh = os.path.join(work, "source")
            os.mkdir(fresh)
            source.unpack(host, fresh)
            if not all(os.path.isfile(os.path.join(fresh, name)) for name in ("Makefile", "Kconfig", "scripts/Kbuild.include")):
                raise TestbedError("%s holds no kernel source" % source.name, remedy="its top directory must have Makefile and Kconfig")
            os.rename(fresh, self.source)
        # The moment that the source's files are of: fixed, and none that a build could leave behind.
        self.state = {"epoch": int(os.stat(os.path.join(self.source, "Makefile")).st_mtime), "touched": {}, "patches": []}
        self._save()

    def epoch(self):
        """Seconds since 1970 of the source, for SOURCE_DATE_EPOCH."""
        return self.state["epoch"]

    def apply(self, host, patches, fuzz=0):
        """Make the tree the source with exactly these patches.

        :arg fuzz: lines of context that may differ, patch(1)'s ``--fuzz``.
        Returns what patch(1) remarked (offsets, fuzz), a list of lines. Raises :class:`TestbedError` naming patch, file and hunk.
        """
        wanted = [dict(patch.entry(), fuzz=fuzz) for patch in patches]
        if self.state["patches"] == wanted:
            return self.state.get("remarks", [])
        names = {}
        for patch in patches:
            for change in patch.changes():
                names.update((name, patch) for name in change.names() if name not in names)
        with tempfile.TemporaryDirectory(prefix="patched-", dir=self.directory) as scratch:
            for name, patch in sorted(names.items()):
                self._copy_pristine(name, patch, scratch)
            remarks = []
            for patch in patches:
                remarks += _try(host, patch, scratch, fuzz)
            self._replace(names, scratch)
        self.state.update(patches=wanted, remarks=remarks)
        self._save()
        return remarks

    def _pristine(self, name):
        """Where the file is as it came, or ``None``."""
        known = self.state["touched"].get(name)
        path = os.path.join(self._originals if known else self.source, name)
        return None if known is False or not os.path.lexists(path) else path

    def _copy_pristine(self, name, patch, scratch):
        parts = name.split("/")
        for parent in ("/".join(parts[:count]) for count in range(1, len(parts))):
            path = self._pristine(parent)
            if path is not None and (os.path.islink(path) or not os.path.isdir(path)):
                raise _refusal(patch, name, "%s is no directory in the source" % parent)
        path, target = self._pristine(name), os.path.join(scratch, name)
        if path is None:
            return
        if os.path.islink(path) or not os.path.isfile(path):
            raise _refusal(patch, name, "it is no file in the source")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(path, target)

    def _replace(self, names, scratch):
        """Write what differs. Until all is written the state knows no patches, so that a run that is cut off is made good by the next one."""
        self.state["patches"] = None
        self._save()
        for name in sorted(set(names) | set(self.state["touched"])):
            wanted = os.path.join(scratch, name) if name in names else self._pristine(name)
            wanted = wanted if wanted and os.path.isfile(wanted) else None
            target = os.path.join(self.source, name)
            if _content(wanted) == _content(target):
                continue
            if name not in self.state["touched"]:
                existed = os.path.isfile(target)
                if existed:
                    os.makedirs(os.path.dirname(os.path.join(self._originals, name)), exist_ok=True)
                    shutil.copy2(target, os.path.join(self._originals, name))
                self.state["touched"][name] = existed
                self._save()
            if wanted is None:
                os.unlink(target)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                # copy without the times: to make(1) the file is new
                shutil.copy(wanted, target + ".memlab-new")
                os.replace(target + ".memlab-new", target)

    def _save(self):
        with open(self._state + ".new", "w", encoding="utf-8") as stream:
            json.dump(self.state, stream, indent=1, sort_keys=True)
        os.replace(self._state + ".new", self._state)


def _content(path):
    """(permissions to execute, bytes) of a file, ``None`` where there is none."""
    if path is None or not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return bool(os.stat(path).st_mode & stat.S_IXUSR), stream.read()


def _try(host, patch, scratch, fuzz):
    """Apply one patch to the copies; patch(1)'s remarks."""
    changes = patch.changes()
    _check_moves(patch, changes, scratch)
    with tempfile.NamedTemporaryFile(prefix="memlab-", suffix=".patch") as stream:
        # the changes only: patch(1) would take a difference that the message quotes for one more
        stream.write(b"".join(change.data for change in changes))
        stream.flush()
        said = []
        code = host.stream(["patch", "--directory=" + scratch, "--strip=%d" % patch.strip, "--fuzz=%d" % fuzz, "--batch", "--forward",
                            "--no-backup-if-mismatch", "--reject-file=-", "--quoting-style=literal", "--input=" + stream.name], said.append)
    if code != 0:
        raise _failure(patch, changes, said, fuzz)
    patched, remarks = [], []
    for line in said:
        found = _PATCHING.fullmatch(line)
        if found:
            patched.append(found.group(1))
        elif re.match(r"Hunk #\d+ succeeded", line):
            remarks.append("%s: %s: %s" % (patch.name, patched[-1], line.rstrip(".")))
    if len(patched) != len(changes) or not all(os.path.normpath(name) in change.names() for name, change in zip(patched, changes)):
        raise TestbedError("the patch %s was not applied as it reads: it changes %s, patch(1) changed %s"
                           % (patch.name, ", ".join(change.names()[-1] for change in changes), ", ".join(patched) or "nothing"), details=said)
    return remarks


def _check_moves(patch, changes, scratch):
    """That what is renamed or copied is there, and nothing where it goes to. patch(1) would leave such a file as it is and call that success."""
    leaving = {change.old for change in changes if change.new is None or change.how == "rename"}
    for change in changes:
        if change.how and not os.path.lexists(os.path.join(scratch, change.old)):
            raise _refusal(patch, change.old, "%s to %s: the source has no such file" % (change.how, change.new), change.hunks[:1])
        if change.how and os.path.lexists(os.path.join(scratch, change.new)) and change.new not in leaving:
            raise _refusal(patch, change.new, "%s from %s: the file exists already" % (change.how, change.old), change.hunks[:1])


def _failure(patch, changes, said, fuzz):
    """The error for what patch(1) said: the patch, the first file that failed, its first hunk and that hunk's header."""
    index, hunk, reason = -1, 1, None
    for line in said:
        found = re.match(r"Hunk #(\d+) FAILED at (\d+)", line)
        if _PATCHING.fullmatch(line):
            index += 1
        elif found:
            hunk, reason = int(found.group(1)), "at line %s" % found.group(2)
        elif line.startswith("Reversed (or previously applied)"):
            reason = "is in the source already"
        elif line.startswith("Not deleting file "):
            reason = "the file holds more than what is deleted"
        elif line.startswith(tuple(_BEFORE)):
            index, reason = index + 1, next(means for words, means in _BEFORE.items() if line.startswith(words))
        if reason:
            break
    change = changes[min(max(index, 0), len(changes) - 1)]
    header = change.hunks[hunk - 1:hunk]
    if reason is None:
        return _refusal(patch, change.names()[-1], "patch(1) says why", header + said)
    where = "hunk %d%s" % (hunk, " " if reason.startswith("is ") else ", ") if header else ""
    return _refusal(patch, change.names()[-1], where + reason, header, "" if fuzz else " (fuzz is forbidden)")


def _refusal(patch, name, why, details=(), hint=""):
    return TestbedError("the patch %s does not apply: %s, %s" % (patch.name, name, why), details=details,
                        remedy="the tree is as it was; correct the patch, or take a source that it is for" + hint)
