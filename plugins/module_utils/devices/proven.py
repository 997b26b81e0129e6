# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the kernel did with a memmap what it was told, by its own page tables.

The knob alone proves nothing: a kernel that cannot keep a memmap on the device puts it elsewhere without a word (mm/memory_hotplug.c, 6.8 to 7.3).
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel, page_tables


# {who: in words} of entries whose memmap is not where it was asked for, and {who: why} of those of which that cannot be said
Proof = collections.namedtuple("Proof", "astray unproven")


def look(host, entries):
    """:class:`Proof`. Their blocks may be offline.

    :arg entries: each with ``who``, ``blocks`` and ``on_device``.
    All are unproven where the tables cannot be read (lockdown, not x86-64, no /proc/kcore): memmap_facts has other proofs, once blocks are online.
    """
    unit = block_size(host)
    ids = sorted(number for entry in entries for number in entry.blocks)
    try:
        walk = page_tables.read_leaves(host, ids, unit) if ids else None
        located = page_tables.locate(read_blocks(host), walk.leaves, kernel.read_geometry(host, unit, walk.struct_page)) if walk else {}
    except TestbedError as exc:
        return Proof({}, {entry.who: exc.summary for entry in entries})
    hot = dax.hot_added(host, dax.read_all(host), unit)
    proof = Proof({}, {})
    for entry in entries:
        for number in [number for number in entry.blocks if number in located]:
            if located[number] == page_tables.NOWHERE:
                proof.unproven.setdefault(entry.who, "the kernel's page tables have no memmap of memory block %d" % number)
                continue
            nodes = ", ".join(str(node) for node, unused in located[number].nodes)
            if entry.on_device and located[number].placement != page_tables.SELF:
                words = "the memmap of memory block %d lies on node %s, not in the block itself" % (number, nodes)
            elif not entry.on_device and _touches(located[number].runs, hot, unit):
                words = "the memmap of memory block %d lies on a device, on node %s" % (number, nodes)
            else:
                continue
            proof.astray.setdefault(entry.who, words)
    return proof


def refuse_astray(host, entries):
    """Raise :class:`TestbedError` for the first that is astray. Returns those that are unproven, as in :class:`Proof`."""
    proof = look(host, entries)
    for who, words in proof.astray.items():
        raise TestbedError("%s: %s, although the kernel was told otherwise and said nothing" % (who, words),
                           remedy="see memmap_facts, and ask for the placement that this kernel can do")
    return proof.unproven


def _touches(runs, blocks, unit):
    return any(number in blocks for start, length in runs for number in range(start // unit, (start + length - 1) // unit + 1))
