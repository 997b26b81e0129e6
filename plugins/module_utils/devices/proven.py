# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the kernel did with a memmap what it was told, by its own page tables.

The knob alone proves nothing: a kernel that cannot keep a memmap on the device puts it elsewhere without a word (mm/memory_hotplug.c, 6.8 to 7.3).
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel, page_tables


def astray(host, entries):
    """``{who: in words}`` of those entries whose memmap is not where it was asked for. Their blocks may be offline.

    :arg entries: each with ``who``, ``blocks`` and ``on_device``.
    Empty where the tables cannot be read (lockdown, not x86-64, no /proc/kcore): memmap_facts has other proofs, once blocks are online.
    """
    unit = block_size(host)
    ids = sorted(number for entry in entries for number in entry.blocks)
    try:
        walk = page_tables.read_leaves(host, ids, unit) if ids else None
        located = page_tables.locate(read_blocks(host), walk.leaves, kernel.read_geometry(host, unit, walk.struct_page)) if walk else {}
    except TestbedError:
        return {}
    devices = {number: device for device in dax.read_all(host) if device.driver == "kmem" for number in dax.whole_blocks(device, unit)[0]}
    found = {}
    for entry in entries:
        for number in [number for number in entry.blocks if number in located]:
            nodes = ", ".join(str(node) for node, unused in located[number].nodes)
            if entry.on_device and located[number].placement != page_tables.SELF:
                found[entry.who] = "the memmap of memory block %d lies on node %s, not in the block itself" % (number, nodes)
            elif not entry.on_device and _touches(located[number].runs, devices, unit):
                found[entry.who] = "the memmap of memory block %d lies on a device, on node %s" % (number, nodes)
    return found


def refuse_astray(host, entries):
    """Raise :class:`TestbedError` for the first of :func:`astray`."""
    for who, words in astray(host, entries).items():
        raise TestbedError("%s: %s, although the kernel was told otherwise and said nothing" % (who, words),
                           remedy="see memmap_facts, and ask for the placement that this kernel can do")


def _touches(runs, devices, unit):
    return any(number in devices for start, length in runs for number in range(start // unit, (start + length - 1) // unit + 1))
