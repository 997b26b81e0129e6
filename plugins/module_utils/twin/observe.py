# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A machine's topology from its capture: :class:`~.observed.Machine`, with everything in it that the emulated kind of machine does not have."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import declared_file
from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import Readings
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import NODES, block_size, numbered
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map
from ansible_collections.memlab.testbed.plugins.module_utils.twin import acpi
from ansible_collections.memlab.testbed.plugins.module_utils.twin.observed import Device, Machine, Node, Nvdimm, Unexpressed, Window
from ansible_collections.memlab.testbed.plugins.module_utils.twin.ports import Tree, uids

ARCH = "/proc/sys/kernel/arch"
# What QEMU says of each of its windows: anything may be in them (hw/acpi/cxl.c).
EMULATED_RESTRICTIONS = acpi.TYPE2 | acpi.TYPE3 | acpi.VOLATILE | acpi.PERSISTENT
# include/linux/topology.h: LOCAL_DISTANCE, REMOTE_DISTANCE
LOCAL, REMOTE = 10, 20
_RESTRICTED = {acpi.TYPE2: "type-2 devices", acpi.TYPE3: "type-3 devices", acpi.VOLATILE: "volatile regions", acpi.PERSISTENT: "persistent regions"}


def observe(host):
    """:class:`Machine` of a recorded tree. Raises :class:`TestbedError` for a tree without memory blocks, or a damaged one."""
    readings = Readings(host)
    said = []
    memory = readings.memory_devices
    tree = Tree(host, memory)
    bridges = tree.bridges()
    said += tree.unexpressed
    windows = _windows(host, readings, said)
    order = acpi.domains(host)
    nvdimms, ranges = _nvdimms(host, said)
    ranges += [(window.start, window.size) for window in windows] + [part for device in readings.dax for part in device.ranges or ()]
    size = block_size(host)
    nodes, distances = _nodes(host, size, ranges, len(order), nvdimms)
    machine = Machine(
        release=readings.release, parameters=readings.boot_words, hypervisor="hypervisor" in (readings.processor_flags or ()), block_size=size,
        nodes=nodes, distances=distances, figures=_figures(host, order, len(nodes), said), bridges=bridges,
        devices=[_device(host, device, said) for device in memory], windows=windows, nvdimms=nvdimms, declared=_declared(host), unexpressed=said)
    for domain in acpi.initiators(host):
        said.append(Unexpressed("a generic initiator in proximity domain %d" % domain, acpi.SRAT, "the twin's node is empty"))
    _other_processor(host, said)
    _soft_reserved(readings, said)
    _state(readings, said)
    return machine


def _device(host, device, said):
    base = "%s/%s" % (cxl.BUS, device.name)
    for name in host.listdir(base):
        if name.startswith("dynamic_"):
            said.append(Unexpressed("memory device %s has dynamic capacity (%s)" % (device.pci, name), base + "/" + name,
                                    "the twin's device has its other capacity only"))
    return Device(device.pci, device.serial, device.ram, device.pmem, nvdimm.number(host, base + "/label_storage_size") or 0)


def _windows(host, readings, said):
    """Of the CEDT where it was recorded: the kernel shows the granularity of a window of one way as 256 bytes, whatever it is."""
    tables, names = acpi.windows(host), uids(host)
    found = []
    if not tables:
        for window in readings.windows:
            found.append(Window(window.start, window.size, window.granularity, window.bridges,
                                None if window.ram and window.pmem else EMULATED_RESTRICTIONS & ~(0 if window.ram else acpi.VOLATILE)
                                & ~(0 if window.pmem else acpi.PERSISTENT)))
    for window in tables:
        unknown = [uid for uid in window.uids if uid not in names]
        if unknown:
            said.append(Unexpressed("the memory window at %#x leads to host bridges that are not there (uid %s)" % (
                window.start, ", ".join(map(str, unknown))), acpi.CEDT, "the twin does not have the window"))
            continue
        found.append(Window(window.start, window.size, window.granularity, tuple(names[uid] for uid in window.uids), window.restrictions, window.modulo))
    for window in found:
        where = "the memory window at %#x" % window.start
        evidence = acpi.CEDT if tables else cxl.BUS
        refused = [word for bit, word in _RESTRICTED.items() if window.restrictions is not None and not window.restrictions & bit]
        if refused:
            said.append(Unexpressed("%s takes no %s" % (where, " and no ".join(refused)), evidence, "the twin's window takes them"))
        if (window.restrictions or 0) & acpi.FIXED:
            said.append(Unexpressed("%s is fixed: firmware has set up what is in it" % where, evidence,
                                    "the twin's devices come up without regions, and decoders can be changed"))
        if not window.modulo:
            said.append(Unexpressed("%s is interleaved by exclusive or" % where, evidence, "the twin's host bridges take turns"))
    return found


