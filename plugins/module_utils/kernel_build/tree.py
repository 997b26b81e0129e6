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
        names = sorted({name for patch in patches for change in patch.changes() for name in change.names()})
        with tempfile.TemporaryDirectory(prefix="patched-", dir=self.directory) as scratch:
            for name in names:
                self._copy_pristine(name, scratch)
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

    def _copy_pristine(self, name, scratch):
        path, target = self._pristine(name), os.path.join(scratch, name)
        if path is None:
            return
        if os.path.islink(path) or not os.path.isfile(path):
            raise TestbedError("a patch touches %s, which is no file in the source" % name)
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
    with tempfile.NamedTemporaryFile(prefix="memlab-", suffix=".patch") as stream:
        stream.write(patch.data)
        stream.flush()
        said = []
        code = host.stream(["patch", "--directory=" + scratch, "--strip=%d" % patch.strip, "--fuzz=%d" % fuzz, "--batch", "--forward",
                            "--no-backup-if-mismatch", "--reject-file=-", "--input=" + stream.name], said.append)
    if code != 0:
        raise _failure(patch, said, fuzz)
    name, remarks = None, []
    for line in said:
        if line.startswith(("patching file ", "checking file ")):
            name = line.split(" ", 2)[2]
        elif re.match(r"Hunk #\d+ succeeded", line):
            remarks.append("%s: %s: %s" % (patch.name, name, line.rstrip(".")))
    return remarks


def _failure(patch, said, fuzz):
    """The error for what patch(1) said: the patch, the first file that failed, its first hunk and that hunk's header."""
    changes, name, where, index = patch.changes(), None, None, -1
    for line in said:
        if line.startswith(("patching file ", "can't find file to patch")):
            index += 1
            name = line.split(" ", 2)[2].split(" (renamed")[0] if line.startswith("patching file ") else changes[min(index, len(changes) - 1)].names()[0]
        found = re.match(r"Hunk #(\d+) FAILED at (\d+)", line)
        if found:
            where = (int(found.group(1)), "hunk %s, at line %s" % found.groups())
        elif line.startswith("Reversed (or previously applied)"):
            where = (1, "hunk 1 is in the source already")
        elif line.startswith("can't find file to patch"):
            where = (1, "hunk 1, the source has no such file")
        elif line.startswith("The next patch would create the file "):
            name, where = line[len("The next patch would create the file "):].rstrip(","), (1, "hunk 1, the file exists already")
        if where:
            break
    headers = [change.hunks for change in changes if name in change.names()]
    header = headers[0][where[0] - 1:where[0]] if headers and where else []
    if where is None:
        return TestbedError("the patch %s does not apply" % patch.name, details=said)
    return TestbedError("the patch %s does not apply: %s, %s" % (patch.name, name, where[1]), details=header,
                        remedy="the tree is as it was; correct the patch, or take a source that it is for%s" % ("" if fuzz else " (fuzz is forbidden)"))
