# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernels inside bzImages, built here in each of the ways that the kernel's build packs them."""
from __future__ import annotations

import gzip
import lzma
import struct
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import kernel_image
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from hypothesis import given
from hypothesis import strategies as st

ELF = b"\x7fELF\x02\x01" + bytes(range(256)) * 40


def zstd(data):
    return subprocess.run(["zstd", "--quiet", "--decompress", "--stdout"], input=data, stdout=subprocess.PIPE, check=True).stdout


def compressed(name, data):
    """As scripts/Makefile.lib does it: gzip has the length of the data itself, the others get it behind."""
    if name == "gzip":
        return gzip.compress(data)
    size = struct.pack("<I", len(data))
    if name == "xz":
        filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6}]
        return lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters) + size
    return subprocess.run(["zstd", "--quiet", "--stdout"], input=data, stdout=subprocess.PIPE, check=True).stdout + size


def bzimage(data, sectors=27, offset=719):
    setup = bytearray(((sectors or 4) + 1) * 512)
    setup[kernel_image.SETUP_SECTORS] = sectors
    setup[kernel_image.MAGIC:kernel_image.MAGIC + 4] = b"HdrS"
    struct.pack_into("<II", setup, kernel_image.PAYLOAD_OFFSET, offset, len(data))
    return bytes(setup) + b"\xcc" * offset + data + b"\xcc" * 300


@pytest.mark.parametrize("sectors", [0, 27, 39])
@pytest.mark.parametrize("name", ["gzip", "xz", "zstd"])
def test_the_kernel_comes_out_as_it_was(name, sectors):
    assert kernel_image.unpack(bzimage(compressed(name, ELF), sectors), zstd) == ELF


@pytest.mark.parametrize("image, words", [
    (b"", "no setup header"),
    (ELF, "no setup header"),
    (bytes(0x202) + b"HdrS", "no setup header"),
    (bzimage(b"\x04\x22\x4d\x18lz4"), "not known here .04224d18"),
    (bzimage(b""), "not known here"),
    (bzimage(compressed("xz", ELF)[:-100]), "cannot be decompressed"),
    (bzimage(compressed("gzip", ELF)[:-100]), "cannot be decompressed"),
    (bzimage(b"\xfd7zXZ\0" + bytes(100)), "cannot be decompressed"),
    (bzimage(b"\x1f\x8b" + bytes(100)), "cannot be decompressed"),
])
def test_what_is_no_kernel_is_refused(image, words):
    with pytest.raises(TestbedError, match=words):
        kernel_image.unpack(image, zstd)


@given(st.binary(max_size=2000), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_any_header_is_read_or_refused(data, offset, length):
    image = bytearray(bzimage(data))
    struct.pack_into("<II", image, kernel_image.PAYLOAD_OFFSET, offset, length)
    try:
        kernel_image.payload(bytes(image))
    except TestbedError:
        pass  # refused is an answer


def note(name, kind, content):
    padded = [part + bytes(-len(part) % 4) for part in (name, content)]
    return struct.pack("<III", len(name), len(content), kind) + b"".join(padded)


def elf(notes, kind=4):
    header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    table = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 4096) + struct.pack("<IIQQQQQQ", kind, 4, 176, 0, 0, len(notes), len(notes), 4)
    return header + table + notes


def test_the_note_is_found_among_others():
    others = note(b"GNU\0", 18, b"1234567") + note(b"Xen\0", 6, b"linux\0")
    assert kernel_image.has_pvh_entry(elf(others + note(b"Xen\0", 18, bytes(8))))
    assert not kernel_image.has_pvh_entry(elf(others))
    assert not kernel_image.has_pvh_entry(elf(note(b"Xen\0", 18, bytes(8)), kind=1))
    assert not kernel_image.has_pvh_entry(b"\x7fELF\x01" + bytes(100))
    assert not kernel_image.has_pvh_entry(elf(note(b"Xen\0", 18, bytes(8)))[:70])


@given(st.binary(max_size=300))
def test_any_elf_is_answered_for(data):
    kernel_image.has_pvh_entry(elf(data))
    kernel_image.has_pvh_entry(b"\x7fELF\x02" + data)
