# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL objects as the kernel shows them below ``/sys/bus/cxl``: memory devices, root decoders (memory windows), regions.

Read from sysfs, not from ``cxl list``: the same answer on a recorded tree, and no process to start.
Documentation/ABI/testing/sysfs-bus-cxl (6.12).
"""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

BUS = "/sys/bus/cxl/devices"
DAX_BUS = "/sys/bus/dax/devices"

# name; serial number; PCI address; bytes of volatile and of persistent capacity; the host bridge it is below, such as pci0000:0c;
# True when the driver cxl_mem has set it up; downstream ports that lead to it: host bridge, root port, downstream ports of switches;
# CXL ports that decode for it, from the host bridge's to its own endpoint, none before the driver has set it up
MemoryDevice = collections.namedtuple("MemoryDevice", "name serial pci ram pmem bridge enabled route ports")

# name; first byte and bytes of the window; ways and bytes of granularity of its own interleaving; kinds of regions it takes; host bridges it leads to
RootDecoder = collections.namedtuple("RootDecoder", "name start size ways granularity ram pmem bridges")

# name; what it belongs to: a host bridge (pci0000:0c), a switch (its PCI address) or a memory device (mem0); by decoder, in the order in which they
# are used: name of the region that has it, or None; decoders that count as used, among them those that were given back while a later one was in use
Port = collections.namedtuple("Port", "name owner decoders committed")

# name; root decoder's name; ram or pmem; first byte or None; bytes, 0 where the kernel does not tell; ways; bytes of granularity; names of memory devices in
# order of position; True once the decoders are programmed; True once the region driver has it; names of its dax devices
Region = collections.namedtuple("Region", "name decoder mode start size ways granularity members committed enabled dax")

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
RAM_REGIONS = (6, 3)  # the first kernel that makes regions of volatile memory (drivers/cxl/core/region.c: create_ram_region)
MOST_WAYS = 16  # drivers/cxl/cxl.h: CXL_DECODER_MAX_INTERLEAVE; a damaged capture must not cost memory without end
_UNSET = (1 << 64) - 1  # how the kernel writes an address that is not there yet
_HOST_BRIDGE = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}|ACPI0016:[0-9a-f]+")


class Bus(object):
    """The bus's list of objects, read once, and their attributes, read many at a time: each file costs little, but hosts have many."""

    def __init__(self, host):
        self.host = host
        self.objects = host.listdir(BUS)

    def names(self, pattern):
        """Objects whose whole name matches, by their numbers."""
        expression = re.compile(pattern)
        found = [name for name in self.objects if expression.fullmatch(name)]
        return sorted(found, key=lambda name: [int(part) for part in re.findall("[0-9]+", name)])

    def texts(self, name, attributes):
        """Attributes of one object; an empty text where one is absent or refused."""
        found = self.host.read_each(BUS, ["%s/%s" % (name, attribute) for attribute in attributes])
        return [(content or b"").decode("ascii", "replace").strip() for content in found]

    def owner(self, port):
        """Name of what a port belongs to."""
        return self.host.link_name("%s/%s/uport" % (BUS, port))

    def place(self, name):
        """The object's place in the tree of devices, such as ``../../../devices/platform/ACPI0017:00/root0/decoder0.0``."""
        return self.host.link_target("%s/%s" % (BUS, name)) or ""


def _number(text, default=0):
    try:
        return int(text, 0)
    except ValueError:
        return default


def memory_devices(host, bus=None):
    """All type-3 devices, by kernel number."""
    bus = bus or Bus(host)
    found = []
    chains = {bus.owner(name): _chain(bus, name) for name in bus.names("endpoint[0-9]+")}
    for name in bus.names("mem[0-9]+"):
        parts = bus.place(name).split("/")
        addresses = [part for part in parts if _PCI_ADDRESS.fullmatch(part)]
        bridges = [part for part in parts if _HOST_BRIDGE.fullmatch(part)]
        serial, ram, pmem = [_number(text) for text in bus.texts(name, ("serial", "ram/size", "pmem/size"))]
        # below the bridge: root port, then upstream and downstream port of each switch, then the device
        found.append(MemoryDevice(name, serial, addresses[-1] if addresses else "?", ram, pmem, bridges[0] if bridges else None,
                                  host.link_target("%s/%s/driver" % (BUS, name)) is not None,
                                  tuple(bridges[:1] + addresses[:-1:2]), chains.get(name, ())))
    return found


