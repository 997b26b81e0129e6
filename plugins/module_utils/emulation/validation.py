# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the parts of a guest fit together, and fit this machine, before anything is started.

:mod:`schema` has already looked at each value alone. Here each check takes a guest and yields what is wrong as (key path, message); a later
check may rely on the earlier ones. What QEMU accepts was read from QEMU 10's ``hw/core/numa.c``, ``hw/core/machine.c`` and ``hw/cxl``.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.schema import Refused, nearest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.topology import CXL_UNIT
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, K, T, format_size

# hw/cxl/cxl-component-utils.c: cxl_interleave_ways_enc, cxl_interleave_granularity_enc
INTERLEAVE_WAYS = (1, 2, 3, 4, 6, 8, 12, 16)
GRANULARITIES = tuple(256 << shift for shift in range(7))
# Bus numbers below this one are left to pcie.0 and what is plugged into it.
FIRST_BUS = 12
BUSES = 256 - FIRST_BUS
# hw/i386/pc.c: one 64 KiB register block per host bridge in a space of 16.
HOST_BRIDGES = 16
# include/system/numa.h: MAX_NODES
NODES = 128
ROOT_PORTS = 32
# 40 address bits are what QEMU's own processor model gives a guest.
ADDRESS_SPACE = 1 * T
# Below 4G, the 64-bit PCI window and what aligning them costs.
PCI_SPACE = 64 * G


def check(guest, physical_memory=None):
    """Raise :class:`schema.Refused` for the first thing that is wrong.

    :arg physical_memory: bytes of RAM of the machine that is to run the guest; ``None`` leaves that out.
    """
    for examine in (names, loader, processors, memory, distances, figures, memory_devices, ports, buses, windows, nvdimms, address_space):
        for where, message in examine(guest):
            raise Refused(where, message)
    needed = resident_memory(guest)
    if physical_memory is not None and needed > physical_memory:
        volatile = needed - guest.memory
        what = "%s%s" % (format_size(guest.memory), " and %s of volatile CXL memory" % format_size(volatile) if volatile else "")
        raise Refused("memory", "%s is more than this machine's %.1fG" % (what, physical_memory / G))


def check_together(guests, physical_memory=None):
    """As :func:`check`, of all guests of a testbed, which run side by side."""
    needed = {guest.name: resident_memory(guest) for guest in guests}
    if physical_memory is not None and sum(needed.values()) > physical_memory:
        largest = max(needed, key=needed.get)
        raise Refused("guests", "memory: all %d take %s with their volatile CXL memory (%s takes %s), which is more than this machine's %.1fG" % (
            len(needed), format_size(sum(needed.values())), largest, format_size(needed[largest]), physical_memory / G))


def resident_memory(guest):
    """Bytes of RAM the guest can come to use; persistent memory is a file and can be written back."""
    return guest.memory + sum(device.volatile for device in guest.cxl.memory_devices)


def bus_count(bridge):
    """PCI bus numbers below one host bridge: its own, one behind each root port, for a switch its own and one behind each of its ports."""
    return 1 + sum(1 if port.switch is None else 2 + len(port.switch.downstream_ports) for port in bridge.root_ports)


def declared_names(guest):
    """(key path, name) of everything that becomes a QEMU device and so shares one space of ids."""
    for first, bridge in enumerate(guest.cxl.host_bridges):
        where = "cxl.host_bridges[%d]" % first
        yield where, bridge.name
        for second, port in enumerate(bridge.root_ports):
            inner = "%s.root_ports[%d]" % (where, second)
            yield inner, port.name
            if port.switch is not None:
                yield inner + ".switch", port.switch.name
                for third, downstream in enumerate(port.switch.downstream_ports):
                    yield "%s.switch.downstream_ports[%d]" % (inner, third), downstream.name
    for index, device in enumerate(guest.cxl.memory_devices):
        yield "cxl.memory_devices[%d]" % index, device.name
    for index, nvdimm in enumerate(guest.nvdimms):
        yield "nvdimms[%d]" % index, nvdimm.name


def names(guest):
    seen = {}
    for where, name in declared_names(guest):
        if name in seen:
            yield where + ".name", "%s is the name of %s already" % (name, seen[name])
        seen[name] = where


def loader(guest):
    """A boot loader takes its boot parameters from the guest's own configuration."""
    if guest.image.kernel_file:
        if guest.image.starter:
            yield "image.kernel_file", "%s starts what is installed in the guest (image.loader): install the package there, as on a host" % guest.image.starter
        for other in ("kernel_package", "backports_kernel"):
            if getattr(guest.image, other):
                yield "image." + other, "image.kernel_file names the kernel already"
    if guest.image.starter and guest.kernel_parameters:
        yield "kernel_parameters", "%s starts this guest (image.loader), so its boot parameters are set in the guest, as on a host" % guest.image.starter


