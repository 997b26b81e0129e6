# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the kernel did with a memmap what it was told, by its own page tables: the knob alone proves nothing, and from 6.8 on the kernel falls back in silence."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel, page_tables


def refuse_astray(host, entries):
    """Raise :class:`TestbedError` where the memmap of one of ``entries`` is not where it was asked for. Their blocks may be offline.

    :arg entries: each with ``who``, ``blocks`` and ``on_device``.
    Nothing is raised where the tables cannot be read (lockdown, not x86-64, no /proc/kcore): memmap_facts has other proofs, once blocks are online.
    """
    unit = block_size(host)
    ids = sorted(number for entry in entries for number in entry.blocks)
    try:
        walk = page_tables.read_leaves(host, ids, unit)
        located = page_tables.locate(read_blocks(host), walk.leaves, kernel.read_geometry(host, unit, walk.struct_page))
    except TestbedError:
        return
    devices = {number: device for device in dax.read_all(host) if device.driver == "kmem" for number in dax.whole_blocks(device, unit)[0]}
    for entry in entries:
        for number in entry.blocks:
            astray = located[number].placement != page_tables.SELF if entry.on_device else _on_a_device(located[number].runs, devices, unit)
            if astray:
                nodes = ", ".join("node %s" % node for node, unused in located[number].nodes)
                raise TestbedError("%s: the kernel put the memmap of memory block %d on %s%s, wanted %s"
                                   % (entry.who, number, nodes, "" if entry.on_device else ", on memory of a device", "the block itself" if entry.on_device else "DRAM"),
                                   remedy="use memmap: dram" if entry.on_device else "put what is online in kernel zones of devices in the movable zone first")


def _on_a_device(runs, devices, unit):
    return any(number in devices for start, length in runs for number in range(start // unit, (start + length - 1) // unit + 1))
