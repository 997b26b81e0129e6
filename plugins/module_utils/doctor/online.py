# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about memory that is online and stays so, or never came."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.doctor import census
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import NOTICE, PROBLEM, found, mebibytes, when
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import AUTO_ONLINE
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY, SEVERAL_ZONES
from ansible_collections.memlab.testbed.plugins.module_utils.memory.online import KERNEL_ZONES, zone_kind
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices
from ansible_collections.memlab.testbed.plugins.module_utils.placement.physical_map import HOT_ADDED, IOMEM
from ansible_collections.memlab.testbed.plugins.module_utils.placement.x86_64 import PAGE_SIZE

# Files shown of blocks that are alike; pages are looked at in no more of them.
SHOWN = 3


def memory_left_behind(readings):
    """Memory blocks are left of a dax device that no driver has, or that is gone: it left kmem while some were online, and they stay until a reboot.

    Evidence: the device without driver, or /proc/iomem where the device is gone, and its first blocks, those that are online before others.
    Remedy: reboot; memory goes offline before its device leaves kmem.
    """
    for name, blocks in readings.left_behind.items():
        device = next((device for device in readings.dax if device.name == name), None)
        members = readings.members([member for region in readings.regions if region.name == name for member in region.members])
        address = "%#x" % (blocks[0].id * readings.block_size)
        online = [block for block in blocks if block.online]
        yield found(PROBLEM, "%d memory blocks, %d of them online, are left of a dax device that %s: it left kmem while blocks were online, and they stay "
                    "until a reboot" % (len(blocks), len(online), "no driver has" if device else "is gone"),
                    readings.subject(device) if device else members if members["memory_devices"] else {"host": "memory at %s" % address},
                    [("%s/%s/driver" % (devices.DAX, name), None) if device else (IOMEM, "%s : %s" % (address, HOT_ADDED))] +
                    [("%s/memory%d/state" % (MEMORY, block.id), block.state) for block in (online or blocks)[:SHOWN]],
                    "reboot: until then no driver can have that memory; whatever took the device from kmem has to take its blocks offline before, as "
                    "memlab.testbed.dax_device does")


def online_unasked(readings):
    """A device is online as memory although the declared list does not name it.

    Evidence: its blocks that are online, and the kernel's auto-online policy.
    Remedy: declare it, or take it offline and out of kmem; and have the policy at offline before memory is found.
    """
    for device in readings.dax:
        online = [block for block in readings.device_blocks(device) if block.online]
        if online and readings.wanted and readings.wanted_of(device) is None:
            yield found(PROBLEM, "%d memory blocks of the device are online, and nothing is declared for it" % len(online), readings.subject(device),
                        [("%s/memory%d/state" % (MEMORY, block.id), block.state) for block in online[:SHOWN]] + [(AUTO_ONLINE, readings.auto_online)],
                        "declare it, or take it offline with memlab.testbed.memory_blocks; the kernel's policy puts memory online that nobody asked for")


def cannot_go_offline(readings):
    """A device is online where the kernel keeps pages that cannot move, so it may not come back: kernel zone, several zones, or another device's memmap.

    Evidence: zones of its blocks, what their pages are (live, as root), the policy, and whose memmap lies there.
    Remedy: take it offline and online again in the movable zone; where that fails, after a reboot with the policy offline.
    """
    for device in readings.dax:
        stuck = [block for block in readings.device_blocks(device) if block.zone in KERNEL_ZONES or block.zone == SEVERAL_ZONES]
        guests = _memmaps_on(readings, device) if readings.device_blocks(device) else []
        if not stuck and not guests:
            continue
        entry = readings.wanted_of(device)
        contradicts = entry is not None and (entry.mode == "devdax" or entry.zone == "movable")
        evidence = [("%s/memory%d/valid_zones" % (MEMORY, block.id), block.zone) for block in stuck[:SHOWN]]
        # From 5.x on this reads 1 for every block of a kernel that can take memory away; a 0 says something.
        evidence += [("%s/memory%d/removable" % (MEMORY, block.id), "0") for block in stuck[:SHOWN]
                     if readings.text("%s/memory%d/removable" % (MEMORY, block.id), needed=False) == "0"]
        evidence += [("/proc/kpageflags", "block %d: %s" % (block.id, text)) for block in stuck[:SHOWN]
                     for text in [census.unmovable(readings.host, block.id, readings.block_size)] if text]
        evidence += [(name, "%s of its memmap lie on this device" % mebibytes(count)) for name, count in guests]
        evidence.append((AUTO_ONLINE, readings.auto_online))
        reasons = ["%d of %d blocks are in a kernel zone" % (len(stuck), len(readings.device_blocks(device)))] if stuck else []
        reasons += ["the memmap of another device lies on it"] if guests else []
        yield found(when(contradicts), "the device may not go offline again: %s" % ", and ".join(reasons), readings.subject(device), evidence,
                    ("take the other device out of kmem first; " if guests else "") +
                    "memlab.testbed.memory_blocks with state: offline names each block that refuses, and offline blocks go online again with zone: movable; "
                    "what refuses stays until a reboot that adds the memory with %s at offline" % AUTO_ONLINE)


def pages_busy(readings):
    """The kernel gave up to take blocks of a device offline although they are in the movable zone: some of their pages were in use, or could not be moved.

    Evidence: the page that it gave up at, as the kernel log says.
    Remedy: end what uses them, such as programs with direct or remote access to memory, and take the blocks offline again.
    """
    for device in readings.dax:
        movable = {block.id for block in readings.device_blocks(device) if zone_kind(block.zone) == "movable"}
        stuck = {page.pfn: page for page in readings.stuck_pages if page.pfn * PAGE_SIZE // readings.block_size in movable} if movable else {}
        if stuck:
            yield found(NOTICE, "the kernel has given up on %d pages of the device when it was to go offline, and its blocks are still online" % len(stuck),
                        readings.subject(device),
                        [(kernel_log.KMSG, "memory block %d, page at %#x: %s (%s)" % (address // readings.block_size, address, page.reason, page.kind))
                         for address, page in sorted((pfn * PAGE_SIZE, page) for pfn, page in stuck.items())[:SHOWN]],
                        "end what uses them (pinned pages: direct or remote access to memory, virtual machines), then memlab.testbed.memory_blocks with "
                        "state: offline, which names what refuses")


def blocks_absent(readings):
    """The kernel took only a part of a device as memory.

    Evidence: memory blocks that there would be room for, and are not there.
    Remedy: the kernel log names the range that failed; offline and bind the device again (memlab.testbed.dax_device).
    """
    for device in readings.dax:
        if device.driver != "kmem" or not readings.block_size:
            continue
        absent = [number for number in readings.whole_blocks(device) if number not in readings.blocks]
        if absent:
            yield found(PROBLEM, "%d of %d memory blocks of the device do not exist" % (len(absent), len(readings.whole_blocks(device))),
                        readings.subject(device), [("%s/memory%d" % (MEMORY, number), None) for number in absent[:SHOWN]],
                        "the kernel log says why a range could not be added; offline the rest and bind the device again with memlab.testbed.dax_device")


def _memmaps_on(readings, device):
    """(name, bytes) of the other dax devices whose memmap lies on this one."""
    others = (readings.placement or {}).get("devices", ())
    return [("%s/%s" % (devices.DAX, other["name"]), other["memmap_devices"][device.name]) for other in others
            if other["name"] != device.name and other["memmap_devices"].get(device.name)]
