# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The size of a kernel structure from the kernel's own type information, which every user may read.

Kernel: Documentation/bpf/btf.rst, include/uapi/linux/btf.h (6.1 to 7.3); needs CONFIG_DEBUG_INFO_BTF.
"""
from __future__ import annotations

import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

BTF = "/sys/kernel/btf/vmlinux"

_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MAGIC = 0xEB9F
_STRUCT = 4
# Bytes that follow a type, by kind: fixed, and per member.
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_LAST_KIND = 19


def struct_size(data, name):
    """Bytes of ``struct name``, or ``None`` where ``data`` (a BTF file's content) does not tell."""
    if len(data) < _HEADER.size:
        return None
    magic, unused, unused2, header, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        return None
    start = header + strings
    found = data.find(b"\0" + name.encode("ascii") + b"\0", start, start + strings_size)
    if found < 0:
        return None
    wanted = found + 1 - start
    place, end, unpack = header + types, min(header + types + types_size, len(data) - _TYPE.size + 1), _TYPE.unpack_from
    while place < end:
        name_offset, info, size = unpack(data, place)
        kind = info >> 24 & 31
        if name_offset == wanted and kind == _STRUCT:
            return size
        if kind > _LAST_KIND:
            return None  # a kind newer than this reader: what follows it cannot be found
        place += _TYPE.size + _FIXED.get(kind, 0) + _PER_MEMBER.get(kind, 0) * (info & 0xFFFF)
    return None


def struct_page(host):
    """``sizeof(struct page)`` or ``None``."""
    try:
        return struct_size(host.read_bytes(BTF), "page")
    except TestbedError:
        return None
