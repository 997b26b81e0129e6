# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks: the unit in which the kernel adds memory and takes it online.

A block has an id; it covers the physical bytes from ``id * block size`` on. Kernel: drivers/base/memory.c,
Documentation/ABI/testing/sysfs-devices-memory (6.1 to 7.3, unchanged in what is read here).
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

MEMORY = "/sys/devices/system/memory"
NODES = "/sys/devices/system/node"

# What valid_zones says of an online block whose pages belong to several zones; such a block cannot go offline.
SEVERAL_ZONES = "none"
# Pages of a block that is going offline are still in their zone.
ONLINE = ("online", "going-offline")
# Bytes of a block, from powerpc's smallest on: on x86-64 128 MiB to 2 GiB. A damaged capture must not cost memory without end.
SMALLEST, LARGEST = 16 << 20, 64 << 30


class Block(collections.namedtuple("Block", ("id", "state", "zones", "nodes"))):
    """One memory block.

    ``state``: ``online``, ``offline`` or ``going-offline``, as the kernel says it; ``None`` where the block vanished meanwhile.
    ``zones``: tuple of zone names. Online: the zone, or ``none`` (several). Offline: the zones it may go to, the default first.
    ``nodes``: tuple of node ids, nearly always one; early memory may straddle two.
    """

    __slots__ = ()

    @property
    def online(self):
        return self.state in ONLINE

    @property
    def zone(self):
        """Zone of an online block, ``none`` for one in several zones, else ``None``."""
        return self.zones[0] if self.state == "online" and self.zones else None

    @property
    def node(self):
        """The block's node, or ``None`` where there is none or more than one."""
        return self.nodes[0] if len(self.nodes) == 1 else None


def block_size(host):
    """Bytes per memory block. The file holds hexadecimal digits without 0x.

    Raises :class:`TestbedError` where the kernel has no memory blocks (CONFIG_MEMORY_HOTPLUG off) or the file is damaged.
    """
    name = MEMORY + "/block_size_bytes"
    if not host.exists(name):
        raise TestbedError("the kernel has no memory blocks (%s is absent)" % name, remedy="it needs CONFIG_MEMORY_HOTPLUG")
    size = host.read_int(name, 16)
    if size & (size - 1) or not SMALLEST <= size <= LARGEST:
        raise TestbedError("%s does not hold a power of two from 16M to 64G: %.60s" % (name, "%#x" % size))
    return size


def block_ids(host):
    """Ids of all memory blocks, ascending."""
    return numbered(host.listdir(MEMORY, ordered=False), "memory")


def read_blocks(host, ids=None):
    """``{id: Block}`` in ascending order of ids.

    :arg ids: only these blocks; default all. An id without a block is left out.
    One directory listing per node tells the nodes, one read per block its state, one more its zones.
    """
    present = block_ids(host)
    if ids is not None:
        wanted = frozenset(ids)
        present = [number for number in present if number in wanted]
    states = host.read_each(MEMORY, ["memory%d/state" % number for number in present])
    zones = host.read_each(MEMORY, ["memory%d/valid_zones" % number for number in present])
    nodes = block_nodes(host)
    # Few distinct answers: each is decoded once.
    words = {state: None if state is None else state.decode("ascii", "replace") for state in set(states)}
    names = {zone: () if zone is None else tuple(zone.decode("ascii", "replace").split()) for zone in set(zones)}
    return {number: Block(number, words[state], names[zone], nodes.get(number, ())) for number, state, zone in zip(present, states, zones)}


def block_nodes(host):
    """``{block id: tuple of node ids}``, from the memory links in the nodes' directories (kernel: register_memory_block_under_node)."""
    found = {}
    for node in numbered(host.listdir(NODES), "node"):
        numbers = numbered(host.listdir("%s/node%d" % (NODES, node), ordered=False), "memory")
        shared = [(number, found[number] + (node,)) for number in numbers if number in found]
        found.update(dict.fromkeys(numbers, (node,)))
        found.update(shared)
    return found


def blocks_of_range(start, size, block_size):
    """``range`` of the block ids that lie wholly within ``size`` bytes from physical address ``start``.

    As dax/kmem trims a device to whole blocks before it adds it (drivers/dax/kmem.c: dax_kmem_range, 5.10 to 7.3).
    """
    first = -(-start // block_size)
    return range(first, max(first, (start + size) // block_size))


def numbered(names, prefix):
    """``["memory7", "memory32", "uevent"]`` -> ``[7, 32]``."""
    length = len(prefix)
    return sorted([int(name[length:]) for name in names if name[:length] == prefix and name.isascii() and name[length:].isdecimal()])
