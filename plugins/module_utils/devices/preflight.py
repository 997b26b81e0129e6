# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Can the memmap be where it is wanted? Asked before anything is changed, because the kernel asks only while memory is added.

An ordinary memmap is allocated with GFP_KERNEL (mm/sparse-vmemmap.c:vmemmap_alloc_block, 6.1 to 7.3): from kernel zones, on
the new memory's node first, then on the nearest one.
"""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, dax, parts
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import NODES, block_nodes, block_size, blocks_of_range, numbered, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import read_zones
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

STRUCT_PAGE = 64  # bytes, where the kernel does not tell: on every 64-bit distribution kernel from 6.1 to 7.3; debugging options make it larger


def memmap_bytes(size, page_size, struct_page=STRUCT_PAGE):
    """Bytes of struct pages for ``size`` bytes of memory: 1/64 of it at 4 KiB pages."""
    return size // page_size * struct_page


def available(zones, nodes):
    """Pages that kernel zones of ``nodes`` can give: free above the high watermark, and half or more of the page cache.

    As mm/show_mem.c:si_mem_available counts, for these zones only.

    :arg zones: list of :class:`~.zones.Zone`.
    """
    total = 0
    for zone in zones:
        if zone.node in nodes and zone.name in online.KERNEL_ZONES:
            total += max(0, zone.free - zone.high) + max(0, zone.cache - min(zone.cache // 2, zone.low))
    return total


def dram_nodes(host, devices, unit):
    """Nodes that have memory which no dax device brought.

    :arg devices: all :class:`dax.DaxDevice` of the machine.
    :arg unit: bytes in a memory block.
    """
    hot = dax.hot_added(host, devices, unit)
    return sorted({node for block, nodes in block_nodes(host).items() if block not in hot for node in nodes})


def refuse_unless_fits(host, size, devices, unit):
    """Raise :class:`TestbedError`, with the figures, unless the memmap of ``size`` more bytes fits in free DRAM."""
    page_size = os.sysconf("SC_PAGE_SIZE")
    needed = memmap_bytes(size, page_size, kernel.read_geometry(host, unit).struct_page or STRUCT_PAGE)
    nodes = dram_nodes(host, devices, unit)
    free = available(read_zones(host), nodes) * page_size
    if needed > free:
        raise TestbedError("the memmap of %s needs %s of DRAM, and node %s can give %s"
                           % (format_size(size), _mega(needed), ", ".join(map(str, nodes)), _mega(free)),
                           remedy="use memmap: device, add less, or free memory first", any_kernel=True)


def refuse_no_self_hosting(host, padded=False):
    """Raise :class:`TestbedError` where the running kernel keeps no memmap on a device, whatever its boot parameter says. What cannot be told passes.

    :arg padded: whether the boot parameter is to be ``force``.
    """
    parameter = dax.boot_parameter(host)
    if parameter is None:
        raise dax.no_self_hosting(host)
    geometry = kernel.read_geometry(host, block_size(host))
    possible, why_not = kernel.would_support(host, geometry._replace(padded=padded or geometry.padded), dax.release(host), parameter)
    if possible is False:
        raise TestbedError("this kernel (%s) cannot keep a memmap on the device: %s" % (dax.release(host), why_not),
                           remedy="use another kernel, or memmap: dram", lasting=True)


def refuse_impossible(host, regions):
    """Refuse, before there is a region, what later steps would refuse to make of it. Raises :class:`TestbedError`.

    :arg regions: of each region to be made, what it is called, its first byte, its bytes, and ``{"memmap", "parts", "count"}`` as the task says it.
    """
    unit, to_dram = block_size(host), 0
    for who, start, size, memory in regions:
        wanted = memory.get("parts") or [{"size": "all", "memmap": memory.get("memmap")}]
        blocks = 0
        for part, (first, last) in zip(wanted, parts.lay_out(who, start, size, [part["size"] for part in wanted], unit)):
            if part.get("mode") == "devdax":
                continue
            memmap, whole = part.get("memmap") or memory.get("memmap"), len(blocks_of_range(first, last + 1 - first, unit))
            if not whole:
                raise TestbedError("%s: %s of it hold no whole memory block of %s" % (who, format_size(last + 1 - first), format_size(unit)))
            blocks += whole
            if memmap == "dram":
                to_dram += whole * unit
            elif memmap == "device" and dax.boot_parameter(host) != "N":
                refuse_no_self_hosting(host)
        refuse_count(memory, blocks, unit, who)
    if to_dram:
        refuse_unless_fits(host, to_dram, dax.read_all(host), unit)


def refuse_count(memory, blocks, unit, who):
    """Raise :class:`TestbedError` where ``memory`` has a ``count`` that ``blocks`` memory blocks cannot give."""
    if memory.get("count") is not None:
        amounts.parse_count(memory["count"], blocks, unit, who)


def refuse_drawn(host, who, node, devices, going, unit):
    """With the knob off the kernel takes the memmap from kernel zones, the device's own node first, then the nearest: refuse where that is a device's.

    :arg node: the node that the new memory will belong to.
    :arg devices: all :class:`dax.DaxDevice` of the machine. :arg going: names of those whose memory does not stay as it is meanwhile.
    """
    dram = dram_nodes(host, devices, unit)
    leaving = {number for device in devices if device.name in going for number in dax.whole_blocks(device, unit)[0]}
    staying = read_blocks(host, dax.hot_added(host, devices, unit) - leaving).values()
    kept = [block for block in staying if block.online and online.zone_kind(block.zone) != "movable"]
    for other, block in {block.node: block for block in reversed(kept)}.items():
        if not _is_nearer(host, node, dram, other):
            raise TestbedError("%s: its memmap would not go to DRAM: memory block %d of another device is online in a kernel zone of node %s, "
                               "and the kernel takes the memmap of memory on node %d from there first" % (who, block.id, other, node),
                               remedy="add dram devices before anything goes online in a kernel zone, or put the others' blocks in the movable zone")


def _is_nearer(host, node, dram, other):
    """Whether DRAM is nearer to ``node`` than the node ``other`` is. Where equal, the kernel prefers nodes without processors, so not DRAM
    (mm/page_alloc.c:find_next_best_node, 6.1 to 7.3); a node without memory has no distances yet, and any answer is then possible.
    """
    if other == node:
        return False
    known = numbered(host.listdir(NODES), "node")
    distances = (host.read_optional("%s/node%d/distance" % (NODES, node)) or "").split()
    if len(distances) != len(known):
        return False
    distance = dict(zip(known, map(int, distances)))
    return other in distance and any(distance[number] < distance[other] for number in dram if number in distance)


def _mega(count):
    return "%.1f MiB" % (count / float(1 << 20))
