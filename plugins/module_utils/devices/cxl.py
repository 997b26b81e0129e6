# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL objects as the kernel shows them below ``/sys/bus/cxl``: memory devices, root decoders (memory windows), regions.

Read from sysfs, not from ``cxl list``: the same answer on a recorded tree, and no process to start.
Documentation/ABI/testing/sysfs-bus-cxl (6.12).
"""
from __future__ import annotations

import collections
import os
import re

BUS = "/sys/bus/cxl/devices"
DAX_BUS = "/sys/bus/dax/devices"

# name; serial number; PCI address; bytes of volatile and of persistent capacity; the host bridge it is below, such as pci0000:0c;
# True when the driver cxl_mem has set it up
MemoryDevice = collections.namedtuple("MemoryDevice", "name serial pci ram pmem bridge enabled")

# name; first byte and bytes of the window; ways and bytes of granularity of its own interleaving; kinds of regions it takes; host bridges it leads to
RootDecoder = collections.namedtuple("RootDecoder", "name start size ways granularity ram pmem bridges")

# name; root decoder's name; ram or pmem; first byte; bytes; ways; bytes of granularity; names of memory devices in order of position;
# True once the decoders are programmed; True once the region driver has it; names of its dax devices
Region = collections.namedtuple("Region", "name decoder mode start size ways granularity members committed enabled dax")

_PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_HOST_BRIDGE = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}|ACPI0016:[0-9a-f]+")


def _number(host, path, default=0):
    text = host.read_optional(path)
    try:
        return int(text, 0)
    except (TypeError, ValueError):
        return default


def _names(host, pattern):
    expression = re.compile(pattern)
    found = [name for name in host.listdir(BUS) if expression.fullmatch(name)]
    return sorted(found, key=lambda name: [int(part) for part in re.findall("[0-9]+", name)])


def memory_devices(host):
    """All type-3 devices, by kernel number."""
    found = []
    for name in _names(host, "mem[0-9]+"):
        base = "%s/%s" % (BUS, name)
        parts = host.resolve(base).split("/")
        addresses = [part for part in parts if _PCI_ADDRESS.fullmatch(part)]
        bridges = [part for part in parts if _HOST_BRIDGE.fullmatch(part)]
        found.append(MemoryDevice(name, _number(host, base + "/serial"), addresses[-1] if addresses else "?",
                                  _number(host, base + "/ram/size"), _number(host, base + "/pmem/size"), bridges[0] if bridges else None,
                                  host.link_name(base + "/driver") is not None))
    return found


def root_decoders(host):
    """The memory windows (CFMWS) that the platform offers."""
    found = []
    for name in _names(host, r"decoder0\.[0-9]+"):
        base = "%s/%s" % (BUS, name)
        root = os.path.dirname(host.resolve(base))
        targets = [word for word in (host.read_optional(base + "/target_list") or "").split(",") if word]
        bridges = tuple(host.link_name("%s/dport%s" % (root, target)) for target in targets)
        found.append(RootDecoder(name, _number(host, base + "/start"), _number(host, base + "/size"), _number(host, base + "/interleave_ways", 1),
                                 _number(host, base + "/interleave_granularity"), host.read_optional(base + "/cap_ram") == "1",
                                 host.read_optional(base + "/cap_pmem") == "1", bridges))
    return found


def regions(host):
    """All CXL regions; NVDIMM regions, also called ``regionN``, live on another bus and are not among them."""
    found = []
    owners = _endpoint_owners(host)
    dax = [(name, host.resolve("%s/%s" % (DAX_BUS, name))) for name in host.listdir(DAX_BUS)]
    for name in _names(host, "region[0-9]+"):
        base = "%s/%s" % (BUS, name)
        place = host.resolve(base)
        ways = _number(host, base + "/interleave_ways")
        targets = [host.read_optional("%s/target%d" % (base, position)) or "" for position in range(ways)]
        members = tuple(owners.get(target.strip(), "") for target in targets)
        start = host.read_optional(base + "/resource")
        found.append(Region(name, os.path.basename(os.path.dirname(place)), host.read_optional(base + "/mode") or "none",
                            int(start, 0) if start and start.startswith("0x") and int(start, 0) != (1 << 64) - 1 else None,
                            _number(host, base + "/size"), ways, _number(host, base + "/interleave_granularity"), members,
                            host.read_optional(base + "/commit") == "1", host.link_name(base + "/driver") is not None,
                            tuple(child for child, path in dax if path.startswith(place + "/"))))
    return found


def _endpoint_owners(host):
    """Endpoint decoder's name -> name of the memory device it belongs to."""
    owners = {}
    for name in _names(host, "endpoint[0-9]+"):
        owner = host.link_name("%s/%s/uport" % (BUS, name))
        for decoder in host.listdir("%s/%s" % (BUS, name)):
            if decoder.startswith("decoder"):
                owners[decoder] = owner
    return owners
