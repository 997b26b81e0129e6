# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about where a memmap lies, or has no room."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import preflight
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import PROBLEM, found, mebibytes
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import ZONEINFO, parse_zoneinfo
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices, kcore, kernel, page_flags, page_tables, zone_accounting
from ansible_collections.memlab.testbed.plugins.module_utils.placement.physical_map import HOT_ADDED


# What each proof was read from.
PROOFS = {page_tables.NAME: kcore.KCORE, page_flags.NAME: page_flags.KPAGEFLAGS, zone_accounting.NAME: ZONEINFO}


def knob_ignored(readings):
    """The knob asks for a memmap on the device, and the kernel put it elsewhere.

    Evidence: the knob, the boot parameter, and the nodes the memmap was found on.
    Remedy: what the kernel lacks for it; then bind the device again.
    """
    for entry, device in _placed(readings):
        if entry["intent"] == "device" and entry["placement"] not in (None, "self", "unknown"):
            facts = readings.placement["kernel"]
            why = facts["why_not"]
            yield found(PROBLEM, "the knob asks for a memmap on the device, and it lies elsewhere (%s)%s" % (entry["placement"], ": " + why if why else ""),
                        readings.subject(device), evidence(readings, entry),
                        ("boot with memory_hotplug.memmap_on_memory=1 (memlab.testbed.boot_parameters)" if facts["memmap_on_memory"] == "N"
                         else "the knob is a hint that the kernel drops silently; set it before kmem has the device") +
                        ", then take the device offline and bind it again with memlab.testbed.dax_device")


def memmap_not_in_dram(readings):
    """The knob asks for a memmap in DRAM, and it lies on hot-added memory: the kernel prefers the device's own node, whatever is online there.

    Evidence: the knob, the nodes and the devices that the memmap was found on.
    Remedy: bind the dram devices of a node before any other of it is online in a kernel zone, or online the others in the movable zone.
    """
    for entry, device in _placed(readings):
        if entry["intent"] == "dram" and entry["memmap_devices"]:
            stays = {HOT_ADDED, *readings.left_behind}.intersection(entry["memmap_devices"])
            yield found(PROBLEM, "the knob asks for a memmap in DRAM, and %s of it lie on a memory device, which that pins"
                        % mebibytes(sum(entry["memmap_devices"].values())), readings.subject(device), evidence(readings, entry),
                        ("reboot, as that memory stays until then (memory_left_behind), then " if stays else "take both devices offline and out of kmem, ") +
                        "bind this one before the other, or put the other online with zone: movable")


def not_enough_dram(readings):
    """The memmap of devices that are still to become memory does not fit in DRAM, by itself or together with those that are declared before it.

    Evidence: free memory in kernel zones of the nodes that the machine booted with, and the bytes needed.
    Remedy: memmap device, a smaller amount, or more free DRAM.
    """
    if readings.placement is None:
        return
    page, struct_page = readings.placement["kernel"]["page_size"], readings.placement["kernel"]["struct_page_size"] or preflight.STRUCT_PAGE
    waiting = [device for device in readings.dax if device.driver != "kmem" and device.size and _for_dram(readings, device)
               and device.name not in readings.left_behind]
    text = readings.text(ZONEINFO)
    if not waiting or not text:
        return
    nodes = [entry["id"] for entry in readings.placement["nodes"] if not entry["device_only"]]
    free = left = preflight.available(parse_zoneinfo(text), nodes) * page
    declared = {name: position for position, entry in enumerate(readings.wanted) for name in readings.dax_of(entry)}
    # What is declared comes to memory in this order; of the rest nobody knows whether it does.
    for device in sorted(waiting, key=lambda device: declared.get(device.name, len(declared))):
        needed, room = preflight.memmap_bytes(device.size, page, struct_page), left if device.name in declared else free
        if needed > room:
            fits = room * page // struct_page // readings.block_size * readings.block_size
            before = "" if room == free else " once %s are for the declared devices before it" % mebibytes(free - room)
            yield found(PROBLEM, "as memory it needs %s of DRAM for its memmap, and %s can be had%s" % (mebibytes(needed), mebibytes(room), before),
                        readings.subject(device),
                        [(ZONEINFO, "%s free above the watermarks in kernel zones of node %s" % (mebibytes(free), ", ".join(map(str, nodes)))),
                         ("%s/%s/size" % (devices.DAX, device.name), device.size), _knob(device.name, device.intent)],
                        "say memmap: device, %sor free memory first" % ("add a part of it (%s fit), " % mebibytes(fits) if fits else ""))
        elif device.name in declared:
            left -= needed


def _for_dram(readings, device):
    entry = readings.wanted_of(device)
    if entry is not None and entry.mode == "devdax":
        return False
    # Which part of a divided device is to have which is told by the knob alone.
    return "dram" in entry.memmaps if entry is not None and len(entry.memmaps) == 1 else device.intent != "device"


def _placed(readings):
    """(facts, dax device) of each device, but for those that memory_left_behind is about."""
    return [(entry, device) for device in readings.dax for entry in [readings.placed(device.name)] if entry and device.name not in readings.left_behind]


def evidence(readings, entry):
    """The knob, the boot parameter and what each proof was read from. :arg entry: the facts of a device."""
    places = ["%s on node %s" % (mebibytes(count), node) for node, count in sorted(entry["memmap_nodes"].items())]
    places += ["%s on %s" % (mebibytes(count), name) for name, count in sorted(entry["memmap_devices"].items())]
    return [_knob(entry["name"], entry["intent"]), (kernel.PARAMETER, readings.placement["kernel"]["memmap_on_memory"]),
            *[(PROOFS[proof], "; ".join(places)) for proof in entry["proofs"]]]


def _knob(name, intent):
    return "%s/%s/memmap_on_memory" % (devices.DAX, name), {"device": "1", "dram": "0"}.get(intent)