def processors(guest):
    if len(guest.numa.nodes) > NODES:
        yield "numa.nodes", "%d are more than the %d that QEMU can have" % (len(guest.numa.nodes), NODES)
    seen = {}
    for index, node in enumerate(guest.numa.nodes):
        for place, cpu in enumerate(node.cpus):
            where = "numa.nodes[%d].cpus[%d]" % (index, place)
            if cpu >= guest.cpus:
                yield where, "there is no processor %d, the guest has %d, counted from 0" % (cpu, guest.cpus)
            if cpu in seen:
                yield where, "processor %d is in node %d already" % (cpu, seen[cpu])
            seen[cpu] = index
    absent = [cpu for cpu in range(guest.cpus) if cpu not in seen]
    if absent:
        yield "numa.nodes", "processor %d is in no node" % absent[0]


def memory(guest):
    total = sum(node.memory for node in guest.numa.nodes)
    if total != guest.memory:
        yield "numa.nodes", "their memory is %s together, the guest's is %s" % (format_size(total), format_size(guest.memory))
    dimms = sum(nvdimm.backing for nvdimm in guest.nvdimms)
    if guest.max_memory < guest.memory + dimms:
        what = "memory (%s)%s" % (format_size(guest.memory), " and NVDIMMs with their labels (%s)" % format_size(dimms) if dimms else "")
        yield "max_memory", "%s is less than %s" % (format_size(guest.max_memory), what)
    if guest.slots < len(guest.nvdimms):
        yield "slots", "%d is less than the number of NVDIMMs, %d" % (guest.slots, len(guest.nvdimms))
    if (guest.slots > 0) != (guest.max_memory > guest.memory):
        yield "slots", "DIMM headroom needs both: slots (%d) and a max_memory (%s) beyond memory (%s)" % (
            guest.slots, format_size(guest.max_memory), format_size(guest.memory))


def distances(guest):
    rows, count = guest.numa.distances, len(guest.numa.nodes)
    if rows and guest.numa.hmat:
        # seen with QEMU 10.0 and a kernel started by its PVH note: with CXL, one table more takes the description of devices from the kernel
        yield "numa.distances", "the guest has numa.hmat, and with both tables its kernel does not find its devices: say one of them"
    if rows and len(rows) != count:
        yield "numa.distances", "there are %d rows, and the guest has %d node%s" % (len(rows), count, "" if count == 1 else "s")
    for index, row in enumerate(rows):
        where = "numa.distances[%d]" % index
        if len(row) != count:
            yield where, "there are %d distances, and the guest has %d node%s" % (len(row), count, "" if count == 1 else "s")
        for other, distance in enumerate(row):
            # hw/core/numa.c: validate_numa_distance; 10 is a node's distance to itself and no other's
            if (distance == 10) != (other == index):
                yield "%s[%d]" % (where, other), "%d is not a distance from node %d to node %d: 10 is a node's to itself" % (distance, index, other)


def figures(guest):
    nodes, seen, bandwidths = guest.numa.nodes, {}, 0
    for index, entry in enumerate(guest.numa.hmat):
        where = "numa.hmat[%d]" % index
        for end in ("initiator", "target"):
            if getattr(entry, end) >= len(nodes):
                yield "%s.%s" % (where, end), "there is no node %d, the guest has %d, counted from 0" % (getattr(entry, end), len(nodes))
        if not nodes[entry.initiator].cpus:
            yield where + ".initiator", "node %d has no processors" % entry.initiator
        if (entry.initiator, entry.target) in seen:
            yield where, "the way from node %d to node %d is in %s already" % (entry.initiator, entry.target, seen[entry.initiator, entry.target])
        seen[entry.initiator, entry.target] = where
        bandwidths |= entry.bandwidth
        # parse_numa_hmat_lb: one table's bandwidths are kept in 16 bits times a common power of two
        unit = bandwidths & -bandwidths
        if bandwidths // unit > 0xffff or entry.bandwidth // unit == 0xffff:
            yield where + ".bandwidth", "%s and the other bandwidths do not fit in one table's 16 bits: use rounder figures" % format_size(entry.bandwidth)


def memory_devices(guest):
    serials = {}
    for index, device in enumerate(guest.cxl.memory_devices):
        where = "cxl.memory_devices[%d]" % index
        if device.serial in serials:
            yield where + ".serial", "0x%x is the serial of %s already" % (device.serial, serials[device.serial])
        serials[device.serial] = device.name
        if not device.capacity:
            yield where, "%s has neither volatile nor persistent memory" % device.name
        if device.label_area is not None and not device.persistent:
            yield where + ".label_area", "%s has no persistent memory to label" % device.name


