# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A machine as a guest of a testbed file: what it is scaled to, and what an emulated machine cannot have.

What is returned passes the testbed file's validation: every number is brought to where that accepts it, and said.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import topology, validation
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, K, M, format_size
from ansible_collections.memlab.testbed.plugins.module_utils.twin import acpi, scale
from ansible_collections.memlab.testbed.plugins.module_utils.twin.observed import Unexpressed

# Memory blocks of a guest: x86 with less than 64 GiB (arch/x86/mm/init_64.c: probe_memory_block_size), and the least DRAM of a node of ours.
BLOCK = 128 * M
NODE_UNIT = 256 * M
LARGEST_WINDOW = 16 * G
NVDIMM_UNIT = topology.NVDIMM_UNIT
# Boot parameters that mean the same on the twin, and those among the recorded ones that name addresses or amounts of the host.
_CARRIED = re.compile(r"memory_hotplug\.|memhp_default_state=|movable_node|numa_balancing=|dax|cxl|nd_|libnvdimm|efi=nosoftreserve")
# The kernel of the guest image's suite.
_SUITES_KERNEL = re.compile(r"6\.12\.[0-9].*deb13")
_PARAMETERS, _RELEASE, _BLOCK_SIZE = "/proc/cmdline", "/proc/sys/kernel/osrelease", "/sys/devices/system/memory/block_size_bytes"


@dataclass
class Twin:
    """``guest``: as a testbed file has it. ``scaled``: dictionaries of what, host, twin. The rest is what :mod:`declared` needs to carry a declaration over."""

    guest: Dict[str, Any]
    scaled: List[Dict[str, str]] = field(default_factory=list)
    unexpressed: List[Unexpressed] = field(default_factory=list)
    # PCI address -> topology.MemoryDevice's keys, in bytes; NVDIMM's id -> (handle of the twin's, bytes of the host's, of the twin's)
    devices: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    nvdimms: Dict[str, tuple] = field(default_factory=dict)

    def say(self, what, host, twin):
        if host != twin:
            self.scaled.append({"what": what, "host": str(host), "twin": str(twin)})

    def say_size(self, what, host, twin):
        self.say(what, format_size(host), format_size(twin))


def express(machine, capacity, memory, cpus, image):
    """:class:`Twin` of a machine.

    :arg capacity: bytes that its CXL memory devices and NVDIMMs may have together. :arg memory: likewise its DRAM. :arg cpus: how many processors.
    :arg image: of the testbed file. Raises :class:`TestbedError` where these are too few for what the machine has.
    """
    twin = Twin({"image": dict(image)}, unexpressed=list(machine.unexpressed))
    _nodes(machine, twin, memory, cpus)
    parts = [(size, topology.CXL_UNIT) for device in _placed(machine) for size in (device.volatile, device.persistent)]
    parts += [(nvdimm.size, NVDIMM_UNIT) for nvdimm in machine.nvdimms]
    by = scale.divisor(parts, capacity, "the memory devices", "capacity")
    if machine.bridges:
        twin.guest["cxl"] = _cxl(machine, twin, by)
    if machine.nvdimms:
        twin.guest["nvdimms"] = [_nvdimm(twin, index, nvdimm, by) for index, nvdimm in enumerate(machine.nvdimms)]
        twin.guest["slots"] = max(8, len(machine.nvdimms))
        twin.guest["max_memory"] = format_size(32 * G)
    _kernel(machine, twin)
    return twin


# memory and processors


def _nodes(machine, twin, memory, cpus):
    nodes = machine.nodes
    total = sum(node.memory for node in nodes)
    exact = total <= memory and all(node.memory % M == 0 for node in nodes)
    by = 1 if exact else scale.divisor([(node.memory, NODE_UNIT) for node in nodes], memory, "the nodes", "memory")
    sizes = [node.memory if exact else scale.scaled(node.memory, by, NODE_UNIT) for node in nodes]
    wanted = max(cpus, sum(1 for node in nodes if node.cpus))
    counts = scale.shares([node.cpus for node in nodes], wanted)
    first = 0
    described = []
    for index, (size, count) in enumerate(zip(sizes, counts)):
        twin.say_size("DRAM of node %d" % index, nodes[index].memory, size)
        twin.say("processors of node %d" % index, nodes[index].cpus, count)
        node = {"memory": format_size(size)} if size else {}
        if count:
            node["cpus"] = list(range(first, first + count))
        described.append(node)
        first += count
    twin.guest.update(cpus=max(1, first), memory=format_size(sum(sizes)))
    twin.guest["numa"] = {"nodes": described}
    figures = _figures(machine, twin, counts)
    if figures:
        twin.guest["numa"]["hmat"] = figures
    if machine.distances and not figures:
        twin.guest["numa"]["distances"] = _distances(machine, twin)
    elif machine.distances:
        twin.unexpressed.append(Unexpressed("distances between nodes: %s" % "; ".join(" ".join(map(str, row)) for row in machine.distances),
                                            "/sys/devices/system/node", "the twin's nodes are 20 apart: it has the figures of the HMAT, and not both"))


