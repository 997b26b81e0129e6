# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about what firmware handed over: as ordinary memory, as reserved, or as memory for a purpose."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import NOTICE, PROBLEM, found, mebibytes, when
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import CMDLINE
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices
from ansible_collections.memlab.testbed.plugins.module_utils.placement.physical_map import IOMEM, SOFT_RESERVED, SYSTEM_RAM, ordinary_ram

FIRMWARE_MAP = "/sys/firmware/memmap"


def window_is_system_ram(readings):
    """Firmware handed memory of a CXL window over as ordinary RAM: the kernel uses it from boot on, and no region or dax device can be made of it.

    Evidence: /proc/iomem and firmware's own map, against the window.
    Remedy: the firmware setting that makes it specific-purpose memory (EFI_MEMORY_SP), or leaves it to the operating system.
    """
    for window in readings.windows:
        last = window.start + window.size - 1
        inside = ordinary_ram(readings.physical_map or (), window.start, window.size)
        if inside:
            count = sum(min(entry.last, last) - max(entry.first, window.start) + 1 for entry in inside)
            yield found(PROBLEM, "%s of the memory window are ordinary RAM since boot" % mebibytes(count),
                        {"window": "%#x" % window.start}, [(IOMEM, "%#x-%#x : %s" % (entry.first, entry.last, entry.name)) for entry in inside] +
                        [(name, text) for name, text, first, end in _firmware_map(readings) if first <= last and end >= window.start],
                        "set the firmware to hand it over as specific-purpose memory (EFI_MEMORY_SP, soft-reserved) or not at all")


def soft_reserved_without_dax(readings):
    """A soft-reserved range has no dax device.

    Evidence: the range in /proc/iomem or firmware's map, and whether dax_hmem is loaded.
    Remedy: load dax_hmem (CONFIG_DEV_DAX_HMEM).
    """
    for name, first, last in _without_dax(readings):
        yield found(PROBLEM, "%s that firmware reserved for a purpose have no dax device" % mebibytes(last - first + 1), {"soft_reserved": "%#x" % first},
                    [(name, "%#x-%#x : %s" % (first, last, SOFT_RESERVED)), ("/sys/module/dax_hmem", "loaded" if readings.loaded("dax_hmem") else None),
                     (readings.config_name, "CONFIG_DEV_DAX_HMEM=%s" % (readings.option("DEV_DAX_HMEM") or "unknown"))],
                    "load dax_hmem" if not readings.loaded("dax_hmem") else
                    "dax_hmem leaves ranges inside CXL windows to CXL: make a region of them; other ranges need an entry in ACPI's SRAT or HMAT")


def soft_reserve_off(readings):
    """The kernel takes what firmware reserved for a purpose as ordinary RAM, so no dax device is made of it.

    Evidence: efi=nosoftreserve on the kernel's command line, or CONFIG_EFI_SOFT_RESERVE off.
    Remedy: boot without that word, or use a kernel with the option.
    """
    option = readings.option("EFI_SOFT_RESERVE")
    words = [word for word in readings.boot_words if word.startswith("efi=") and "nosoftreserve" in word[4:].split(",")]
    if words:
        yield found(PROBLEM, "the kernel was told to take specific-purpose memory as ordinary RAM", {"host": "kernel"}, [(CMDLINE, words[0])],
                    "boot without %s" % words[0])
    elif option == "n" and readings.hot_added:
        yield found(NOTICE, "the kernel takes specific-purpose memory (EFI_MEMORY_SP) as ordinary RAM", {"host": "kernel"},
                    [(readings.config_file, "CONFIG_EFI_SOFT_RESERVE=n")], "use a kernel with CONFIG_EFI_SOFT_RESERVE where firmware marks such memory")


def no_target_node(readings):
    """A dax device has no target node, and kmem refuses it.

    Evidence: its target_node, which the kernel hides where there is none.
    Remedy: firmware has to say in SRAT, NFIT or CEDT which node the memory is; boot without numa=off.
    """
    for device in readings.dax:
        if device.target_node is None or device.target_node < 0:
            entry = readings.wanted_of(device)
            # A namespace may well be meant for devdax, which needs no node.
            needed = entry.mode == "system-ram" if entry and entry.mode else device.driver is None or readings.origins[device.name]["namespace"] is None
            yield found(when(needed), "the device has no target node, so kmem does not take it (EINVAL)", readings.subject(device),
                        [("%s/%s/target_node" % (devices.DAX, device.name), device.target_node)] +
                        [(CMDLINE, word) for word in readings.boot_words if word == "numa=off"],
                        "%sfirmware has to give the range a proximity domain (SRAT, NFIT, CEDT)" % (
                            "boot without numa=off; else " if "numa=off" in readings.boot_words else ""))


def lies_at(readings, address):
    """(kind, evidence) of a physical address: ``SYSTEM_RAM`` for RAM since boot, ``SOFT_RESERVED``, or ``None`` for anything else; what there is around it."""
    ranges = [entry for entry in readings.physical_map or () if entry.first <= address <= entry.last]
    listed = [(name, text) for name, text, first, last in _firmware_map(readings) if first <= address <= last]
    evidence = [(IOMEM, "%#x-%#x : %s" % entry[:3]) for entry in ranges] or [(IOMEM, "nothing at %#x" % address if readings.physical_map else None)]
    # The command line can reserve what firmware lists as RAM (memmap=), so its map counts only where it says that.
    words = [entry.name for entry in ranges] + [SOFT_RESERVED for unused, text in listed if text.endswith(SOFT_RESERVED)]
    return next((word for word in (SYSTEM_RAM, SOFT_RESERVED) if word in words), None), evidence + listed


def for_hmem(readings):
    """Of :func:`_without_dax` what dax_hmem makes dax devices of: ranges outside CXL windows (drivers/dax/hmem/hmem.c:hmem_register_device, 6.3 to 7.3)."""
    return [found for found in _without_dax(readings)
            if not any(window.start <= found[2] and window.start + window.size > found[1] for window in readings.windows)]


def _without_dax(readings):
    """(file, first byte, last byte) of each soft-reserved range that neither a dax device nor a region has."""
    ranges = [(IOMEM, entry.first, entry.last) for entry in readings.physical_map or () if entry.name == SOFT_RESERVED]
    # From 7.3 on /proc/iomem does not show them; firmware's own map does.
    ranges = ranges or [(name, first, last) for name, text, first, last in _firmware_map(readings) if text.endswith(SOFT_RESERVED)]
    covered = [(start, start + size - 1) for device in readings.dax for start, size in device.ranges or ()]
    covered += [(region.start, region.start + max(region.size, 1) - 1) for region in readings.regions if region.start is not None]
    return [(name, first, last) for name, first, last in ranges if not any(start <= last and end >= first for start, end in covered)]


def _firmware_map(readings):
    """(directory, text, first byte, last byte) of each entry that firmware listed; root only."""
    for name in readings.host.listdir(FIRMWARE_MAP):
        base = "%s/%s" % (FIRMWARE_MAP, name)
        first, last, kind = readings.number(base + "/start"), readings.number(base + "/end"), readings.host.read_optional(base + "/type")
        if first is not None and last is not None:
            yield base, "%#x-%#x : %s" % (first, last, kind), first, last
