# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""About how many objects a configuration has, before it was ever built: the kernel's makefiles read for their lists, not run.

Conditions in them are not looked at, so the number is near, not exact (Documentation/kbuild/makefiles.rst, 6.1 to 7.3).
"""
from __future__ import annotations

import os
import re

# Directories that the top makefiles name, with the compressed kernel's own parts; what is not there counts nothing.
_TOP = ("init", "usr", "kernel", "certs", "mm", "fs", "ipc", "security", "crypto", "block", "io_uring", "drivers", "sound", "net", "virt", "lib")
_ARCH = ("", "lib", "pci", "power", "video", "boot", "boot/compressed", "realmode/rm", "entry/vdso")
_LISTS = ("obj", "lib", "setup", "vmlinux-objs", "realmode", "vobjs")

_LINE = re.compile(r"([\w.-]+?)-(y|m|objs|\$\((?:subst m,y,\$\()?CONFIG_(\w+)\)?\))\s*[:+]?=\s*(.*)")


def objects(source, srcarch, values):
    """The number of objects. :arg values: the configuration, symbol to value."""
    seen, found = set(), set()
    for name in _TOP + tuple(os.path.normpath(os.path.join("arch", srcarch, name)) for name in _ARCH):
        _walk(source, name, values, seen, found)
    return len(found)


def _walk(source, directory, values, seen, found):
    if directory in seen:
        return
    seen.add(directory)
    text = _makefile(os.path.join(source, directory))
    lists = {}
    for line in text.replace("\\\n", " ").split("\n"):
        match = _LINE.match(line)
        if match:
            name, how, symbol, words = match.groups()
            if symbol is None or values.get(symbol, "n") in ("y", "m"):
                lists.setdefault(name, []).extend(word for word in words.split("#")[0].split() if "$" not in word)
    for name in _LISTS:
        for word in lists.get(name, ()):
            if word.endswith("/"):
                _walk(source, os.path.normpath(os.path.join(directory, word)), values, seen, found)
            elif word.endswith(".o"):
                parts = [part for part in lists.get(word[:-2], ()) if part.endswith(".o")]
                found.update(os.path.join(directory, part) for part in (parts or [word]))


def _makefile(directory):
    for name in ("Kbuild", "Makefile"):
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            pass
    return ""
