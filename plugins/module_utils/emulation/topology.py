# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a testbed file can declare, as dataclasses. Sizes are in bytes, latencies in nanoseconds, bandwidths in bytes per second."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Dict, List, Optional

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import schema
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, K, M

# CXL decoders map memory in this unit (drivers/cxl/core/region.c and QEMU's CXL_CAPACITY_MULTIPLIER).
CXL_UNIT = 256 * M
# libnvdimm maps namespaces in this unit on x86 (MEMREMAP_COMPAT_ALIGN_MAX); other sizes come up "misaligned".
NVDIMM_UNIT = 16 * M
# Our alignment for an NVDIMM's backing.
NVDIMM_ALIGN = 2 * M
# Smallest label area that ndctl can initialise (ND_LABEL_MIN_SIZE), and the one we give.
LABEL_AREA_LEAST = 128 * K
LABEL_AREA = 256 * K

_package = schema.matching(r"[a-z0-9][a-z0-9+.-]+", "a package name")
_kernel_file = schema.matching(r"(/|~/)[^\0\n]*\.deb", "the absolute path of a Debian package")
_suite = schema.matching(r"[a-z][a-z0-9.-]*", "a suite")
_group = schema.matching(r"[A-Za-z_][A-Za-z0-9_]*", "a group name: letters, digits and _")
_kernel_parameter = schema.matching(r"[!#-~]+", "one kernel parameter without blanks and quotes")


@dataclass(frozen=True)
class Image:
    """What the guest boots; the role guest_image gives it its meaning."""

    suite: Annotated[str, _suite] = "trixie"
    packages: Annotated[List[str], schema.list_of(_package)] = field(default_factory=list)
    kernel_package: Annotated[Optional[str], _package] = None
    backports_kernel: Annotated[bool, schema.boolean] = False
    # A kernel's Debian package on the controller, in place of one from the mirror.
    kernel_file: Annotated[Optional[str], _kernel_file] = None
    # What starts the kernel: QEMU itself, or a boot loader from the guest's own disk.
    loader: Annotated[str, schema.one_of("qemu", "grub", "systemd-boot")] = "qemu"

    @property
    def starter(self):
        """The boot loader's name for people, ``None`` where QEMU starts the kernel."""
        return {"grub": "GRUB"}.get(self.loader, self.loader) if self.loader != "qemu" else None


@dataclass(frozen=True)
class Node:
    """A NUMA node; its place in the list is its number. Without memory it is a place for an NVDIMM."""

    memory: Annotated[int, schema.size(M, least=0)] = 0
    cpus: Annotated[List[int], schema.list_of(schema.whole(0, 254))] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """What HMAT says of the way from one node's processors to another node's memory."""

    initiator: Annotated[int, schema.whole(0, 127)]
    target: Annotated[int, schema.whole(0, 127)]
    # QEMU keeps latencies of one table in 16 bits (hw/core/numa.c, parse_numa_hmat_lb).
    latency: Annotated[int, schema.whole(1, 65534)]
    bandwidth: Annotated[int, schema.size(M, least=M)]


@dataclass(frozen=True)
class Numa:
    nodes: Annotated[List[Node], schema.list_of(schema.record(Node))] = field(default_factory=list)
    hmat: Annotated[List[Figures], schema.list_of(schema.record(Figures))] = field(default_factory=list)
    # A row for each node, of its distances to all nodes; empty for 10 to itself and 20 to others.
    distances: Annotated[List[List[int]], schema.list_of(schema.list_of(schema.whole(10, 254)))] = field(default_factory=list)


@dataclass(frozen=True)
class DownstreamPort:
    name: Annotated[str, schema.name]
    device: Annotated[Optional[str], schema.name] = None


@dataclass(frozen=True)
class Switch:
    name: Annotated[str, schema.name]
    downstream_ports: Annotated[List[DownstreamPort], schema.list_of(schema.record(DownstreamPort), least=1)]


@dataclass(frozen=True)
class RootPort:
    """A slot: with a memory device in it, with a switch, or empty and free for hot-plug."""

    name: Annotated[str, schema.name]
    device: Annotated[Optional[str], schema.name] = None
    switch: Annotated[Optional[Switch], schema.record(Switch)] = None


@dataclass(frozen=True)
class HostBridge:
    name: Annotated[str, schema.name]
    root_ports: Annotated[List[RootPort], schema.list_of(schema.record(RootPort), least=1)]


@dataclass(frozen=True)
class MemoryDevice:
    """A CXL type-3 device."""

    name: Annotated[str, schema.name]
    # All ones is QEMU's "no serial number" (UI64_NULL), and so is zero to a reader of sysfs.
    serial: Annotated[int, schema.whole(1, (1 << 64) - 2)]
    volatile: Annotated[int, schema.size(CXL_UNIT)] = 0
    persistent: Annotated[int, schema.size(CXL_UNIT)] = 0
    label_area: Annotated[Optional[int], schema.size(4 * K, least=LABEL_AREA_LEAST)] = None

    @property
    def capacity(self):
        return self.volatile + self.persistent


