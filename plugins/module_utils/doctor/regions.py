# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about CXL regions that were not made to their end."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import NOTICE, PROBLEM, found, mebibytes, when
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import CPUINFO


def hypervisor_bit(readings):
    """The processor says that it is virtual, and then the kernel commits no CXL region: it has no way to invalidate CPU caches.

    Evidence: the flag hypervisor, the kernel's option for tests, and memory devices or regions that are not committed.
    Remedy: hide the bit (QEMU: -cpu max,-hypervisor), or a kernel with CONFIG_CXL_REGION_INVALIDATION_TEST.
    """
    if "hypervisor" not in (readings.processor_flags or ()) or not readings.memory_devices:
        return
    option = readings.option("CXL_REGION_INVALIDATION_TEST")
    waiting = [region for region in readings.regions if not region.committed]
    taken = {name for region in readings.regions if region.committed for name in region.members}
    idle = [device for device in readings.memory_devices if device.name not in taken]
    if option == "y" or not (waiting or idle):
        return
    evidence = [(CPUINFO, "flags: hypervisor"), (readings.config_name, "CONFIG_CXL_REGION_INVALIDATION_TEST=%s" % (option or "unknown"))]
    evidence += [("%s/%s/commit" % (cxl.BUS, region.name), "0") for region in waiting]
    yield found(when(waiting or option == "n"),
                "the processor has the hypervisor bit: committing a region fails (\"Failed to synchronize CPU cache state\", ENXIO)",
                readings.members([device.name for device in idle]), evidence,
                "hide the bit (QEMU: -cpu max,-hypervisor), or use a kernel with CONFIG_CXL_REGION_INVALIDATION_TEST")


def region_half_made(readings):
    """A CXL region was begun and not set up to its end: it holds room in its window and its devices' decoders, and other regions fail.

    Evidence: what the region lacks: a size, an address, a target, its commit, its driver.
    Remedy: remove it (memlab.testbed.cxl_region with state absent; delete_region of its root decoder where it has no targets), then make it again.
    """
    windows = {window.name: "%#x" % window.start for window in readings.windows}
    for region in readings.regions:
        targets = ["target%d" % position for position, member in enumerate(region.members) if not member]
        lacks = [name for name, there in (("size", region.size), ("resource", region.start is not None), ("commit", region.committed),
                                          ("driver", region.enabled)) if not there] + targets
        # Before the reboot that memory_left_behind asks for, cxl_region refuses to remove it.
        if lacks and region.name not in readings.left_behind:
            members = readings.members([name for name in region.members if name])
            state = "is being made or taken down" if cxl.unsettled(region) else "was not set up to its end"
            yield found(PROBLEM, "the region %s %s (%s)" % (region.name, state, ", ".join("no " + word for word in lacks)),
                        members if members["memory_devices"] else {"window": windows.get(region.decoder, region.decoder)},
                        [("%s/%s/%s" % (cxl.BUS, region.name, word), readings.text("%s/%s/%s" % (cxl.BUS, region.name, word), needed=False) or None)
                         for word in lacks],
                        "write %s to %s/%s/delete_region (cxl destroy-region refuses a region without targets), then make it again" % (
                            region.name, cxl.BUS, region.decoder) if targets else
                        ("look again when whoever works on it has ended; if it stays so, " if cxl.unsettled(region) else "") +
                        "memlab.testbed.cxl_region with state: absent for its devices, then make it again")


def decoder_left_over(readings):
    """A memory device's decoder holds capacity for a region that is gone or was never made ("failed to set target", "failed to commit decode").

    Evidence: the decoder's mode and bytes, and that no region uses it.
    Remedy: a new region of the same kind takes it over; cxl free-dpa gives it back.
    """
    used = {readings.text("%s/%s/target%d" % (cxl.BUS, region.name, position), needed=False) for region in readings.regions for position in range(region.ways)}
    for decoder in readings.endpoint_decoders:
        if decoder.bytes and not decoder.region and decoder.name not in used:
            yield found(NOTICE, "a decoder of the memory device holds %s of its %s capacity, and no region uses it: one was not made to its end"
                        % (mebibytes(decoder.bytes), decoder.mode),
                        readings.members([decoder.memory_device]), [("%s/%s/dpa_size" % (cxl.BUS, decoder.name), "%#x" % decoder.bytes),
                                                                    ("%s/%s/mode" % (cxl.BUS, decoder.name), decoder.mode),
                                                                    ("%s/%s/region" % (cxl.BUS, decoder.name), None)],
                        "a new region of the same kind takes it over; for another kind, cxl free-dpa -t %s %s (the device's name now)"
                        % (decoder.mode, decoder.memory_device))


def region_without_dax(readings):
    """A region of volatile memory is complete, and has no dax device.

    Evidence: the region, and whether dax_cxl is loaded.
    Remedy: load dax_cxl (CONFIG_DEV_DAX_CXL).
    """
    for region in readings.regions:
        if region.mode == "ram" and region.size and region.committed and region.enabled and not region.dax and region.name not in readings.left_behind:
            yield found(PROBLEM, "the region of %s has no dax device" % mebibytes(region.size), readings.members(region.members),
                        [("%s/%s/commit" % (cxl.BUS, region.name), "1"), ("/sys/module/dax_cxl", "loaded" if readings.loaded("dax_cxl") else None),
                         (readings.config_name, "CONFIG_DEV_DAX_CXL=%s" % (readings.option("DEV_DAX_CXL") or "unknown"))],
                        "load dax_cxl; where it is loaded, make the region again with memlab.testbed.cxl_region")


def region_without_nvdimm(readings):
    """A region of persistent memory is complete, and has no NVDIMM region, so no namespace can be made in it.

    Evidence: the region, and whether cxl_pmem is loaded.
    Remedy: load cxl_pmem (CONFIG_CXL_PMEM).
    """
    complete = [region for region in readings.regions if region.mode == "pmem" and region.size and region.committed and region.enabled]
    files = ["%s/%s/resource" % (nvdimm.BUS, region.name) for region in readings.nvdimm_regions]
    # It is known by where it starts, as drivers/cxl/pmem.c:cxl_pmem_region_probe makes it (6.1 to 7.3), and that is for root only.
    if not complete or None in [readings.text(name) for name in files]:
        return
    starts = {readings.number(name) for name in files}
    for region in complete:
        if region.start is not None and region.start not in starts:
            yield found(PROBLEM, "the region of %s has no NVDIMM region" % mebibytes(region.size), readings.members(region.members),
                        [("%s/%s/commit" % (cxl.BUS, region.name), "1"), ("/sys/module/cxl_pmem", "loaded" if readings.loaded("cxl_pmem") else None),
                         (readings.config_name, "CONFIG_CXL_PMEM=%s" % (readings.option("CXL_PMEM") or "unknown"))],
                        "load cxl_pmem; where it is loaded, make the region again with memlab.testbed.cxl_region")
