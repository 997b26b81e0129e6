# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unified diffs: which files a patch touches, and its hunks by number. Applying them is patch(1)'s work."""
from __future__ import annotations

import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@.*")
# git-diff(1), "Generating patch text with -p": what may follow the line "diff --git"
_EXTENDED = re.compile(rb"(old mode|new mode|new file mode|deleted file mode|rename from|rename to|copy from|copy to|(?:dis)?similarity index|index) (.*)")
_ESCAPED = re.compile(rb'\\([0-7]{3}|[abfnrtv"\\])')
_ESCAPES = dict(zip(b'abfnrtv"\\', b'\a\b\f\n\r\t\v"\\'))
_NOWHERE = b"/dev/null"


class Change(object):
    """What a patch does to one file.

    ``old`` and ``new`` are paths below the tree's top (``None``: no such file before, or after).
    ``how`` is ``rename`` or ``copy`` where they are two files, otherwise ``None``. ``hunks`` are the hunks' header lines, in order.
    ``data`` is the part of the patch that says so.
    """

    def __init__(self, old, new):
        self.old = old
        self.new = new
        self.how = None
        self.hunks = []
        self.data = b""

    def names(self):
        return [name for name in (self.old, self.new) if name is not None]


def parse(data, what, strip=1):
    """The changes in a patch's bytes, in order.

    :arg what: the patch's name, for messages.
    :arg strip: leading parts of each path to leave away, patch(1)'s ``-p``.
    Raises :class:`TestbedError` for a diff that is cut short, binary, of a symbolic link or reaches out of the tree.
    """
    lines, changes, number = data.split(b"\n"), [], 0
    while number < len(lines):
        first, change = number, None
        if lines[number].startswith(b"diff --git "):
            change, number = _header(lines, number, what, strip)
        if number + 1 < len(lines) and lines[number].startswith(b"--- ") and lines[number + 1].startswith(b"+++ "):
            old, new = (_name(lines[each].rstrip(b"\r"), strip, what, each + 1) for each in (number, number + 1))
            if change is None:
                change = Change(old, new)
            elif (old, new) != (change.old, change.new):
                raise TestbedError("%s, line %d: %s and %s are not the files that git's header names" % (what, number + 1, old, new))
            number = _hunks(lines, number + 2, change, what)
        elif number < len(lines) and _is_binary(lines[number], number > first):
            raise TestbedError("%s, line %d: a binary difference, which patch(1) cannot apply: %s"
                               % (what, number + 1, lines[first].decode("utf-8", "replace").rstrip("\r")))
        if change is not None and (change.how or not change.hunks) and " " in "".join(change.names()):
            raise TestbedError("%s, line %d: patch(1) cannot read a name with blanks in git's header: %s"
                               % (what, first + 1, lines[first].decode("utf-8", "replace").rstrip("\r")))
        if change is not None:
            change.data = b"\n".join(lines[first:number]) + b"\n"
            changes.append(change)
        # the first line after a change can begin the next one
        number = max(number, first + 1)
    return changes


def _is_binary(line, after_header):
    line = line.rstrip(b"\r")
    return line.startswith(b"Binary files ") and (after_header or line.endswith(b" differ")) or line.startswith(b"GIT binary patch") and after_header


def _header(lines, number, what, strip):
    """Read git's header that begins at line ``number``: the change it tells without a hunk (``None``: none), and the number of the line after it."""
    said, first = {}, number
    for number in range(first + 1, len(lines) + 1):
        found = _EXTENDED.fullmatch(lines[number].rstrip(b"\r")) if number < len(lines) else None
        if found is None:
            break
        said[found.group(1).decode("ascii")] = found.group(2)
        if found.group(1).endswith(b" mode") and not found.group(2).startswith(b"100") or re.search(rb"^index \S+ (?!100)", lines[number]):
            raise TestbedError("%s, line %d: %.60r: no file, but a symbolic link or a submodule, which cannot be patched here"
                               % (what, number + 1, lines[number].decode("utf-8", "replace")))
    for how in ("rename", "copy"):
        if how + " from" in said and how + " to" in said:
            # without git's prefix a/ or b/, so with one leading directory less
            change = Change(*(_below(_stripped(_unquoted(said[how + side]), max(strip - 1, 0)) or b"", what, first + 1) for side in (" from", " to")))
            change.how = how
            return change, number
    if not any(word.endswith(" mode") for word in said):
        return None, number
    name = _below(_both(lines[first].rstrip(b"\r")[len(b"diff --git "):], strip), what, first + 1)
    return Change(None if "new file mode" in said else name, None if "deleted file mode" in said else name), number


def _both(names, strip):
    """The one file that a line ``diff --git`` names twice; nothing where it does not."""
    for blank in re.finditer(b" ", names):
        old, new = (_stripped(_unquoted(name), strip) for name in (names[:blank.start()], names[blank.end():]))
        if old == new and old is not None:
            return old
    return b""


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
        if number < len(lines) and lines[number].startswith(b"\\"):
            number += 1
    if not change.hunks:
        raise TestbedError("%s, line %d: no hunk follows the name of %s" % (what, number, change.new or change.old))
    return number


def _name(line, strip, what, number):
    name = _unquoted(line[4:].split(b"\t")[0].strip())
    if name == _NOWHERE:
        return None
    stripped = _stripped(name, strip)
    if stripped is None:
        raise TestbedError("%s, line %d: %s has fewer than %d leading directories to strip" % (what, number, line[4:].decode("utf-8", "replace"), strip))
    return _below(stripped, what, number)


def _unquoted(name):
    """A name as it is: git and diff(1) put one with other than plain characters in quotes, escaped as in C."""
    if len(name) < 2 or not (name.startswith(b'"') and name.endswith(b'"')):
        return name
    return _ESCAPED.sub(lambda found: bytes([_ESCAPES[found.group(1)[0]] if len(found.group(1)) == 1 else int(found.group(1), 8) & 255]), name[1:-1])


def _stripped(name, strip):
    """The name without its leading directories, ``None`` where it has not so many."""
    for unused in range(strip):
        unused, slash, name = name.partition(b"/")
        name = name.lstrip(b"/")
        if not slash:
            return None
    return name


def _below(name, what, number):
    text = name.decode("utf-8", "replace")
    if not text or text.startswith(("/", '"')) or ".." in text.split("/") or re.search("[\ufffd\0\n]", text):
        raise TestbedError("%s, line %d: %.100r is not a file below the tree's top" % (what, number, text))
    return os.path.normpath(text)
