# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unpacking a capture: somebody else's archive, so nothing in it may lead out of the directory that it is unpacked in."""
from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import tarfile
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

# A host of 32,768 memory blocks has about 200,000 entries.
MOST_ENTRIES = 2000000
MOST_BYTES = 2 << 30


@contextlib.contextmanager
def opened(path):
    """The :class:`Host` of a capture, an archive or the directory it was unpacked in. Raises :class:`TestbedError`."""
    if os.path.isdir(path):
        yield Host(path)
        return
    if not os.path.isfile(path):
        raise TestbedError("there is no capture %s" % path, remedy="record one with the playbook memlab.testbed.capture or scripts/record_capture.py")
    with tempfile.TemporaryDirectory(prefix="memlab-capture-") as directory:
        try:
            _unpack(path, directory)
        except (tarfile.TarError, EOFError, OSError, ValueError) as exc:
            raise TestbedError("capture %s cannot be unpacked (%s)" % (path, exc), remedy="it is no archive of scripts/record_capture.py, or a damaged one")
        yield Host(directory)


def _unpack(path, directory):
    with tarfile.open(path, "r:*") as archive:
        size = 0
        for number, member in enumerate(archive):
            name = posixpath.normpath(member.name)
            size += member.size
            if number >= MOST_ENTRIES or size > MOST_BYTES:
                raise ValueError("it is larger than any capture")
            if name.startswith(("/", "..")) or os.path.realpath(os.path.join(directory, posixpath.dirname(name))) != os.path.join(
                    os.path.realpath(directory), posixpath.dirname(name)).rstrip("/"):
                raise ValueError("%.60s lies outside of it" % member.name)
            target = os.path.join(directory, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if member.issym():
                leads = posixpath.normpath(posixpath.join("/" + posixpath.dirname(name), member.linkname)) if not member.linkname.startswith("/") else ""
                depth = len([part for part in posixpath.dirname(name).split("/") if part])
                ups = member.linkname.split("/").count("..")
                if not leads or ups > depth:
                    raise ValueError("the link %.60s leads out of it" % member.name)
                os.symlink(member.linkname, target)
            elif member.isreg():
                with archive.extractfile(member) as source, open(target, "xb") as stream:
                    shutil.copyfileobj(source, stream)
            elif not member.isdir():
                raise ValueError("%.60s is neither a file nor a link" % member.name)
