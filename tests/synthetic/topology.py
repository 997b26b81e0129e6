# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tree of a host as the recorder writes it, made from a guest of a testbed file: PCI, CXL bus, ACPI tables, NVDIMMs, nodes and blocks."""
from __future__ import annotations

import os
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import validation
from ansible_collections.memlab.testbed.plugins.module_utils.twin import acpi

BLOCK = 128 << 20
WAYS = {ways: code for code, ways in acpi.WAYS.items()}


class Tree(object):
    """Writes below a directory."""

    def __init__(self, root):
        self.root = str(root)

    def put(self, name, text):
        path = self.root + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(text if isinstance(text, bytes) else text.encode("utf-8") + b"\n")

    def link(self, name, target):
        """From one absolute place to another, as sysfs does: relative."""
        path = self.root + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.makedirs(self.root + target, exist_ok=True)
        os.symlink(os.path.relpath(target, os.path.dirname(name)), path)


def write(root, guest, blocks=BLOCK):
    """The tree of ``guest``, a :class:`~..topology.Guest`."""
    tree = Tree(root)
    tree.put("/proc/sys/kernel/osrelease", "6.12.90+deb13-amd64")
    tree.put("/proc/sys/kernel/arch", "x86_64")
    tree.put("/proc/cmdline", " ".join(guest.kernel_parameters))
    tree.put("/sys/devices/system/memory/block_size_bytes", "%x" % blocks)
    _nodes(tree, guest, blocks)
    _tables(tree, guest)
    _cxl(tree, guest)
    for index, nvdimm in enumerate(guest.nvdimms):
        _nvdimm(tree, index, nvdimm)


