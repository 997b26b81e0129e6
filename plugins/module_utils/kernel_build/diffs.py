# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unified diffs: which files a patch touches, and its hunks by number. Applying them is patch(1)'s work."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@.*")
_NOWHERE = b"/dev/null"


class Change(object):
    """What a patch does to one file.

    ``old`` and ``new`` are paths below the tree's top (``None``: no such file before, or after).
    ``hunks`` are the hunks' header lines, in order.
    """

    def __init__(self, old, new):
        self.old = old
        self.new = new
        self.hunks = []

    def names(self):
        return [name for name in (self.old, self.new) if name is not None]


def parse(data, what, strip=1):
    """The changes in a patch's bytes, in order.

    :arg what: the patch's name, for messages.
    :arg strip: leading parts of each path to leave away, patch(1)'s ``-p``.
    Raises :class:`TestbedError` for a diff that is cut short, binary or reaches out of the tree.
    """
    lines, changes, number = data.split(b"\n"), [], 0
    pending = None
    while number < len(lines):
        line = lines[number].rstrip(b"\r")
        number += 1
        if line.startswith(b"diff --git "):
            pending = {}
        elif line.startswith((b"GIT binary patch", b"Binary files ")) and (pending is not None or line.endswith(b" differ")):
            raise TestbedError("%s, line %d: a binary difference, which patch(1) cannot apply" % (what, number))
        elif pending is not None and line.startswith((b"rename from ", b"rename to ", b"copy from ", b"copy to ")):
            unused, side, name = line.split(b" ", 2)
            pending[side] = _below(name, what, number)
            if side == b"to" and b"from" in pending:
                changes.append(Change(pending[b"from"], pending[b"to"]))
        elif line.startswith(b"--- ") and number < len(lines) and lines[number].startswith(b"+++ "):
            old, new = (_name(text, strip, what, number) for text in (line, lines[number].rstrip(b"\r")))
            number += 1
            if not (pending and changes and (changes[-1].old, changes[-1].new) == (old, new)):
                changes.append(Change(old, new))
            number = _hunks(lines, number, changes[-1], what)
            pending = None
    return changes


def _hunks(lines, number, change, what):
    """Read the hunks that begin at line ``number``; the number of the line after them."""
    while number < len(lines):
        found = _HUNK.match(lines[number])
        if found is None:
            break
        header = lines[number].rstrip(b"\r")
        change.hunks.append(header.decode("utf-8", "replace"))
        start, left = number, [int(1 if count is None else count) for count in found.groups()]
        number += 1
        while left != [0, 0]:
            # an empty line is a context line whose blank an editor or a mail program took away
            kind = lines[number][:1] if number < len(lines) else b"-end-"
            if kind in (b" ", b"", b"\r") and number + 1 < len(lines):
                left = [count - 1 for count in left]
            elif kind == b"-":
                left[0] -= 1
            elif kind == b"+":
                left[1] -= 1
            elif kind != b"\\":
                left = [-1, -1]
            if min(left) < 0:
                raise TestbedError("%s, line %d: hunk %d of %s is damaged, its lines are not as many as its header says"
                                   % (what, start + 1, len(change.hunks), change.new or change.old), details=[change.hunks[-1]])
            number += 1
    if not change.hunks:
        raise TestbedError("%s, line %d: no hunk follows the name of %s" % (what, number, change.new or change.old))
    return number


def _name(line, strip, what, number):
    name = line[4:].split(b"\t")[0].strip()
    if name == _NOWHERE:
        return None
    for unused in range(strip):
        head, slash, name = name.partition(b"/")
        name = name.lstrip(b"/")
        if not slash:
            raise TestbedError("%s, line %d: %s has fewer than %d leading directories to strip"
                               % (what, number, line[4:].decode("utf-8", "replace"), strip))
    return _below(name, what, number)


def _below(name, what, number):
    text = name.decode("utf-8", "replace")
    if not text or text.startswith(("/", '"')) or ".." in text.split("/") or "\ufffd" in text or "\0" in text:
        raise TestbedError("%s, line %d: %.100r is not a file below the tree's top" % (what, number, text))
    return text
