# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is below each CXL host bridge: root ports, switches, memory devices and free slots, by where they stand in the tree of PCI.

The kernel's CXL ports do not tell of free slots: since 6.18 a downstream port is known to it only once there is a device below it.
"""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.capture.recording import ACPI, ACPI_HOST_BRIDGE, PCI
from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.windows import CXL_MEMORY_CLASS
from ansible_collections.memlab.testbed.plugins.module_utils.twin.observed import Bridge, Port, Unexpressed

_PLACE = re.compile(r"(pci[0-9a-f]{4,8}:[0-9a-f]{2})((?:/[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])*)(?:/|$)")
BRIDGE_CLASS = "0x0604"


def uids(host):
    """``{ACPI uid: name of the PCI root}`` of the CXL host bridges."""
    found = {}
    for name in host.listdir(ACPI):
        if name.startswith(ACPI_HOST_BRIDGE):
            place = host.resolve("%s/%s" % (ACPI, name))
            bridge = host.link_name(place + "/physical_node")
            uid = host.read_optional(place + "/uid") or ""
            if bridge and uid.isdecimal():
                found[int(uid)] = bridge
    for name in host.listdir(cxl.BUS + "/root0"):
        bridge = host.link_name("%s/root0/%s" % (cxl.BUS, name)) or ""
        if re.fullmatch("dport[0-9]+", name) and bridge.startswith("pci"):
            found.setdefault(int(name[5:]), bridge)
    return found


class Tree(object):
    """PCI functions below CXL host bridges, each as its path of addresses. :arg devices: the kernel's :class:`cxl.MemoryDevice`."""

    def __init__(self, host, devices):
        self.host = host
        self.memory = {device.pci for device in devices}
        self.unexpressed = []
        roots = set(uids(host).values()) | {device.bridge for device in devices if device.bridge and device.bridge.startswith("pci")}
        self.paths = {(root,) for root in roots}
        bus = cxl.Bus(host)
        links = ["%s/%s" % (PCI, name) for name in host.listdir(PCI)] + ["%s/%s" % (cxl.BUS, device.name) for device in devices]
        for port in bus.names("port[0-9]+"):
            links += ["%s/%s/%s" % (cxl.BUS, port, name) for name in host.listdir("%s/%s" % (cxl.BUS, port)) if name.startswith("dport")]
        for link in links:
            found = _PLACE.search(host.link_target(link) or "")
            if found and found.group(1) in roots:
                path = (found.group(1),) + tuple(found.group(2).split("/")[1:])
                self.paths.update(path[:depth] for depth in range(1, len(path) + 1))

    def bridges(self):
        """List of :class:`Bridge`, by the numbers of their buses."""
        return [Bridge(path[0], self._root_ports(path)) for path in sorted(self.paths) if len(path) == 1]

    def _root_ports(self, bridge):
        ports = []
        for path in self._below(bridge):
            if path[-1] in self.memory:
                self._say("memory device %s is a part of host bridge %s (CXL 1.1) and not behind a root port" % (path[-1], bridge[0]), path,
                          "the twin has it behind a root port, where it can be taken out and has decoders of its own")
                ports.append(Port(path[-1], device=path[-1]))
            elif self._is_port(path):
                ports.append(self._root_port(path))
        if not ports:
            self._say("host bridge %s has no root ports" % bridge[0], bridge, "the twin's has an empty one")
            ports.append(Port(""))
        return tuple(ports)

    def _root_port(self, path):
        below = self._below(path)
        switches = [inner for inner in below if inner[-1] not in self.memory and self._is_port(inner)]
        if not switches:
            return Port(path[-1], device=self._device_in(path, below))
        for beside in below:
            if beside != switches[0]:
                self._say("a device of class %s beside the switch at %s" % (self._class(beside) or "unknown", switches[0][-1]), beside,
                          "the twin does not have it")
        downstream = self._below(switches[0])
        if not downstream:
            self._say("the switch at %s has no downstream ports" % switches[0][-1], switches[0], "the twin's port is empty")
            return Port(path[-1])
        return Port(path[-1], switch=tuple(Port(inner[-1], device=self._device_in(inner, self._below(inner))) for inner in downstream))

    def _device_in(self, port, below):
        """Address of the memory device in a port; says of whatever else is there."""
        devices = [path[-1] for path in below if path[-1] in self.memory]
        for path in below:
            if path[-1] in devices[:1]:
                continue
            if path[-1] in devices:
                self._say("memory device %s shares a port with %s" % (path[-1], devices[0]), path, "the twin does not have it")
            elif self._is_port(path):
                self._say("a switch below a switch, at %s" % path[-1], path, "the twin has neither it nor the memory devices below it: %s" % (
                    ", ".join(sorted(inner[-1] for inner in self.paths if inner[:len(path)] == path and inner[-1] in self.memory)) or "none"))
            elif self._class(path).startswith(CXL_MEMORY_CLASS):
                self._say("the driver cxl_pci does not have the memory device at %s, so its capacity is not known" % path[-1], path,
                          "the twin's port is empty")
            elif not path[-1].endswith(".0") and devices:
                continue  # another function of the memory device
            else:
                self._say("a device of class %s in port %s" % (self._class(path) or "unknown", port[-1]), path, "the twin's port is empty")
        return devices[0] if devices else None

    def _below(self, path):
        return sorted(inner for inner in self.paths if inner[:-1] == path)

    def _class(self, path):
        return self.host.read_optional(self._place(path) + "/class") or ""

    def _is_port(self, path):
        """By its class; in a capture without classes by what is known only of ports, that something is below it or that CXL calls it one."""
        known = self._class(path)
        return known.startswith(BRIDGE_CLASS) if known else True

    def _place(self, path):
        return "/sys/devices/" + "/".join(path)

    def _say(self, what, path, consequence):
        self.unexpressed.append(Unexpressed(what, self._place(path), consequence))
