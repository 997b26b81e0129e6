# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A whole machine as a tree of /proc and /sys: as many memory blocks as wanted, dax devices, and evidence for all proofs that fits together."""
from __future__ import annotations

import collections
import os
import struct

from ansible_collections.memlab.testbed.tests.synthetic import kcore

PAGE = 4096
MARKER = 0x2000000000
BUDDY = 0x400

# first block and number of blocks; node; placement: "self" or "dram"; zone; how many of its blocks, from the first on, are online
Device = collections.namedtuple("Device", ("first", "blocks", "node", "placement", "zone", "online"))


class Machine(object):
    """``boot`` blocks of DRAM on node 0 from address 0 on, and ``devices``."""

    def __init__(self, boot, devices, block_size=128 << 20, struct_page=64, levels=4):
        self.boot = boot
        self.devices = devices
        self.block_size = block_size
        self.struct_page = struct_page
        self.levels = levels
        self.memmap = block_size // PAGE * struct_page

    def blocks(self):
        """``(id, node, zone or None for offline)`` of each block."""
        for number in range(self.boot):
            yield number, 0, "Normal"
        for device in self.devices:
            for index in range(device.blocks):
                yield device.first + index, device.node, device.zone if index < device.online else None

    def mappings(self):
        """The memmap as :func:`kcore.write` wants it. Boot memory's is in one piece, that of devices in DRAM is scattered, highest page first."""
        # The kernel takes the memmap of boot memory from the end of a node.
        yield 0, self.boot * self.memmap, self.boot * (self.block_size - self.memmap)
        free = (self.boot * (self.block_size - self.memmap) - self.memmap) // self.memmap * self.memmap
        for device in self.devices:
            for number in range(device.first, device.first + device.blocks):
                if device.placement == "self":
                    yield number * self.memmap, self.memmap, number * self.block_size
                else:
                    free -= 2 * self.memmap
                    yield number * self.memmap, self.memmap, free

    def write(self, root):
        """Write the tree below the directory ``root``."""
        self._memory(root)
        self._dax(root)
        proc = os.path.join(root, "proc")
        os.makedirs(os.path.join(proc, "sys/kernel"))
        _put(proc, "sys/kernel/osrelease", "6.12.95")
        _put(proc, "zoneinfo", self._zoneinfo())
        kcore.write(os.path.join(proc, "kcore"), self.mappings(), levels=self.levels, struct_page=self.struct_page,
                    ram=((kcore.LOWEST_RAM, self.boot * self.block_size - kcore.LOWEST_RAM),))
        self._kpageflags(os.path.join(proc, "kpageflags"))
        for directory in ("module/memory_hotplug/parameters", "kernel/mm/hugepages/hugepages-2048kB"):
            os.makedirs(os.path.join(root, "sys", directory))
        _put(root, "sys/module/memory_hotplug/parameters/memmap_on_memory", "Y")
        _put(root, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0")

    def _memory(self, root):
        memory, nodes = os.path.join(root, "sys/devices/system/memory"), os.path.join(root, "sys/devices/system/node")
        os.makedirs(memory)
        _put(memory, "block_size_bytes", "%x" % self.block_size)
        for node in sorted({0} | {device.node for device in self.devices}):
            os.makedirs("%s/node%d" % (nodes, node))
            _put(nodes, "node%d/meminfo" % node, "Node %d MemTotal:       16777216 kB\nNode %d MemFree:         1048576 kB" % (node, node))
            _put(nodes, "node%d/cpulist" % node, "" if node else "0-3")
        for number, node, zone in self.blocks():
            name = "memory%d" % number
            os.mkdir("%s/%s" % (memory, name))
            for attribute, value in (("state", "online" if zone else "offline"), ("valid_zones", zone or "Normal Movable"), ("removable", "1"),
                                     ("phys_index", "%08x" % number), ("online", "1" if zone else "0"), ("phys_device", "0")):
                _put(memory, "%s/%s" % (name, attribute), value)
            os.symlink("../../node/node%d" % node, "%s/%s/node%d" % (memory, name, node))
            os.symlink("../../memory/%s" % name, "%s/node%d/%s" % (nodes, node, name))

    def _dax(self, root):
        for directory in ("bus/dax/devices", "bus/dax/drivers/kmem", "devices/virtual/dax"):
            os.makedirs(os.path.join(root, "sys", directory))
        for index, device in enumerate(self.devices):
            name = "dax%d.0" % index
            real = os.path.join(root, "sys/devices/virtual/dax", name)
            os.makedirs(os.path.join(real, "mapping0"))
            start, size = device.first * self.block_size, device.blocks * self.block_size
            for attribute, value in (("size", size), ("target_node", device.node), ("memmap_on_memory", 1 if device.placement == "self" else 0),
                                     ("mapping0/start", "0x%x" % start), ("mapping0/end", "0x%x" % (start + size - 1))):
                _put(real, attribute, value)
            os.symlink("../../../../bus/dax/drivers/kmem", os.path.join(real, "driver"))
            os.symlink("../../../devices/virtual/dax/" + name, os.path.join(root, "sys/bus/dax/devices", name))

    def _zoneinfo(self):
        pages = self.block_size // PAGE
        hosted = {device.node: self.memmap // PAGE if device.placement == "self" else 0 for device in self.devices}
        counts = collections.Counter((node, zone) for unused, node, zone in self.blocks() if zone)
        return "\n".join(
            "Node %d, zone %8s\n  pages free     1024\n        boost    0\n        min      16\n        spanned  %d\n        present  %d\n        managed  %d\n"
            "        cma      0\n      nr_free_pages 1024\n  pagesets\n    cpu: 0\n              count: 0\n  node_unreclaimable:  0\n  start_pfn:           %d"
            % (node, zone, count * pages, count * pages, count * (pages - hosted.get(node, 8)), 1) for (node, zone), count in sorted(counts.items()))

    def _kpageflags(self, path):
        pages, reserved = self.block_size // PAGE, self.memmap // PAGE
        selves = {number for device in self.devices if device.placement == "self" for number in range(device.first, device.first + device.online)}
        own = struct.pack("<Q", MARKER) * reserved + struct.pack("<Q", BUDDY) * 8
        other = struct.pack("<Q", BUDDY) * (reserved + 8)
        with open(path, "wb") as stream:
            for number, unused, zone in self.blocks():
                if zone:
                    stream.seek(number * pages * 8)
                    stream.write(own if number in selves else other)


def _put(directory, name, value):
    with open(os.path.join(directory, name), "w", encoding="ascii") as stream:
        stream.write("%s\n" % value)
