# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about the kernel: options it was built without, and modules that are not there or not loaded."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl
from ansible_collections.memlab.testbed.plugins.module_utils.doctor import firmware
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import NOTICE, PROBLEM, found
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import NFIT
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kernel import OSRELEASE, version

ANY, CXL, SELF = "any memory device", "CXL memory devices", "a memmap that is declared to be on the device"
CXL_PMEM, NVDIMM, PMEM, HMEM = "persistent CXL memory", "NVDIMMs", "persistent memory of either kind", "soft-reserved memory"
# option, its module or None, what it is needed for, on what kind of machine, first kernel that has it
NEEDED = (
    ("MEMORY_HOTPLUG", None, "adding memory to the running kernel", ANY, (6, 1)),
    ("MEMORY_HOTREMOVE", None, "taking it away again", ANY, (6, 1)),
    ("ZONE_DEVICE", None, "dax devices", ANY, (6, 1)),
    ("DEV_DAX", "device_dax", "devices in mode devdax", ANY, (6, 1)),
    ("DEV_DAX_KMEM", "kmem", "devices in mode system-ram", ANY, (6, 1)),
    ("MHP_MEMMAP_ON_MEMORY", None, "a memmap on the device", SELF, (6, 1)),
    ("CXL_PCI", "cxl_pci", "CXL memory devices", CXL, (6, 1)),
    ("CXL_ACPI", "cxl_acpi", "memory windows", CXL, (6, 1)),
    ("CXL_MEM", "cxl_mem", "setting CXL memory devices up", CXL, (6, 1)),
    ("CXL_PORT", "cxl_port", "the way to CXL memory devices", CXL, (6, 1)),
    ("CXL_REGION", None, "regions", CXL, (6, 1)),
    ("DEV_DAX_CXL", "dax_cxl", "dax devices of volatile regions", CXL, (6, 3)),
    ("DEV_DAX_HMEM", "dax_hmem", "dax devices of soft-reserved memory", HMEM, (6, 1)),
    ("CXL_PMEM", "cxl_pmem", "NVDIMM regions of persistent CXL memory", CXL_PMEM, (6, 1)),
    ("ACPI_NFIT", "nfit", "NVDIMMs", NVDIMM, (6, 1)),
    ("BLK_DEV_PMEM", "nd_pmem", "namespaces", PMEM, (6, 1)),
    ("DEV_DAX_PMEM", "dax_pmem", "dax devices of namespaces", PMEM, (6, 1)),
    ("NVDIMM_DAX", None, "namespaces in mode devdax", PMEM, (6, 1)),
)


def option_missing(readings):
    """The kernel was built without an option that this machine's memory devices need.

    Evidence: the kernel's configuration.
    Remedy: a kernel with that option.
    """
    for option, module, purpose in _needed(readings):
        if readings.option(option) == "n":
            yield found(PROBLEM, "the kernel was built without CONFIG_%s, needed for %s" % (option, purpose), {"host": "kernel"},
                        [(readings.config_file, "CONFIG_%s is not set" % option)], "use a kernel with CONFIG_%s" % option)


def module_missing(readings):
    """A driver that this machine's memory devices need is a module that is not installed.

    Evidence: the kernel's list of modules.
    Remedy: install the kernel's modules.
    """
    if readings.modules is None:
        return
    for option, module, purpose in _needed(readings):
        # What is built in may have no list that says so in a capture.
        if module and readings.option(option) in ("m", None) and module not in readings.modules and not readings.loaded(module):
            directory = "/lib/modules/%s" % readings.release
            yield found(PROBLEM, "the module %s is not installed, needed for %s" % (module, purpose), {"host": "kernel"},
                        [(directory + "/modules.dep", "no %s" % module), (directory + "/modules.builtin", "no %s" % module)],
                        "install the modules that belong to the kernel %s" % readings.release)


def driver_not_loaded(readings):
    """A dax device has no driver, and the module of one that would take it is not loaded.

    Evidence: the device without driver, the drivers that are registered.
    Remedy: load the module (memlab.testbed.dax_device does).
    """
    registered = readings.host.listdir("/sys/bus/dax/drivers")
    for device in readings.dax:
        if device.driver is None and device.name not in readings.left_behind and "kmem" not in registered and not readings.loaded("kmem"):
            yield found(NOTICE, "the device has no driver, and kmem is not loaded", readings.subject(device),
                        [("%s/%s/driver" % (devices.DAX, device.name), None), ("/sys/bus/dax/drivers", ", ".join(registered) or None)],
                        "memlab.testbed.dax_device loads it; or modprobe kmem")


def no_ram_regions(readings):
    """The kernel cannot make regions of volatile CXL memory at all.

    Evidence: its release, and volatile memory devices in no region.
    Remedy: Linux 6.3 or newer; until then only what firmware set up itself.
    """
    taken = {name for region in readings.regions for name in region.members}
    idle = [device.name for device in readings.memory_devices if device.ram and device.name not in taken]
    if idle and (0, 0) < version(readings.release) < cxl.RAM_REGIONS:
        yield found(PROBLEM, "Linux %s makes no regions of volatile CXL memory" % readings.release, readings.members(idle),
                    [(OSRELEASE, readings.release)], "use Linux %d.%d or newer" % cxl.RAM_REGIONS)


def _needed(readings):
    """(option, module, purpose) of what fits this machine's hardware and kernel."""
    asked = [entry.entry for entry in readings.wanted]
    kinds = {ANY: readings.hot_added, CXL: bool(readings.memory_devices or readings.bus.objects),
             SELF: any("device" in entry.memmaps for entry in readings.wanted),
             CXL_PMEM: any(device.pmem for device in readings.memory_devices) or any(entry.type == "pmem" for entry in asked),
             NVDIMM: readings.host.exists(NFIT) or any(entry.nvdimms for entry in asked),
             HMEM: any(entry.soft_reserved is not None for entry in asked) or bool(firmware.for_hmem(readings))}
    kinds[PMEM] = bool(readings.nvdimm_regions) or kinds[CXL_PMEM] or kinds[NVDIMM]
    release = version(readings.release)
    return [(option, module, purpose) for option, module, purpose, kind, since in NEEDED if kinds[kind] and release >= since]
