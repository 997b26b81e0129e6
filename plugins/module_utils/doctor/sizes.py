# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about sizes: too small, not aligned, or smaller than what was given."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.devices.region_plan import EXTENT
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import NOTICE, found, mebibytes, when
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices

# Sizes of namespaces are multiples of this on x86 where the region does not say (drivers/nvdimm/region_devs.c: MEMREMAP_COMPAT_ALIGN_MAX).
NVDIMM_ALIGN = 16 << 20
BLOCK_SIZE = MEMORY + "/block_size_bytes"


def no_whole_block(readings):
    """A device holds no whole memory block, so it cannot become system-ram.

    Evidence: its range, and the size of a memory block.
    Remedy: the size that would do, counted from where the device starts.
    """
    if not readings.block_size:
        return
    for device in readings.dax:
        if not device.ranges or readings.whole_blocks(device):
            continue
        entry, overhead = readings.wanted_of(device), _overhead(readings, device)
        enough = enough_for_a_block(device.ranges[0][0], readings.block_size) + overhead
        needed = -(-enough // NVDIMM_ALIGN) * NVDIMM_ALIGN if overhead else enough
        # A namespace may well be meant for devdax; other memory, or one that no driver took, has no other use.
        meant = entry.mode == "system-ram" if entry and entry.mode else device.driver is None or readings.origins[device.name]["namespace"] is None
        yield found(when(meant),
                    "%s hold no whole memory block of %s, so the device cannot become system-ram"
                    % (mebibytes(device.size or 0), mebibytes(readings.block_size)),
                    readings.subject(device), _ranges(device) + [(BLOCK_SIZE, "%x" % readings.block_size)],
                    "from where it starts, %s would do" % mebibytes(needed)
                    + (", %s of them for the namespace's own metadata and alignment" % mebibytes(needed - enough + overhead) if overhead else ""))


def enough_for_a_block(start, block_size):
    """Bytes from ``start`` to the end of the first whole block after it."""
    return -(-start // block_size) * block_size + block_size - start


def size_lost(readings):
    """Less memory came of a device than was given, and where the rest went: metadata, memmap, alignment to blocks or extents.

    Evidence: the size at each step from the memory device or namespace to its memory blocks.
    Remedy: sizes and starts that are multiples of a memory block; a namespace's memmap in DRAM (map mem) where that is wanted.
    """
    for device in readings.dax:
        steps, lost, remedies = _origin_steps(readings, device)
        steps.append(("%s/%s/size" % (devices.DAX, device.name), device.size))
        given = _given(readings, device)
        if device.driver == "kmem" and readings.block_size and device.ranges and readings.whole_blocks(device):
            usable = len(readings.whole_blocks(device)) * readings.block_size
            steps.append((BLOCK_SIZE, readings.block_size))
            if usable < sum(size for unused, size in device.ranges):
                remedies.append("let start and size be multiples of %s" % mebibytes(readings.block_size))
                lost.append("%s at its ends, outside whole memory blocks" % mebibytes(sum(size for unused, size in device.ranges) - usable))
        else:
            usable = device.size
        if lost:
            yield found(NOTICE, "%s of %s are left: %s" % (mebibytes(usable or 0), mebibytes(given or 0), ", ".join(lost)),
                        readings.subject(device), steps + _ranges(device),
                        "; ".join(remedies))
    for entry in readings.namespaces:
        if entry["dax"] is None and entry["overhead_bytes"]:
            yield found(NOTICE, "%s of the namespace's %s went to its metadata and memmap" % (mebibytes(entry["overhead_bytes"]), mebibytes(entry["size"])),
                        readings.namespace_subject(entry), [("%s/%s/size" % (nvdimm.BUS, entry["name"]), entry["size"]),
                                                            ("%s/%s/mode" % (nvdimm.BUS, entry["name"]), entry["mode"])],
                        "its memmap can lie in DRAM instead (pmem_namespace with map: mem), or go with mode: raw")


def nvdimm_misaligned(readings):
    """An NVDIMM's region is no multiple of what namespaces are made in, and ndctl refuses to make one of all of it.

    Evidence: size and alignment of the region; the platform takes a label area off the device before Linux sees it.
    Remedy: a smaller namespace where the region has labels; else a device of the size that would do.
    """
    for region in readings.nvdimm_regions:
        align = region.align or NVDIMM_ALIGN
        made = [entry for entry in readings.namespaces if entry["region"] == region.name]
        if region.size % align and not (made and region.labels):
            base, below = "%s/%s" % (nvdimm.BUS, region.name), region.size // align * align
            yield found(NOTICE, "the region has %s, no multiple of %s: ndctl makes no namespace of all of it"
                        % (mebibytes(region.size), mebibytes(align)), readings.nvdimm_subject(region),
                        [(base + "/size", region.size), (base + "/align", align)],
                        ("a namespace of %s can be made; " % mebibytes(below) if region.labels and below else "") +
                        "with %s more the device would be used whole" % mebibytes(-region.size % align))


def _origin_steps(readings, device):
    """((file, bytes), ...) from what was given down to the dax device, what was lost on the way, in words, and remedies."""
    origin, steps, lost, remedies = readings.origins[device.name], [], [], []
    region = next((region for region in readings.regions if region.name == origin["region"]), None)
    if region is not None:
        members = [member for member in readings.memory_devices if member.name in region.members]
        steps += [("%s/%s/ram/size" % (cxl.BUS, member.name), member.ram) for member in members] + [("%s/%s/size" % (cxl.BUS, region.name), region.size)]
        given = sum(member.ram for member in members)
        if region.mode == "ram" and given > region.size > 0:
            lost.append("%s of the devices' volatile capacity not in the region (regions take extents of %s of each device)"
                        % (mebibytes(given - region.size), mebibytes(EXTENT)))
            remedies.append("make the region of all of it (cxl_region with size: all); devices in one region give what the smallest of them has")
    space = _namespace(readings, device)
    if space is not None:
        steps.append(("%s/%s/size" % (nvdimm.BUS, space["name"]), space["size"]))
        overhead = _overhead(readings, device)
        if overhead:
            lost.append("%s for the namespace's %s" % (mebibytes(overhead), "metadata and memmap (map dev)" if space["map"] == "dev" else "metadata"))
            remedies.append("its memmap can lie in DRAM instead (pmem_namespace with map: mem)" if space["map"] == "dev" else
                            "metadata takes 2 MiB or more of every namespace")
    return steps, lost, remedies


def _given(readings, device):
    """Bytes that there were at first: of the memory devices, of the namespace, or of the device itself."""
    origin, space = readings.origins[device.name], _namespace(readings, device)
    names = [member["name"] for member in origin["memory_devices"]]
    if space is not None:
        return space["size"]
    return sum(member.ram for member in readings.memory_devices if member.name in names) or device.size


def _namespace(readings, device):
    name = (readings.origins[device.name]["namespace"] or {}).get("name")
    return next((entry for entry in readings.namespaces if entry["name"] == name), None)


def _overhead(readings, device):
    """Bytes of its namespace that a dax device does not have."""
    space = _namespace(readings, device)
    return space["size"] - device.size if space is not None and device.size else 0


def _ranges(device):
    return [("%s/%s/mapping%d" % (devices.DAX, device.name, number), "%#x-%#x" % (start, start + size - 1))
            for number, (start, size) in enumerate(device.ranges or ())]