def ports(guest):
    for first, bridge in enumerate(guest.cxl.host_bridges):
        for second, port in enumerate(bridge.root_ports):
            if port.device and port.switch:
                yield "cxl.host_bridges[%d].root_ports[%d]" % (first, second), "holds either a device or a switch, not both"
    seen = {}
    for where, bridge, port in guest.cxl.memory_ports():
        where += ".device"
        if port.device is None:
            continue
        if guest.cxl.device(port.device) is None:
            yield where, "no memory device is called %s%s" % (port.device, nearest(port.device, [device.name for device in guest.cxl.memory_devices]))
        if port.device in seen:
            yield where, "%s is in port %s already" % (port.device, seen[port.device])
        seen[port.device] = port.name


def buses(guest):
    bridges = guest.cxl.host_bridges
    if len(bridges) > HOST_BRIDGES:
        yield "cxl.host_bridges", "%d are more than the %d that QEMU can have" % (len(bridges), HOST_BRIDGES)
    for index, bridge in enumerate(bridges):
        if len(bridge.root_ports) > ROOT_PORTS:
            yield "cxl.host_bridges[%d].root_ports" % index, "%d are more than the %d of one bus" % (len(bridge.root_ports), ROOT_PORTS)
        for second, port in enumerate(bridge.root_ports):
            if port.switch and len(port.switch.downstream_ports) > ROOT_PORTS:
                where = "cxl.host_bridges[%d].root_ports[%d].switch.downstream_ports" % (index, second)
                yield where, "%d are more than the %d of one bus" % (len(port.switch.downstream_ports), ROOT_PORTS)
    needed = sum(bus_count(bridge) for bridge in bridges)
    if needed > BUSES:
        yield "cxl.host_bridges", "their ports need %d bus numbers, there are %d" % (needed, BUSES)


def capacity_below(guest, bridges):
    """Bytes that the memory devices below these host bridges can come to have: those there at start, and in each empty port the largest
    of those that are in none."""
    found = [port for where, bridge, port in guest.cxl.memory_ports() if bridge.name in bridges]
    attached = {port.device for where, bridge, port in guest.cxl.memory_ports()}
    spare = sorted((device.capacity for device in guest.cxl.memory_devices if device.name not in attached), reverse=True)
    empty = sum(1 for port in found if port.device is None)
    return sum(guest.cxl.device(port.device).capacity for port in found if port.device) + sum(spare[:empty])


def windows(guest):
    bridges = [bridge.name for bridge in guest.cxl.host_bridges]
    for index, window in enumerate(guest.cxl.windows):
        where = "cxl.windows[%d]" % index
        ways = len(window.targets)
        for place, target in enumerate(window.targets):
            if target not in bridges:
                yield "%s.targets[%d]" % (where, place), "no host bridge is called %s%s" % (target, nearest(target, bridges))
            if target in window.targets[:place]:
                yield "%s.targets[%d]" % (where, place), "%s is a target already" % target
        if ways not in INTERLEAVE_WAYS:
            yield where + ".targets", "memory cannot be interleaved over %d ways, only over %s" % (ways, ", ".join(map(str, INTERLEAVE_WAYS)))
        if window.granularity not in GRANULARITIES:
            yield where + ".granularity", "%s is not a power of two from %s to %s" % (
                format_size(window.granularity), format_size(GRANULARITIES[0]), format_size(GRANULARITIES[-1]))
        if window.size % (ways * CXL_UNIT):
            yield where + ".size", "%s is not a multiple of %s, %d ways of %s" % (
                format_size(window.size), format_size(ways * CXL_UNIT), ways, format_size(CXL_UNIT))
        capacity = capacity_below(guest, window.targets)
        if window.size < capacity:
            yield where + ".size", "%s is less than %s, the capacity of the memory devices that can be below %s" % (
                format_size(window.size), format_size(capacity), ", ".join(window.targets))


def nvdimms(guest):
    for index, nvdimm in enumerate(guest.nvdimms):
        where = "nvdimms[%d]" % index
        if nvdimm.node >= len(guest.numa.nodes):
            yield where + ".node", "there is no node %d, the guest has %d, counted from 0" % (nvdimm.node, len(guest.numa.nodes))
        if 0 < nvdimm.label_area < 128 * K:
            yield where + ".label_area", "%s is less than 128K, and not 0 for none" % format_size(nvdimm.label_area)


def address_space(guest):
    # hw/i386/pc.c (pc_get_device_memory_range) adds 1 GiB per slot for aligning the DIMM in it
    needed = guest.max_memory + guest.slots * G + sum(window.size for window in guest.cxl.windows) + PCI_SPACE
    if needed > ADDRESS_SPACE:
        yield "max_memory", "with %d slots, the CXL windows and the PCI space it takes %s of addresses, there are %s" % (
            guest.slots, format_size(needed), format_size(ADDRESS_SPACE))
