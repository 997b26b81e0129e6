# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""VMCOREINFO: what the kernel says about its own layout, for tools that read its memory.

Text lines such as ``OSRELEASE=6.12.95``, ``SIZE(page)=64``, ``SYMBOL(swapper_pg_dir)=...``, ``NUMBER(pgtable_l5_enabled)=0``.
Kernel: kernel/vmcore_info.c (kernel/crash_core.c before 6.9), Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""
from __future__ import annotations

import re

_LINE = re.compile(r"^(?:(\w+)\(([\w.]+)\)|(\w+))=(.*)$")

# How each kind is printed. SYMBOL is hexadecimal without 0x; the others are decimal, NUMBER possibly negative or 0x.
_BASE = {"SYMBOL": 16, "NUMBER": 0, "SIZE": 0, "OFFSET": 0, "LENGTH": 0}


class Vmcoreinfo(object):
    """The parsed note. ``values`` maps ``("SIZE", "page")`` to a number, ``words`` maps ``"OSRELEASE"`` to its text.

    Values of kind SYMBOL are kernel virtual addresses: they never leave this package.
    """

    def __init__(self, text):
        self.values = {}
        self.words = {}
        for line in text.splitlines():
            found = _LINE.match(line)
            if found is None:
                continue
            kind, name, word, value = found.groups()
            if word is not None:
                self.words[word] = value
            elif kind in _BASE:
                try:
                    self.values[kind, name] = int(value, _BASE[kind])
                except ValueError:
                    continue

    def symbol(self, *names):
        """Address of the first of ``names`` that the kernel exports, or ``None``."""
        for name in names:
            if ("SYMBOL", name) in self.values:
                return self.values["SYMBOL", name]
        return None

    def number(self, name, default=None):
        """A NUMBER, or ``default``."""
        return self.values.get(("NUMBER", name), default)

    def size(self, name):
        """``sizeof(struct name)`` in bytes, or ``None``."""
        return self.values.get(("SIZE", name))