@dataclass(frozen=True)
class Window:
    """A CXL fixed memory window: host addresses that the named host bridges share, ``granularity`` bytes in turn."""

    targets: Annotated[List[str], schema.list_of(schema.name, least=1)]
    size: Annotated[int, schema.size(CXL_UNIT)]
    granularity: Annotated[int, schema.size(1)] = 4 * K


@dataclass(frozen=True)
class Cxl:
    host_bridges: Annotated[List[HostBridge], schema.list_of(schema.record(HostBridge))] = field(default_factory=list)
    memory_devices: Annotated[List[MemoryDevice], schema.list_of(schema.record(MemoryDevice))] = field(default_factory=list)
    windows: Annotated[List[Window], schema.list_of(schema.record(Window))] = field(default_factory=list)

    def device(self, name):
        """The memory device of that name, or ``None``."""
        return next((device for device in self.memory_devices if device.name == name), None)

    def memory_ports(self):
        """(key path, host bridge, port) of every port that a memory device can sit in."""
        for first, bridge in enumerate(self.host_bridges):
            for second, port in enumerate(bridge.root_ports):
                where = "cxl.host_bridges[%d].root_ports[%d]" % (first, second)
                if port.switch is None:
                    yield where, bridge, port
                else:
                    for third, downstream in enumerate(port.switch.downstream_ports):
                        yield "%s.switch.downstream_ports[%d]" % (where, third), bridge, downstream


@dataclass(frozen=True)
class Nvdimm:
    """``size`` is what the guest can use; the label area, if any, comes on top."""

    name: Annotated[str, schema.name]
    size: Annotated[int, schema.size(NVDIMM_UNIT)]
    label_area: Annotated[int, schema.size(4 * K, least=0)] = LABEL_AREA
    node: Annotated[int, schema.whole(0, 127)] = 0

    @property
    def backing(self):
        """Bytes of the backing: QEMU takes the label area off and rounds what is left down to :data:`NVDIMM_ALIGN`."""
        return self.size + -(-self.label_area // NVDIMM_ALIGN) * NVDIMM_ALIGN


@dataclass(frozen=True)
class Guest:
    name: str = ""  # the key it stands under
    memory: Annotated[int, schema.size(M)] = 2 * G
    cpus: Annotated[int, schema.whole(1, 255)] = 2
    # DIMM headroom: address space for RAM and DIMMs together, and how many DIMMs.
    max_memory: Annotated[Optional[int], schema.size(M)] = None
    slots: Annotated[Optional[int], schema.whole(0, 256)] = None
    image: Annotated[Image, schema.record(Image)] = field(default_factory=Image)
    kernel_parameters: Annotated[List[str], schema.list_of(_kernel_parameter)] = field(default_factory=list)
    # Whether processors say that they are virtual; a kernel that sees it commits no CXL region.
    hypervisor_bit: Annotated[bool, schema.boolean] = False
    # A watchdog timer (i6300esb) that resets the guest when nobody feeds it.
    watchdog: Annotated[bool, schema.boolean] = False
    groups: Annotated[List[str], schema.list_of(_group)] = field(default_factory=list)
    vars: Annotated[Dict[str, Any], schema.variables] = field(default_factory=dict)
    numa: Annotated[Numa, schema.record(Numa)] = field(default_factory=Numa)
    cxl: Annotated[Cxl, schema.record(Cxl)] = field(default_factory=Cxl)
    nvdimms: Annotated[List[Nvdimm], schema.list_of(schema.record(Nvdimm))] = field(default_factory=list)


def read_guest(name, value):
    """The guest that the mapping ``value`` declares, with every default filled in. Raises :class:`schema.Refused`."""
    declared = schema.record(Guest)(value, "")
    nodes = declared.numa.nodes or [Node(memory=declared.memory)]
    if not any(node.cpus for node in nodes):
        nodes = [replace(nodes[0], cpus=list(range(declared.cpus)))] + nodes[1:]
    devices = [replace(device, label_area=LABEL_AREA) if device.persistent and device.label_area is None else device
               for device in declared.cxl.memory_devices]
    slots = len(declared.nvdimms) if declared.slots is None else declared.slots
    headroom = sum(nvdimm.backing for nvdimm in declared.nvdimms)
    return replace(
        declared, name=name, slots=slots, max_memory=declared.memory + headroom if declared.max_memory is None else declared.max_memory,
        numa=replace(declared.numa, nodes=nodes), cxl=replace(declared.cxl, memory_devices=devices))
