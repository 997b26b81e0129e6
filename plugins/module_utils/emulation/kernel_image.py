# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bzImage's kernel as the ELF file it holds, which QEMU starts without the guest having to decompress it.

QEMU enters an ELF kernel through its PVH note (CONFIG_PVH; Xen's ``xen/include/public/arch-x86/hvm/start_info.h`` defines the protocol). Under TCG that
saves several seconds of decompression; the kernel is the same, byte for byte.
"""
from __future__ import annotations

import gzip
import lzma
import struct
import zlib

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Documentation/arch/x86/boot.rst: fields of the setup header.
SETUP_SECTORS, MAGIC, PAYLOAD_OFFSET = 0x1F1, 0x202, 0x248

_XEN_ELFNOTE_PHYS32_ENTRY = 18


def payload(image):
    """(compression, compressed bytes) of the kernel in a bzImage. Raises :class:`TestbedError`."""
    if image[MAGIC:MAGIC + 4] != b"HdrS" or len(image) < PAYLOAD_OFFSET + 8:
        raise TestbedError("the kernel is not a bzImage: it has no setup header")
    sectors = image[SETUP_SECTORS] or 4
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    start = (sectors + 1) * 512 + offset
    data = image[start:start + length]
    for name, magic in (("gzip", b"\x1f\x8b"), ("xz", b"\xfd7zXZ\0"), ("zstd", b"\x28\xb5\x2f\xfd")):
        if data.startswith(magic):
            # The kernel's build appends the uncompressed length (scripts/Makefile.lib, size_append), except for gzip, which has its own.
            return name, data if name == "gzip" else data[:-4]
    raise TestbedError("the kernel is compressed in a way that is not known here (%s)" % data[:4].hex())


def unpack(image, zstd):
    """The ELF kernel inside a bzImage.

    :arg zstd: function that decompresses zstd data; Python's own library has none before 3.14.
    Raises :class:`TestbedError`.
    """
    name, data = payload(image)
    if name == "zstd":
        return zstd(data)
    try:
        return lzma.decompress(data) if name == "xz" else gzip.decompress(data)
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as exc:
        raise TestbedError("the kernel cannot be decompressed: %s" % exc)


def has_pvh_entry(elf):
    """Whether an ELF kernel carries the note that QEMU starts it by."""
    if elf[:5] != b"\x7fELF\x02":
        return False
    try:
        offset, = struct.unpack_from("<Q", elf, 32)
        size, count = struct.unpack_from("<HH", elf, 54)
        for number in range(count):
            kind, flags, start, virtual, physical, length = struct.unpack_from("<IIQQQQ", elf, offset + number * size)
            if kind == 4 and _XEN_ELFNOTE_PHYS32_ENTRY in _xen_notes(elf[start:start + length]):
                return True
    except struct.error:
        pass  # cut short: no kernel that QEMU would take
    return False


def _xen_notes(data):
    position, found = 0, set()
    while position + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, position)
        name = data[position + 12:position + 12 + name_size]
        if name == b"Xen\0":
            found.add(kind)
        position += 12 + (name_size + 3 & ~3) + (size + 3 & ~3)
    return found
