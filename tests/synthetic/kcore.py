# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A /proc/kcore that says what a test wants: an ELF core with x86-64 page tables for a memmap placed at will. Sparse on disk."""
from __future__ import annotations

import struct

PAGE = 4096
DIRECT_MAP = {4: 0xFFFF888000000000, 5: 0xFF11000000000000}
VMEMMAP = {4: 0xFFFFEA0000000000, 5: 0xFFD4000000000000}
TEXT = 0xFFFFFFFF81000000
TEXT_PHYSICAL = 0x2000000
# Table pages stand from here on, the top table first, inside what is mapped as kernel text.
TABLES = TEXT_PHYSICAL
TEXT_SIZE = 1 << 25
DATA_OFFSET = 1 << 16
PRESENT, HUGE, NO_EXECUTE = 1, 1 << 7, 1 << 63
SHIFTS = (30, 21, 12)
LOWEST_RAM = 1 << 20


class Tables(object):
    """Page tables being built: ``pages`` maps a table's physical address to its 512 entries."""

    def __init__(self, levels, sme_mask=0):
        self.levels = levels
        self.sme_mask = sme_mask
        self.pages = {}
        self.root = self._new()

    def _new(self):
        physical = TABLES + len(self.pages) * PAGE
        self.pages[physical] = [0] * 512
        return physical

    def map(self, virtual, size, physical, largest=21):
        """Map a run with the largest leaves that fit, none larger than ``1 << largest``."""
        while size:
            shift = next(bits for bits in SHIFTS if bits <= largest and not (virtual | physical) & ((1 << bits) - 1) and size >= 1 << bits)
            self._leaf(virtual, physical, shift)
            virtual, physical, size = virtual + (1 << shift), physical + (1 << shift), size - (1 << shift)

    def _leaf(self, virtual, physical, leaf_shift):
        table = self.root
        shift = 12 + 9 * (self.levels - 1)
        while shift > leaf_shift:
            index = virtual >> shift & 511
            if not self.pages[table][index]:
                self.pages[table][index] = self._new() | PRESENT | self.sme_mask
            table = self.pages[table][index] & ((1 << 52) - PAGE) & ~self.sme_mask
            shift -= 9
        self.pages[table][virtual >> shift & 511] = physical | PRESENT | NO_EXECUTE | self.sme_mask | (HUGE if shift > 12 else 0)


def write(path, mappings, levels=4, struct_page=64, ram=((LOWEST_RAM, 1 << 37),), symbol=True, base=None, sme_mask=0, largest=21, machine=62, lines=()):
    """Write the file.

    :arg mappings: ``(offset into the memmap, size, physical address)``, in bytes. :arg ram: ``(start, size)`` of runs of RAM.
    :arg symbol: whether the kernel exports ``SYMBOL(vmemmap)``. :arg base: where the memmap begins. :arg lines: more lines of VMCOREINFO;
    one for a key that is there already takes its place.
    """
    base = VMEMMAP[levels] if base is None else base
    tables = Tables(levels, sme_mask)
    for offset, size, physical in mappings:
        tables.map(base + offset, size, physical, largest)
    info = {"OSRELEASE": "6.12.95", "PAGESIZE": "4096", "SIZE(page)": "%d" % struct_page, "SYMBOL(swapper_pg_dir)": "%x" % (TEXT + tables.root - TEXT_PHYSICAL),
            "NUMBER(pgtable_l5_enabled)": "%d" % (levels == 5), "NUMBER(sme_mask)": "%d" % sme_mask}
    if symbol:
        info["SYMBOL(vmemmap)"] = "%x" % base
    info.update(line.split("=", 1) for line in lines)
    note = "".join("%s=%s\n" % item for item in info.items() if item[1]).encode("ascii")
    notes = _note(b"CORE", b"\0" * 20) + _note(b"VMCOREINFO", note)
    segments = [(TEXT, TEXT_PHYSICAL, TEXT_SIZE)]
    for start, size in ram:
        segments.append((DIRECT_MAP[levels] + start, start, size))
        first = start // PAGE * struct_page & ~(PAGE - 1)
        segments.append((base + first, None, -(-((start + size) // PAGE * struct_page) // PAGE) * PAGE - first))
    headers = [struct.pack("<IIQQQQQQ", 4, 0, 4096, 0, 0, len(notes), 0, 0)]
    for virtual, physical, size in segments:
        # Where memmap itself would be in the file nobody reads.
        place = DATA_OFFSET + (physical if physical is not None else 1 << 45)
        headers.append(struct.pack("<IIQQQQQQ", 1, 7, place, virtual, (1 << 64) - 1 if physical is None else physical, size, size, PAGE))
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, machine, 1, 0, 64, 0, 0, 64, 56, len(headers), 0, 0, 0)
    with open(path, "wb") as stream:
        stream.write(elf + b"".join(headers))
        stream.seek(4096)
        stream.write(notes)
        for physical, entries in tables.pages.items():
            stream.seek(DATA_OFFSET + physical)
            stream.write(struct.pack("<512Q", *entries))


def _note(name, content):
    def padded(data):
        return data + b"\0" * (-len(data) % 4)
    return struct.pack("<III", len(name) + 1, len(content), 0) + padded(name + b"\0") + padded(content)