def _chain(bus, endpoint):
    """``endpoint4`` -> ``("port1", "port3", "endpoint4")``; the root decodes by its memory windows and is not among them."""
    return tuple(part for part in bus.place(endpoint).split("/") if re.fullmatch("(port|endpoint)[0-9]+", part))


def ports(host, bus=None):
    """``{name: Port}`` of host bridges, switches and endpoints. A port whose decoders do not tell their regions (Linux before 6.0) has none of them."""
    bus = bus or Bus(host)
    decoders = {}
    for name in bus.names(r"decoder[1-9][0-9]*\.[0-9]+"):
        decoders.setdefault(name[len("decoder"):].split(".")[0], []).append(name)
    found = {}
    for name in bus.names("(port|endpoint)[0-9]+"):
        own = [decoder for decoder in decoders.get(re.sub("[a-z]+", "", name), ()) if host.exists("%s/%s/region" % (BUS, decoder))]
        taken = tuple(bus.texts(decoder, ("region",))[0] or None for decoder in own)
        committed = _number(bus.texts(name, ("decoders_committed",))[0])
        found[name] = Port(name, bus.owner(name), taken, min(committed, len(taken)))
    return found


def root_decoders(host):
    """The memory windows (CFMWS) that the platform offers."""
    bus = Bus(host)
    found = []
    for name in bus.names(r"decoder0\.[0-9]+"):
        root = bus.place(name).split("/")[-2:][0]
        targets, start, size, ways, granularity, ram, pmem = bus.texts(name, ("target_list", "start", "size", "interleave_ways", "interleave_granularity",
                                                                              "cap_ram", "cap_pmem"))
        bridges = tuple(host.link_name("%s/%s/dport%s" % (BUS, root, target)) for target in targets.split(",") if target)
        found.append(RootDecoder(name, _number(start), _number(size), _number(ways, 1), _number(granularity), ram == "1", pmem == "1", bridges))
    return found


def regions(host, bus=None):
    """All CXL regions; NVDIMM regions, also called ``regionN``, live on another bus and are not among them."""
    bus = bus or Bus(host)
    found = []
    dax = [(name, (host.link_target("%s/%s" % (DAX_BUS, name)) or "").split("/")) for name in host.listdir(DAX_BUS)]
    for name in bus.names("region[0-9]+"):
        mode, start, size, ways, granularity, commit = bus.texts(name, ("mode", "resource", "size", "interleave_ways", "interleave_granularity", "commit"))
        count = max(0, min(_number(ways), MOST_WAYS))
        members = tuple(_owner(host, target) for target in bus.texts(name, ["target%d" % position for position in range(count)]))
        address = _number(start, _UNSET)
        found.append(Region(name, bus.place(name).split("/")[-2:][0], mode or "none", None if address == _UNSET else address,
                            _number(size), count, _number(granularity), members, commit == "1",
                            host.link_target("%s/%s/driver" % (BUS, name)) is not None,
                            tuple(child for child, place in dax if name in place)))
    return found


def unsettled(region):
    """True for a region that counts as set up and whose size the kernel does not tell: it is being made or taken down while its attributes are read.

    ``size`` reads 0x0 without an address range, and cannot be read by who is interrupted, or of a region that goes
    (drivers/cxl/core/region.c:size_show, 6.1 to 7.3).
    """
    return not region.size and (region.committed or region.enabled)


def discard(host, region):
    """Remove a region that was not committed, and give back what its targets had set aside on their devices.

    ``cxl destroy-region`` gives up at the first target that was not set (ndctl 81). Raises :class:`TestbedError`.
    """
    base = "%s/%s" % (BUS, region.name)
    targets = [host.read_optional("%s/target%d" % (base, position)) for position in range(region.ways)]
    try:
        host.write("%s/%s/delete_region" % (BUS, region.decoder), region.name)
        for target in filter(None, targets):
            host.write("%s/%s/dpa_size" % (BUS, target), "0")
    except OSError as exc:
        raise TestbedError("cannot remove %s, which was begun and not set up to its end (%s)" % (region.name, errno_name(exc.errno)))


def _owner(host, decoder):
    """``decoder4.0``, an endpoint decoder -> name of the memory device it belongs to; an empty text for none."""
    number = re.fullmatch(r"decoder([0-9]+)\.[0-9]+", decoder)
    return host.link_name("%s/endpoint%s/uport" % (BUS, number.group(1))) or "" if number else ""
