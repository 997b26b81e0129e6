# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices and NVDIMM namespaces as sysfs shows them, with the identity that survives a reboot.

Kernel: Documentation/ABI/testing/{sysfs-bus-dax,sysfs-bus-cxl,sysfs-bus-nvdimm}; drivers/dax/bus.c, drivers/nvdimm/namespace_devs.c (6.1 to 7.3).
"""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import blocks_of_range
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map

DAX = "/sys/bus/dax/devices"
MODES = {"kmem": "system-ram", "device_dax": "devdax"}
INTENTS = {"0": "dram", "1": "device"}

# ranges: ((physical address, bytes), ...) or None where only root may know; intent: device, dram, or None where the kernel has no knob;
# place: the device's real path in sysfs
DaxDevice = collections.namedtuple("DaxDevice", ("name", "driver", "intent", "target_node", "size", "ranges", "place"))


# Bytes that a range may have, what x86-64 had room for before its fifth level of page tables: a damaged capture must not cost memory without end.
LARGEST = 1 << 46


def read_dax_devices(host):
    """Every dax device, by name. What the kernel withholds is ``None``. Raises :class:`TestbedError` for a range that no memory has."""
    found = []
    for name in sorted(host.listdir(DAX), key=_by_number):
        base = "%s/%s" % (DAX, name)
        found.append(DaxDevice(name, host.link_name(base + "/driver"), INTENTS.get(host.read_optional(base + "/memmap_on_memory")),
                               _number(host, base + "/target_node"), _number(host, base + "/size"), _ranges(host, base), host.resolve(base)))
    return found


def _ranges(host, base):
    ranges = []
    for entry in sorted([name for name in host.listdir(base) if re.match(r"mapping\d+$", name)], key=_by_number):
        first, last = _number(host, "%s/%s/start" % (base, entry)), _number(host, "%s/%s/end" % (base, entry))
        if first is None or last is None:
            return None
        if not 0 <= first <= last + 1 <= first + LARGEST:
            raise TestbedError("%s/%s is damaged: a range from %.60s to %.60s" % (base, entry, "%#x" % first, "%#x" % last))
        ranges.append((first, last + 1 - first))
    return tuple(ranges)


def owners(host, devices, blocks, block_size):
    """``{block id: name of the dax device that brought it}``, whatever driver has that now; :data:`physical_map.HOT_ADDED` where the device is gone.

    :arg blocks: ``{id: Block}`` in ascending order, those that exist.
    """
    found = dict.fromkeys(physical_map.hot_added(host, list(blocks), block_size), physical_map.HOT_ADDED)
    found.update((number, device.name) for device in devices for start, size in device.ranges or ()
                 for number in blocks_of_range(start, size, block_size) if number in blocks)
    return found


def origins(host, devices):
    """``{dax device's name: {"region": ..., "memory_devices": [...], "namespace": ..., "soft_reserved": ...}}``: what each device belongs to."""
    memory = {device.name: device for device in cxl.memory_devices(host)}
    soft_reserved = _soft_reserved(devices)
    found = {device.name: {"region": None, "memory_devices": [], "namespace": None, "soft_reserved": soft_reserved.get(device.name)} for device in devices}
    for region in cxl.regions(host):
        for name in region.dax:
            if name in found:
                found[name].update(region=region.name, memory_devices=_members(region, memory))
    namespaces = {entry["dax"]: entry for entry in read_namespaces(host) if entry["dax"]}
    for device in devices:
        # An NVDIMM's dax device is the child of a device of the same kind on the nd bus, which holds the namespace.
        parent = device.place.split("/")[-2:-1]
        if parent and parent[0] in namespaces:
            entry = namespaces[parent[0]]
            found[device.name]["namespace"] = {"name": entry["name"], "label": entry["label"], "uuid": entry["uuid"]}
    return found


def read_regions(host):
    """The fact ``regions``: the CXL regions. What the kernel does not tell is ``None``."""
    memory = {device.name: device for device in cxl.memory_devices(host)}
    return [{"name": region.name, "type": region.mode, "start": region.start, "size": region.size or None, "ways": region.ways or None,
             "granularity": region.granularity or None, "root_decoder": region.decoder, "memory_devices": _members(region, memory)}
            for region in cxl.regions(host)]


def _members(region, memory):
    """A region's memory devices in order of position. :arg memory: all of the machine, by name."""
    return [{"name": member.name, "serial": member.serial, "pci": member.pci} for name in region.members for member in [memory.get(name)] if member]


def _soft_reserved(devices):
    """``{dax device's name: physical address}`` at which the soft-reserved range begins that the device is on, as far as its devices tell.

    Each such range is a platform device (drivers/dax/hmem/device.c:__hmem_register_resource, 6.1 to 7.3).
    """
    starts = {}
    for device in devices:
        parent = device.place.rpartition("/")[0]
        if re.fullmatch(r"hmem\.[0-9]+", parent.rpartition("/")[2]):
            starts.setdefault(parent, []).extend((first, device.name) for first, unused in device.ranges or ())
    return {name: min(ranges)[0] for ranges in starts.values() for unused, name in ranges}


def read_namespaces(host):
    """The fact ``namespaces``, in ndctl's words. ``dax`` is the nd device behind a devdax namespace, ``map`` where the namespace's own memmap lies."""
    inventory = nvdimm.Inventory(host)
    regions = {region.name: region for region in inventory.regions}
    return [{"name": entry.name, "label": entry.label, "label_uuid": entry.label_uuid, "region": inventory.origin(regions.get(entry.region)),
             "mode": entry.mode, "enabled": entry.enabled, "size": entry.size, "map": entry.map or "none", "align": entry.align,
             "sector_size": entry.sector_size, "dax": entry.holder if entry.holder and entry.holder.startswith("dax") else None,
             "uuid": entry.info_uuid or entry.label_uuid, "node": entry.node, "overhead_bytes": _overhead(entry)} for entry in inventory.namespaces]


def _overhead(entry):
    """Bytes of a namespace that its info block, memmap and padding take; none are counted where the memmap lies in RAM."""
    if entry.map != "dev":
        return 0
    return None if entry.usable is None else entry.size - entry.usable


def _number(host, name):
    text = host.read_optional(name)
    try:
        return int(text, 0)
    except (TypeError, ValueError):
        return None


def _by_number(name):
    return [int(part) for part in re.findall(r"\d+", name)]
