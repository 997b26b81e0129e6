# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof by page tables: where the kernel's own tables put the struct pages of a memory block.

The struct pages of block B are ``memmap`` bytes from virtual address vmemmap + B * ``memmap`` on. The walk finds the physical pages behind
them, whole table pages at a time: one PMD page covers the memmap of 64 GiB. Offline blocks have their memmap mapped too.

Offsets below are counted from the vmemmap base, so that no kernel virtual address leaves :func:`read_leaves`.
"""
from __future__ import annotations

import collections
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import x86_64
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import Kcore

NAME = "page_tables"

# struct_page: bytes; leaves: list of (offset into the memmap, size, physical address) in bytes, ascending, neighbours joined
Walk = collections.namedtuple("Walk", ("struct_page", "leaves"))

# placement: one of the words below, or None where no struct page is mapped.
# nodes: ((node id or None, bytes), ...) ascending, None for memory whose node is not known; runs: ((physical address, bytes), ...)
Location = collections.namedtuple("Location", ("placement", "nodes", "runs"))

SELF = "self"
SAME_NODE = "same_node"
OTHER_NODE = "other_node"
MIXED = "mixed"
UNKNOWN = "unknown"

# Of a block without any struct page mapped.
NOWHERE = Location(None, (), ())

_TABLE = struct.Struct("<512Q")


def read_leaves(host, ids, block_size):
    """:class:`Walk` over the memmap of the blocks ``ids`` (ascending). Raises :class:`TestbedError` saying why it cannot be done."""
    with Kcore(host) as kcore:
        layout = x86_64.read_layout(kcore)
        memmap = block_size // x86_64.PAGE_SIZE * layout.struct_page
        walk = _Walker(kcore, layout)
        for first, last in runs(ids):
            walk.descend(first * memmap, (last + 1) * memmap)
        return Walk(layout.struct_page, walk.leaves)


class _Walker(object):

    def __init__(self, kcore, layout):
        self.leaves = []
        self._kcore = kcore
        self._layout = layout
        self._tables = {}
        self._root = _TABLE.unpack(layout.root)
        self._top = x86_64.PAGE_SHIFT + x86_64.BITS_PER_LEVEL * (layout.levels - 1)
        # Indices come from the low bits of an address; the bits above them only repeat the highest.
        self._base = layout.vmemmap & ((1 << self._top + x86_64.BITS_PER_LEVEL) - 1)

    def descend(self, start, end):
        """Add the leaves behind offsets ``start`` to ``end`` (exclusive) of the memmap."""
        if self._base + end > 1 << self._top + x86_64.BITS_PER_LEVEL:
            raise TestbedError("the memmap would lie beyond the kernel's address space: VMCOREINFO is damaged")
        self._table(self._root, self._top, 0, self._base + start, self._base + end)

    def _table(self, entries, shift, origin, start, end):
        """One table page: ``shift`` bits of address below its entries, the first of which stands for address ``origin``."""
        size = 1 << shift
        physical = self._layout.physical & ~(size - 1)
        may_be_leaf = shift in x86_64.HUGE_SHIFTS
        for index in range((start - origin) >> shift, ((end - 1 - origin) >> shift) + 1):
            entry = entries[index]
            if not entry & x86_64.PRESENT:
                continue
            place = origin + (index << shift)
            if shift == x86_64.PAGE_SHIFT or may_be_leaf and entry & x86_64.HUGE:
                self._leaf(place, size, entry & physical, start, end)
            else:
                self._table(self._read(entry & self._layout.physical), shift - x86_64.BITS_PER_LEVEL, place, max(start, place), min(end, place + size))

    def _leaf(self, place, size, address, start, end):
        if place < start:
            address += start - place
            size -= start - place
            place = start
        if place + size > end:
            size = end - place
        offset = place - self._base
        if self.leaves:
            last_offset, last_size, last_address = self.leaves[-1]
            if last_offset + last_size == offset and last_address + last_size == address:
                self.leaves[-1] = (last_offset, last_size + size, last_address)
                return
        self.leaves.append((offset, size, address))

    def _read(self, physical):
        table = self._tables.get(physical)
        if table is None:
            table = self._tables[physical] = _TABLE.unpack(self._kcore.read_physical(physical, x86_64.PAGE_SIZE))
        return table


def locate(blocks, leaves, geometry):
    """``{block id: Location}``.

    :arg blocks: ``{id: Block}`` ascending, all blocks of the machine: they also tell the node of a physical address.
    :arg leaves: as in :class:`Walk`. :arg geometry: :class:`Geometry`.
    """
    memmap, size = geometry.memmap, geometry.block_size
    located = {}
    index, count = 0, len(leaves)
    # Few answers, tens of thousands of blocks. hosted: nodes of a self-hosted block -> nodes of its Location;
    # known: nodes of another block, nodes of its memmap -> word and nodes of its Location.
    hosted, known = {}, {}
    for number, block in blocks.items():
        start = number * memmap
        end = start + memmap
        while index < count and leaves[index][0] + leaves[index][1] <= start:
            index += 1
        if index == count or leaves[index][0] >= end:
            located[number] = NOWHERE
            continue
        offset, length, physical = leaves[index]
        if physical == number * size and offset == start and length == memmap and block.nodes in hosted:
            located[number] = Location(SELF, hosted[block.nodes], ((physical, memmap),))
            continue
        physical += start - offset
        home = blocks.get(physical // size)
        if offset <= start and offset + length >= end and home and physical % size + memmap <= size:
            # In one piece, within one block: nearly all are.
            if physical == number * size:
                hosted[block.nodes] = ((home.node, memmap),)
                located[number] = Location(SELF, hosted[block.nodes], ((physical, memmap),))
                continue
            pair = (block.nodes, home.nodes)
            if pair not in known:
                nodes = ((home.node, memmap),)
                known[pair] = (_word(block, dict(nodes)), nodes)
            word, nodes = known[pair]
            located[number] = Location(word, nodes, ((physical, memmap),))
        else:
            located[number] = _located(block, distinct(_pieces(leaves, index, start, end)), blocks, size)
    return located


def _pieces(leaves, index, start, end):
    """Physical runs behind offsets ``start`` to ``end``, from leaf number ``index`` on."""
    while index < len(leaves) and leaves[index][0] < end:
        offset, length, physical = leaves[index]
        skip = max(start - offset, 0)
        yield physical + skip, min(offset + length, end) - offset - skip
        index += 1


def _located(block, pieces, blocks, size):
    """:class:`Location` of a block whose memmap is in ``pieces``."""
    nodes = {}
    for physical, length in pieces:
        while length:
            home = blocks.get(physical // size)
            part = min(length, size - physical % size)
            node = home.node if home else None
            nodes[node] = nodes.get(node, 0) + part
            physical += part
            length -= part
    return Location(_word(block, nodes), tuple(sorted(nodes.items(), key=lambda item: (item[0] is None, item[0]))), pieces)


def _word(block, nodes):
    """What to call a memmap that is on ``nodes`` (their ids are the keys) and is not just its block's first pages."""
    if None in nodes or not block.nodes:
        return UNKNOWN
    own = [node for node in nodes if node in block.nodes]
    return MIXED if own and len(own) < len(nodes) else SAME_NODE if own else OTHER_NODE


def distinct(pieces):
    """Physical runs, ascending, joined, each byte once: with the hugetlb vmemmap optimisation several struct pages share a page."""
    joined = []
    for physical, length in sorted(pieces):
        if joined and physical <= joined[-1][0] + joined[-1][1]:
            end = max(joined[-1][0] + joined[-1][1], physical + length)
            joined[-1] = (joined[-1][0], end - joined[-1][0])
        else:
            joined.append((physical, length))
    return tuple(joined)


def runs(ids):
    """``[0, 1, 2, 7]`` -> ``[(0, 2), (7, 7)]``; ``ids`` ascending."""
    found = []
    for number in ids:
        if found and found[-1][1] + 1 == number:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