def _nvdimms(host, said):
    """NVDIMMs of the NFIT, in the order of their handles, and the ranges of all regions of persistent memory."""
    dimms = {dimm.name: dimm for dimm in nvdimm.dimms(host)}
    sizes, nodes, ranges = {}, {}, []
    for region in nvdimm.regions(host):
        base = "%s/%s" % (nvdimm.BUS, region.name)
        if region.start is not None:
            ranges.append((region.start, region.size))
        if not region.dimms:
            said.append(Unexpressed("persistent memory without NVDIMMs, %d bytes at %s" % (
                region.size, "an unknown address" if region.start is None else "%#x" % region.start), base, "the twin does not have it"))
        if len(region.dimms) > 1 and all(name in dimms and dimms[name].memory is None for name in region.dimms):
            said.append(Unexpressed("%d NVDIMMs are interleaved" % len(region.dimms), base, "each of the twin's NVDIMMs is a region of its own"))
        for position, name in enumerate(region.dimms):
            words = (host.read_optional("%s/mapping%d" % (base, position)) or "").split(",")
            if len(words) > 2 and words[0] in dimms and words[2].isdecimal():
                sizes[words[0]] = sizes.get(words[0], 0) + int(words[2])
                node = nvdimm.number(host, base + "/target_node")
                nodes[words[0]] = nvdimm.number(host, base + "/numa_node") if node is None or node < 0 else node
    found = []
    for dimm in sorted(dimms.values(), key=lambda dimm: (dimm.handle is None, dimm.handle)):
        if dimm.memory is not None:
            continue
        base = "%s/%s" % (nvdimm.BUS, dimm.name)
        if dimm.handle is None or not sizes.get(dimm.name):
            said.append(Unexpressed("NVDIMM %s has no region, so its size is not known" % ("%#x" % dimm.handle if dimm.handle is not None else dimm.name),
                                    base, "the twin does not have it"))
            continue
        node = nodes.get(dimm.name)
        found.append(Nvdimm(tuple(filter(None, ("%#x" % dimm.handle, dimm.id))), sizes[dimm.name],
                            _label_area(nvdimm.number(host, base + "/available_slots")) if dimm.label_area else 0, max(0, node or 0)))
    return found, ranges