def _distances(machine, twin):
    found = []
    for one, row in enumerate(machine.distances):
        found.append([10 if one == other else min(254, max(11, distance)) for other, distance in enumerate(row)])
        twin.say("distances of node %d" % one, " ".join(map(str, row)), " ".join(map(str, found[-1])))
    return found


def _figures(machine, twin, counts):
    """What QEMU keeps in 16 bits times a common power of two, so that very different bandwidths lose their last digits."""
    usable = {ends: figures for ends, figures in machine.figures.items() if counts[ends[0]]}
    for initiator, target in sorted(set(machine.figures) - set(usable)):
        twin.unexpressed.append(Unexpressed("figures of the way from node %d, which has no processors, to node %d" % (initiator, target), acpi.HMAT,
                                            "the twin's table leaves them out"))
    largest, unit = max([bandwidth for latency, bandwidth in usable.values()], default=0), M
    common = 0
    for latency, bandwidth in usable.values():
        common |= bandwidth
    if common and largest // (common & -common) >= 0xffff:
        while largest // unit >= 0xfffe:
            unit *= 2
    found = []
    for (initiator, target), (latency, bandwidth) in sorted(usable.items()):
        kept = scale.scaled(bandwidth, 1, unit)
        twin.say("bandwidth from node %d to node %d" % (initiator, target), format_size(bandwidth), format_size(kept))
        twin.say("latency from node %d to node %d" % (initiator, target), "%d ns" % latency, "%d ns" % min(65534, latency))
        found.append({"initiator": initiator, "target": target, "latency": min(65534, latency), "bandwidth": format_size(kept)})
    return found


# CXL


def _placed(machine):
    """The devices that are in a port: what is nowhere has been said where the ports were read."""
    there = {port.device for bridge, port in machine.ports()}
    return [device for device in machine.devices if device.pci in there]


def _cxl(machine, twin, by):
    serials, taken = {}, set()
    placed = sorted(_placed(machine), key=lambda device: device.pci)
    for device in placed:
        if device.serial and device.serial < (1 << 64) - 1 and device.serial not in taken:
            serials[device.pci] = device.serial
            taken.add(device.serial)
    devices = []
    for device in placed:
        if device.volatile or device.persistent:
            devices.append(_device(machine, twin, device, by, len(devices), serials, taken))
        else:
            twin.unexpressed.append(Unexpressed("memory device %s has no capacity" % device.pci, "/sys/bus/cxl/devices", "the twin's port is empty"))
    bridges, count = [], {"rp": 0, "sw": 0, "dp": 0}
    for index, bridge in enumerate(machine.bridges):
        bridges.append({"name": "hb%d" % index, "root_ports": [_port(twin, port, count, "rp") for port in bridge.ports]})
    found = {"host_bridges": bridges, "memory_devices": devices}
    windows = _windows(machine, twin, by)
    return dict(found, windows=windows) if windows else found


def _device(machine, twin, device, by, index, serials, taken):
    what = "memory device %s" % device.pci
    if device.pci not in serials:
        serials[device.pci] = next(number for number in range(0x1000, 1 << 20) if number not in taken)
        taken.add(serials[device.pci])
        twin.unexpressed.append(Unexpressed("%s has the serial number %#x, which does not tell it apart" % (what, device.serial), "/sys/bus/cxl/devices",
                                            "the twin's has %#x, and declared entries name that" % serials[device.pci]))
    kept = {"name": "cxl%d" % index, "serial": serials[device.pci], "volatile": scale.scaled(device.volatile, by, topology.CXL_UNIT),
            "persistent": scale.scaled(device.persistent, by, topology.CXL_UNIT)}
    who = "memory device %#x" % kept["serial"]
    for kind in ("volatile", "persistent"):
        twin.say_size("%s capacity of %s" % (kind, who), getattr(device, kind), kept[kind])
    twin.devices[device.pci] = kept
    found = {"name": kept["name"], "serial": kept["serial"]}
    found.update((kind, format_size(kept[kind])) for kind in ("volatile", "persistent") if kept[kind])
    if device.persistent:
        area = _label_area(device.label_area) or topology.LABEL_AREA
        twin.say_size("label area of %s" % who, device.label_area, area)
        found["label_area"] = format_size(area)
    elif device.label_area:
        twin.say_size("label area of %s" % who, device.label_area, 0)
    return found


