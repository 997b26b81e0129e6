# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about what became of a device: its driver, and the policy that decides about new memory."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.doctor import firmware
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import PROBLEM, found, when
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import AUTO_ONLINE
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices
from ansible_collections.memlab.testbed.plugins.module_utils.placement.physical_map import SOFT_RESERVED, SYSTEM_RAM


def device_absent(readings):
    """A declared device is not there: no such memory device, no region of it, no such namespace, or no dax device.

    Evidence: the memory devices, namespaces or dax devices that there are; of a soft-reserved range, what /proc/iomem and firmware's map have there.
    Remedy: correct the declaration, or make what is missing (memlab.testbed.cxl_region, memlab.testbed.pmem_namespace); for ordinary RAM, the firmware setting.
    """
    for entry in readings.wanted:
        if readings.dax_of(entry) if entry.dax else readings.namespaces_of(entry):
            continue
        present = readings.memory_devices_of(entry)
        if None in present or present and readings.region_of(entry) is None:
            who = "memory device %s" % ", ".join(entry.members)
            evidence = [("%s/%s/serial" % (cxl.BUS, device.name), "%#x" % device.serial) for device in readings.memory_devices]
            if None in present:
                yield found(PROBLEM, "%s is declared, and the machine has none, or more than one" % who, entry.subject,
                            evidence or [(cxl.BUS, "no memory device")],
                            "correct the declaration, or see why the device is not found (PCI slot, driver cxl_pci)")
            else:
                kind, names = entry.entry.type, {device.name for device in present}
                yield found(PROBLEM, "no %s region is made of %s" % (kind, who), entry.subject,
                            evidence + [("%s/%s/%s/size" % (cxl.BUS, device.name, kind), "%#x" % getattr(device, kind)) for device in present] +
                            [("%s/%s/mode" % (cxl.BUS, region.name), region.mode) for region in readings.regions if names.intersection(region.members)],
                            "make it with memlab.testbed.cxl_region" if all(getattr(device, kind) for device in present) else
                            "correct the declared type: a %s region needs capacity of that kind on each device" % kind)
        elif entry.namespace:
            yield found(PROBLEM, "%s has no dax device" % entry.text if readings.namespaces_of(entry) else "there is no %s" % entry.text, entry.subject,
                        [("%s/%s/mode" % (nvdimm.BUS, space["name"]), space["mode"]) for space in readings.namespaces] or [(nvdimm.BUS, "no namespace")],
                        "make the namespace%s with memlab.testbed.pmem_namespace" % (", in mode devdax," if entry.dax else ""))
        elif not present:
            kind, evidence = firmware.lies_at(readings, entry.soft_reserved)
            said = ", which is ordinary RAM since boot" if kind == SYSTEM_RAM else ""
            yield found(PROBLEM, "no dax device starts at %s%s" % (entry.subject["soft_reserved"], said), entry.subject,
                        [(devices.DAX, ", ".join(device.name for device in readings.dax) or "no dax device")] + evidence,
                        "set the firmware to hand it over as specific-purpose memory (EFI_MEMORY_SP, soft-reserved), or correct the declaration"
                        if kind == SYSTEM_RAM else "load dax_hmem; a range is declared by its first address" if kind == SOFT_RESERVED else
                        "declare a range that is soft-reserved (/sys/firmware/memmap, /proc/iomem), and see whether the module dax_hmem is loaded")


def system_ram_unwanted(readings):
    """A device came up as system-ram though devdax was wanted.

    Evidence: the device's driver, and the declared mode.
    Remedy: memlab.testbed.dax_device with mode devdax; offline true where its blocks are online.
    """
    for device, entry in _declared(readings):
        if entry.mode == "devdax" and device.driver == "kmem":
            online = [block for block in readings.device_blocks(device) if block.online]
            yield found(PROBLEM, "%s is system-ram, declared devdax" % entry.text, readings.subject(device),
                        [_driver(device), (AUTO_ONLINE, readings.auto_online),
                         (MEMORY, "%d of %d blocks of the device are online" % (len(online), len(readings.device_blocks(device))))],
                        "memlab.testbed.dax_device with mode: devdax%s; the kernel gives CXL and soft-reserved memory to kmem by itself, so have it "
                        "done at boot too (role memory_at_boot)" % (" and offline: true" if online else ""))


def mode_absent(readings):
    """A device is not in the mode that was wanted: it has no driver, or is devdax instead of system-ram.

    Evidence: the device's driver, or that it has none, and the declared mode.
    Remedy: memlab.testbed.dax_device with that mode.
    """
    for device, entry in _declared(readings):
        if entry.mode and entry.mode != devices.MODES.get(device.driver) and device.driver != "kmem":
            yield found(PROBLEM, "%s is %s, declared %s" % (entry.text, devices.MODES.get(device.driver, "without a driver"), entry.mode),
                        readings.subject(device), [_driver(device)], "memlab.testbed.dax_device with mode: %s%s" % (
                            entry.mode, ", then memlab.testbed.memory_blocks" if entry.mode == "system-ram" else ""))


def auto_online_policy(readings):
    """The kernel onlines new memory by itself, and daxctl aborts a move to system-ram under that policy.

    Evidence: auto_online_blocks, which does not read offline.
    Remedy: the modules of this collection hold it at offline while they work; for daxctl, write offline there first.
    """
    if readings.auto_online in (None, "offline") or not readings.hot_added:
        return
    waiting = [entry for device, entry in _declared(readings) if entry.mode == "system-ram" and device.driver != "kmem"]
    yield found(when(waiting), "new memory goes online by the kernel's own policy (%s): daxctl aborts a move to system-ram (EBUSY), "
                "and the kernel chooses the zone" % readings.auto_online, waiting[0].subject if waiting else {"host": "memory policy"},
                [(AUTO_ONLINE, readings.auto_online)],
                "use memlab.testbed.dax_device, which holds the policy meanwhile; for daxctl write offline to the file first; "
                "to have it so at every boot, memhp_default_state=offline on the kernel's command line")


def _declared(readings):
    """(dax device, declared entry) of each device that something is declared for, but for those that memory_left_behind is about."""
    pairs = [(device, readings.wanted_of(device)) for device in readings.dax if device.name not in readings.left_behind]
    return [(device, entry) for device, entry in pairs if entry]


def _driver(device):
    return "%s/%s/driver" % (devices.DAX, device.name), device.driver
