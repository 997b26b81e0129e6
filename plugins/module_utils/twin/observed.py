# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a capture shows of a machine, as far as a twin of it needs to know. Sizes in bytes, latencies in nanoseconds, bandwidths in bytes per second."""
from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional, Tuple


@dataclass(frozen=True)
class Unexpressed:
    """Something that the twin will not have, or has otherwise: what, where that is written, what it means for a rehearsal."""

    what: str
    evidence: str
    consequence: str


@dataclass(frozen=True)
class Node:
    """A NUMA node that firmware describes: bytes of DRAM and number of processors."""

    memory: int
    cpus: int


@dataclass(frozen=True)
class Device:
    """A CXL type-3 device. ``pci`` tells it from others with the same serial number."""

    pci: str
    serial: int
    volatile: int
    persistent: int
    label_area: int


@dataclass(frozen=True)
class Port:
    """A root port or a switch's downstream port: with a device (by its PCI address), with a switch (its downstream ports), or empty."""

    pci: str
    device: Optional[str] = None
    switch: Optional[Tuple["Port", ...]] = None


@dataclass(frozen=True)
class Bridge:
    """A CXL host bridge, by the name of its PCI root (``pci0000:0c``)."""

    name: str
    ports: Tuple[Port, ...]


@dataclass(frozen=True)
class Window:
    """A memory window. ``restrictions`` are the bits of its CFMWS; ``None`` where the CEDT was not recorded."""

    start: int
    size: int
    granularity: int
    bridges: Tuple[str, ...]
    restrictions: Optional[int]
    modulo: bool = True


@dataclass(frozen=True)
class Nvdimm:
    """An NVDIMM of the NFIT. ``ids``: what a declaration may name it by."""

    ids: Tuple[str, ...]
    size: int
    label_area: int
    node: int


@dataclass(frozen=True)
class Machine:
    release: str
    parameters: List[str]
    hypervisor: bool
    block_size: int
    nodes: List[Node]
    distances: List[List[int]]
    figures: Dict[Tuple[int, int], Tuple[int, int]]
    bridges: List[Bridge]
    devices: List[Device]
    windows: List[Window]
    nvdimms: List[Nvdimm]
    declared: Optional[list] = None
    unexpressed: List[Unexpressed] = field(default_factory=list)

    def ports(self):
        """(name of the host bridge, port) of every port that a memory device can sit in."""
        for bridge in self.bridges:
            for port in bridge.ports:
                for slot in (port,) if port.switch is None else port.switch:
                    yield bridge.name, slot


def outline(machine):
    """The topology alone as plain data, without what differs between any two machines (addresses): equal for a machine and its exact twin."""
    serial = {device.pci: "%#x" % device.serial for device in machine.devices}
    place = {bridge.name: index for index, bridge in enumerate(machine.bridges)}

    def slot(port):
        return [slot(inner) for inner in port.switch] if port.switch is not None else serial.get(port.device)
    return {
        "bridges": [[slot(port) for port in bridge.ports] for bridge in machine.bridges],
        "devices": {serial[device.pci]: [device.volatile, device.persistent, device.label_area] for device in machine.devices},
        "windows": [[[place[name] for name in window.bridges], window.size, window.granularity, window.restrictions] for window in machine.windows],
        "nvdimms": [[nvdimm.size, nvdimm.label_area, nvdimm.node] for nvdimm in machine.nvdimms],
        "nodes": [asdict(node) for node in machine.nodes],
        "distances": machine.distances,
        "figures": {"%d to %d" % ends: list(figures) for ends, figures in sorted(machine.figures.items())},
        "block_size": machine.block_size,
        "parameters": machine.parameters,
    }