def _nodes(tree, guest, blocks):
    number = 0
    online = [index for index, node in enumerate(guest.numa.nodes) if node.memory or node.cpus]
    for index in online:
        node, base = guest.numa.nodes[index], "/sys/devices/system/node/node%d" % index
        tree.put(base + "/cpulist", ",".join(map(str, node.cpus)))
        rows = guest.numa.distances or [[10 if one == other else 20 for other in range(len(guest.numa.nodes))] for one in range(len(guest.numa.nodes))]
        tree.put(base + "/distance", " ".join(str(rows[index][other]) for other in online))
        for unused in range(node.memory // blocks):
            tree.put("/sys/devices/system/memory/memory%d/state" % number, "online")
            tree.link("%s/memory%d" % (base, number), "/sys/devices/system/memory/memory%d" % number)
            number += 1


def _table(signature, rest):
    return struct.pack("<4sIB27x", signature.encode("ascii"), 36 + len(rest), 1) + rest


def _tables(tree, guest):
    srat = bytes(12)
    for index, node in enumerate(guest.numa.nodes):
        for cpu in node.cpus:
            srat += struct.pack("<BBBBIBBBBI", 0, 16, index, cpu, 1, 0, 0, 0, 0, 0)
    for index, unused in enumerate(guest.numa.nodes):
        srat += struct.pack("<BBIHQQIIQ", 1, 40, index, 0, 0, 0, 0, 1, 0)
    tree.put(acpi.SRAT, _table("SRAT", srat))
    hmat = b""
    for kind, scale, value in ((0, 1000, "latency"), (3, 1, "bandwidth")):
        for entry in guest.numa.hmat:
            amount = getattr(entry, value) // (1 if kind == 0 else acpi.MIB)
            base = scale
            while amount >= 0xffff:
                amount, base = amount // 2, base * 2
            hmat += struct.pack("<HHIBBBBIIIQIIH", 1, 0, 42, 0, kind, 0, 0, 1, 1, 0, base, entry.initiator, entry.target, amount)
    if hmat:
        tree.put(acpi.HMAT, _table("HMAT", bytes(4) + hmat))
    cedt, start = b"", 1 << 40
    uids = {bridge.name: 12 + index for index, bridge in enumerate(guest.cxl.host_bridges)}
    for window in guest.cxl.windows:
        targets = [uids[name] for name in window.targets]
        granularity = (window.granularity // 256).bit_length() - 1
        cedt += struct.pack("<BBHIQQBBHIHH%dI" % len(targets), 1, 0, 36 + 4 * len(targets), 0, start, window.size, WAYS[len(targets)], 0, 0, granularity,
                            15, 0, *targets)
        start += window.size
    if cedt:
        tree.put(acpi.CEDT, _table("CEDT", cedt))


def _cxl(tree, guest):
    bus = validation.FIRST_BUS
    for index, bridge in enumerate(guest.cxl.host_bridges):
        root, acpi_place = "pci0000:%02x" % bus, "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0016:%02x" % index
        tree.put(acpi_place + "/uid", str(12 + index))
        tree.link(acpi_place + "/physical_node", "/sys/devices/" + root)
        tree.link("/sys/bus/acpi/devices/ACPI0016:%02x" % index, acpi_place)
        below = bus + 1
        for number, port in enumerate(bridge.root_ports):
            place = "/sys/devices/%s/0000:%02x:%02x.0" % (root, bus, number)
            _function(tree, place, "0x060400")
            if port.switch is None:
                _device(tree, guest, port.device, "%s/0000:%02x:00.0" % (place, below))
                below += 1
                continue
            upstream = "%s/0000:%02x:00.0" % (place, below)
            _function(tree, upstream, "0x060400")
            inner = below + 1
            below += 2
            for slot, downstream in enumerate(port.switch.downstream_ports):
                place = "%s/0000:%02x:%02x.0" % (upstream, inner, slot)
                _function(tree, place, "0x060400")
                _device(tree, guest, downstream.device, "%s/0000:%02x:00.0" % (place, below))
                below += 1
        bus += validation.bus_count(bridge)


def _function(tree, place, kind):
    tree.put(place + "/class", kind)
    tree.link("/sys/bus/pci/devices/" + place.rpartition("/")[2], place)


def _device(tree, guest, name, place):
    if name is None:
        return
    device = guest.cxl.device(name)
    number = len(os.listdir(tree.root + "/sys/bus/cxl/devices")) if os.path.isdir(tree.root + "/sys/bus/cxl/devices") else 0
    _function(tree, place, "0x050210")
    memory = "%s/mem%d" % (place, number)
    for attribute, value in (("serial", "%#x" % device.serial), ("ram/size", "%#x" % device.volatile), ("pmem/size", "%#x" % device.persistent),
                             ("label_storage_size", str(device.label_area or 0))):
        tree.put("%s/%s" % (memory, attribute), value)
    tree.link("/sys/bus/cxl/devices/mem%d" % number, memory)


def _nvdimm(tree, index, nvdimm):
    place = "/sys/devices/LNXSYSTM:00/ACPI0012:00/ndbus0/nmem%d" % index
    tree.put(place + "/nfit/handle", "%#x" % (index + 1))
    tree.put(place + "/nfit/id", "8680-%08x" % index)
    tree.put(place + "/commands", "get_size get_data set_data" if nvdimm.label_area else "cmd_call")
    if nvdimm.label_area:
        labels = nvdimm.label_area // 256
        index_size = -(-(72 + -(-labels // 8)) // 256) * 256
        tree.put(place + "/available_slots", str(labels - 2 * index_size // 256 - 1))
    tree.link("/sys/bus/nd/devices/nmem%d" % index, place)
    region = "/sys/devices/LNXSYSTM:00/ACPI0012:00/ndbus0/region%d" % index
    for attribute, value in (("devtype", "nd_pmem"), ("size", str(nvdimm.size)), ("mappings", "1"), ("mapping0", "nmem%d,0,%d,0" % (index, nvdimm.size)),
                             ("resource", "%#x" % ((1 << 42) + (index << 36))), ("target_node", str(nvdimm.node))):
        tree.put("%s/%s" % (region, attribute), value)
    tree.link("/sys/bus/nd/devices/region%d" % index, region)