def _label_area(size):
    return max(topology.LABEL_AREA_LEAST, -(-size // (4 * K)) * 4 * K) if size else 0


def _port(twin, port, count, kind):
    found = {"name": "%s%d" % (kind, count[kind])}
    count[kind] += 1
    if port.switch is not None:
        switch = {"name": "sw%d" % count["sw"]}
        count["sw"] += 1
        found["switch"] = dict(switch, downstream_ports=[_port(twin, inner, count, "dp") for inner in port.switch])
    elif port.device in twin.devices:
        found["device"] = twin.devices[port.device]["name"]
    return found


def _windows(machine, twin, by):
    names = {bridge.name: "hb%d" % index for index, bridge in enumerate(machine.bridges)}
    below = {}
    for bridge, port in machine.ports():
        kept = twin.devices.get(port.device, {})
        below[bridge] = below.get(bridge, 0) + kept.get("volatile", 0) + kept.get("persistent", 0)
    found = []
    for window in machine.windows:
        ways, where = len(window.bridges), "the memory window at %#x" % window.start
        if ways not in validation.INTERLEAVE_WAYS or len(set(window.bridges)) < ways or any(name not in names for name in window.bridges):
            twin.unexpressed.append(Unexpressed("%s leads to host bridges %s" % (where, ", ".join(window.bridges) or "that are not known"), acpi.CEDT,
                                                "the twin does not have the window"))
            continue
        unit = ways * topology.CXL_UNIT
        needed = -(-sum(below.get(name, 0) for name in window.bridges) // unit) * unit
        size = max(needed, min(scale.scaled(window.size, by, unit), LARGEST_WINDOW // unit * unit))
        granularity = window.granularity if window.granularity in validation.GRANULARITIES else 4 * K
        twin.say_size("size of %s" % where, window.size, size)
        twin.say_size("granularity of %s" % where, window.granularity, granularity)
        found.append({"targets": [names[name] for name in window.bridges], "size": format_size(size), "granularity": format_size(granularity)})
    return found


# NVDIMMs and kernel


def _nvdimm(twin, index, nvdimm, by):
    size, handle = scale.scaled(nvdimm.size, by, NVDIMM_UNIT), "%#x" % (index + 1)
    area = _label_area(nvdimm.label_area)
    twin.say_size("size of NVDIMM %s" % nvdimm.ids[0], nvdimm.size, size)
    twin.say("handle of NVDIMM %s" % nvdimm.ids[0], nvdimm.ids[0], handle)
    twin.say_size("label area of NVDIMM %s" % nvdimm.ids[0], nvdimm.label_area, area)
    twin.nvdimms.update((name, (handle, nvdimm.size, size)) for name in nvdimm.ids)
    return {"name": "nv%d" % index, "size": format_size(size), "label_area": format_size(area), "node": nvdimm.node}


def _kernel(machine, twin):
    image = twin.guest["image"]
    carried = [word for word in machine.parameters if _CARRIED.match(word) and re.fullmatch(r"[!#-~]+", word)]
    for word in machine.parameters:
        if word not in carried:
            twin.unexpressed.append(Unexpressed("the boot parameter %s names amounts or addresses of the host" % word, _PARAMETERS,
                                                "the twin boots without it"))
    if image.get("loader", "qemu") != "qemu":
        for word in carried:
            twin.unexpressed.append(Unexpressed("the boot parameter %s" % word, _PARAMETERS,
                                                "the twin's boot loader starts it without, and a rehearsal sets it as it would on a host that lacks it"))
    elif carried:
        twin.guest["kernel_parameters"] = carried
    if machine.hypervisor:
        twin.guest["hypervisor_bit"] = True
    if not _SUITES_KERNEL.match(machine.release) or set(image) - {"loader", "suite", "packages"} or image.get("suite", "trixie") != "trixie":
        twin.unexpressed.append(Unexpressed("the kernel %s" % (machine.release or "of unknown release"), _RELEASE,
                                            "the twin starts with the kernel of its image"))
    if machine.block_size != BLOCK:
        twin.unexpressed.append(Unexpressed("memory blocks of %s" % format_size(machine.block_size), _BLOCK_SIZE,
                                            "the twin's are of %s: numbers of blocks, and what is smaller than a block, differ" % format_size(BLOCK)))