def _label_area(slots):
    """Bytes of a label area of which so many labels are free: the power of two that has the fewest beyond these.

    A label takes 256 bytes, and 128 in an area that was set up as of version 1.1 (drivers/nvdimm/label.c: nvdimm_num_label_slots).
    """
    if slots is None:
        return 256 << 10
    found = []
    for area in (1 << shift for shift in range(17, 31)):
        for label in (128, 256):
            count = area // label
            index = -(-(72 + -(-count // 8)) // 256) * 256
            found.append((count - -(-2 * index // label) - 1 - slots, area))
    return min([way for way in found if way[0] >= 0], default=(0, 256 << 10))[1]


def _nodes(host, size, ranges, described, nvdimms):
    """Nodes with the DRAM and processors they were started with, and the distances between them.

    :arg ranges: (first byte, bytes) of memory that was added later.
    :arg described: how many nodes the SRAT has; those after them belong to memory windows, and a twin's windows bring them, too.
    """
    memory, cpus = {}, {}
    for number in numbered(host.listdir(NODES), "node"):
        base = "%s/node%d" % (NODES, number)
        blocks = [block for block in numbered(host.listdir(base), "memory")
                  if not any(start < (block + 1) * size and block * size < start + length for start, length in ranges)]
        memory[number] = len(blocks) * size
        cpus[number] = _count(host.read_optional(base + "/cpulist") or "")
    last = max([number for number in memory if memory[number] or cpus[number]] + [nvdimm.node for nvdimm in nvdimms], default=0)
    count = max(described, last + 1 if not described else 1)
    nodes = [Node(memory.get(number, 0), cpus.get(number, 0)) for number in range(count)]
    return nodes, _distances(host, count)


def _count(cpulist):
    ends = [part.split("-") for part in cpulist.strip().split(",") if part]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in ends) if all(word.isdecimal() for part in ends for word in part) else 0


def _distances(host, count):
    """A row for each node, of the distances to all; empty where they are what any machine has that says nothing of them. What is not shown counts so, too."""
    online = numbered(host.listdir(NODES), "node")
    found = [[LOCAL if one == other else REMOTE for other in range(count)] for one in range(count)]
    usual = [list(row) for row in found]
    for one in online:
        words = (host.read_optional("%s/node%d/distance" % (NODES, one)) or "").split()
        for other, word in zip(online, words if len(words) == len(online) else ()):
            if one < count and other < count and word.isdecimal():
                found[one][other] = int(word)
    return [] if found == usual else found


def _figures(host, order, count, said):
    """``{(initiator, target): (latency, bandwidth)}`` of ways that both are known of."""
    table = acpi.figures(host)
    if table.caches:
        said.append(Unexpressed("%d memory-side caches" % table.caches, acpi.HMAT, "the twin has none, and shows the figures without them"))
    if table.asymmetric:
        said.append(Unexpressed("reading and writing have different latencies or bandwidths", acpi.HMAT, "the twin has those of reading for both"))
    number = {domain: node for node, domain in enumerate(order)}
    found = {}
    for (initiator, target), (latency, bandwidth) in table.ways.items():
        if initiator not in number or target not in number or latency is None or bandwidth is None:
            said.append(Unexpressed("the way from proximity domain %d to %d has %s" % (
                initiator, target, "no node" if latency and bandwidth else "no bandwidth" if latency else "no latency"), acpi.HMAT,
                "the twin's table leaves it out"))
            continue
        found[number[initiator], number[target]] = (latency, bandwidth)
    if found or host.exists(acpi.HMAT) and host.read_bytes(acpi.HMAT):
        return found
    for node in range(count):
        base = "%s/node%d/access0/initiators" % (NODES, node)
        latency, bandwidth = (nvdimm.number(host, "%s/read_%s" % (base, what)) for what in ("latency", "bandwidth"))
        for initiator in numbered(host.listdir(base), "node"):
            if latency and bandwidth and initiator < count:
                found[initiator, node] = (latency, bandwidth * acpi.MIB)
    return found


def _declared(host):
    """The list that the host keeps for its next boot, or ``None``. Raises :class:`TestbedError` for a damaged one."""
    text = host.read_optional(declared_file.PATH)
    return None if text is None else declared_file.load(text).memory_devices


def _other_processor(host, said):
    arch = host.read_optional(ARCH)
    if arch not in (None, "x86_64"):
        said.append(Unexpressed("the processor is of kind %s" % arch, ARCH, "the twin's is x86_64: page sizes, block sizes and proofs differ"))


def _soft_reserved(readings, said):
    for entry in readings.physical_map or ():
        if entry.name == physical_map.SOFT_RESERVED and not any(word.startswith("CXL Window") for word in entry.around):
            said.append(Unexpressed("soft-reserved memory at %#x, %d bytes" % (entry.first, entry.last + 1 - entry.first), physical_map.IOMEM,
                                    "the twin does not have it, and declared entries about it are left out"))


def _state(readings, said):
    """What had been made of the devices when the capture was taken: a twin begins with blank ones."""
    for region in readings.regions:
        members = readings.members([member for member in region.members if member])["memory_devices"]
        said.append(Unexpressed("a region of memory devices %s was there" % (", ".join(members) or "unknown"), "%s/%s" % (cxl.BUS, region.name),
                                "the twin begins without it: a rehearsal makes it, where the host's would be found"))
    for space in nvdimm.namespaces(readings.host):
        if space.label_uuid or space.info_uuid:
            said.append(Unexpressed("a namespace %s was there" % (space.label or space.label_uuid or space.info_uuid), "%s/%s" % (nvdimm.BUS, space.name),
                                    "the twin's persistent memory is blank: no refusal that rests on data in it is rehearsed"))


def open_capture(host, name):
    """:func:`observe`, with the capture's name in its errors."""
    try:
        return observe(host)
    except TestbedError as exc:
        raise TestbedError("capture %s: %s" % (name, exc.summary), details=exc.details, remedy=exc.remedy)
