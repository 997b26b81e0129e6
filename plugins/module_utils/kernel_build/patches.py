# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patches on the controller: a directory with ``series``, a mailbox, a single file, or a series that the collection brings. In order."""
from __future__ import annotations

import base64
import email
import hashlib
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import diffs

# The line before each mail of a mailbox, as git mailsplit knows it: sender, date, and a header follows. Words of a message can begin with "From ", too.
_FROM = re.compile(rb"^From \S+ +\w{3} \w{3} +\d+ [\d:]{5,8}(?: \S+)? \d{4}.*\n(?=[!-9;-~]+:)", re.MULTILINE)


class Patch(object):
    """A patch: its ``name``, the ``data`` that patch(1) is given, and how many leading directories to ``strip``."""

    def __init__(self, name, data, strip=1):
        self.name = name
        self.data = data
        self.strip = strip

    def digest(self):
        return hashlib.sha256(self.data).hexdigest()

    def entry(self):
        """What the manifest and the artifact's key hold of it."""
        return {"name": self.name, "sha256": self.digest(), "strip": self.strip}

    def changes(self):
        return diffs.parse(self.data, self.name, self.strip)

    def is_for_kconfig(self):
        """Whether it may touch what a configuration is made from: anything but code and documentation."""
        return any(name.startswith("scripts/") or not name.endswith((".c", ".h", ".S", ".rst", ".txt"))
                   for change in self.changes() for name in change.names())


def packed(patches):
    """As JSON can carry them to a builder: a patch need not be UTF-8."""
    return [{"name": patch.name, "content": base64.b64encode(patch.data).decode("ascii"), "strip": patch.strip} for patch in patches]


def unpacked(entries):
    """The reverse of :func:`packed`. Raises :class:`TestbedError`."""
    found = []
    for entry in entries:
        try:
            data = base64.b64decode(entry["content"], validate=True)
        except ValueError:
            raise TestbedError("the content of patch %s is not base64" % entry["name"])
        found.append(Patch(entry["name"], data, entry.get("strip", 1)))
        if not found[-1].changes():
            raise TestbedError("the content of patch %s holds no difference" % entry["name"],
                               remedy="a unified difference (diff -u, git format-patch) is needed")
    return found


def collect(wanted, series_directory):
    """All patches of a list, in order.

    :arg wanted: each a path (it has a slash) of a directory, a mailbox or a patch, or the name of a shipped series.
    :arg series_directory: where the shipped series are.
    Raises :class:`TestbedError`.
    """
    found = []
    for each in wanted:
        path = each if "/" in each else _shipped(each, series_directory)
        found += directory(path) if os.path.isdir(path) else file(path)
    return found


def _shipped(name, series_directory):
    known = sorted(each for each in os.listdir(series_directory) if os.path.isdir(os.path.join(series_directory, each))) \
        if os.path.isdir(series_directory) else []
    if name not in known:
        raise TestbedError("there is no series %r" % name,
                           remedy="shipped are: %s; a path of your own needs a slash (./%s)" % (", ".join(known) or "none", name))
    return os.path.join(series_directory, name)


def _read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as exc:
        raise TestbedError("cannot read the patch %s (%s)" % (path, errno_name(exc.errno)))


def directory(path):
    """The patches that a directory's ``series`` names, as quilt(1) reads it: one a line, ``#`` begins a comment, ``-pN`` may follow."""
    if not os.path.isfile(os.path.join(path, "series")):
        raise TestbedError("%s has no file series" % path, remedy="name its patches there, one a line, in the order in which they apply")
    found = []
    for number, line in enumerate(_read(os.path.join(path, "series")).decode("utf-8", "replace").splitlines(), 1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if not words:
            continue
        strip = 1
        for option in words[1:]:
            if not re.fullmatch(r"-p\d", option):
                raise TestbedError("%s/series, line %d: %.40r is no option that is known here (-pN)" % (path, number, option))
            strip = int(option[2:])
        if words[0].startswith("/") or ".." in words[0].split("/"):
            raise TestbedError("%s/series, line %d: %.60r is not below the series' directory" % (path, number, words[0]))
        found += file(os.path.join(path, words[0]), strip, words[0])
    if not found:
        raise TestbedError("%s/series names no patch" % path)
    return found


def file(path, strip=1, name=None):
    """The patch in a file, or the patches of a mailbox in the order of its messages; messages without a difference are none."""
    data, name = _read(path), name or os.path.basename(path)
    starts = [found.start() for found in _FROM.finditer(data)]
    parts = [data[start:end] for start, end in zip([0] + starts, starts + [None])]
    parts = [part for part in parts if part.strip()]
    found = [Patch(name if len(parts) == 1 else "%s: %s" % (name, _subject(part) or "message %d" % number), _text(part, name, strip), strip)
             for number, part in enumerate(parts, 1)]
    found = [patch for patch in found if patch.changes()]
    if not found:
        raise TestbedError("%s holds no difference that could be applied" % path, remedy="a unified difference (diff -u, git format-patch) is needed")
    return found


def _message(data):
    """Bytes as a mail. Where its header's lines end with CR, the way of mail, all do; otherwise a CR is the patched file's own."""
    data = data.lstrip()
    return email.message_from_bytes(data.replace(b"\r\n", b"\n") if data.partition(b"\n")[0].endswith(b"\r") else data)


def _subject(data):
    return re.sub(r"\s+", " ", str(_message(data)["subject"] or ""))


def _text(data, what, strip):
    """A mail's text and attached patches as their sender wrote them, transfer encodings undone; other than a mail, the bytes as they are."""
    message = _message(data)
    if not (message.get_unixfrom() or message.is_multipart() or "content-transfer-encoding" in message):
        return data
    parts = [(part.get_content_type(), part.get_payload(decode=True)) for part in message.walk() if not part.is_multipart()]
    # mail programs send a text once more as HTML, and attach patches as data of no type
    return b"\n".join(text for kind, text in parts if kind != "text/html" and (kind.startswith("text/") or diffs.parse(text, what, strip)))
