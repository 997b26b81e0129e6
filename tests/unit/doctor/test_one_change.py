# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One file of a recorded machine changed, one finding more, and no other: what each says as evidence and remedy, and that nothing comes of it by the way.

What the captures show as they are stands in test_recorded.py.
"""
from __future__ import annotations

import collections
import re

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.doctor import kernel

RELEASE = "6.12.118+deb13-amd64"
CONFIG, DEP = "/boot/config-" + RELEASE, "/lib/modules/%s/modules.dep" % RELEASE
CXL, DAX, ND, MEMORY = "/sys/bus/cxl/devices", "/sys/bus/dax/devices", "/sys/bus/nd/devices", "/sys/devices/system/memory"
PARAMETER = "/sys/module/memory_hotplug/parameters/memmap_on_memory"
FIRST = {"serial": "0x1", "memmap": "device", "zone": "kernel"}
ALL_PINNED = (FIRST, {"serial": "0x2", "memmap": "dram"},
              {"nvdimms": ["0x1"], "namespace": {"name": "tiny", "mode": "devdax"}, "mode": "system-ram", "memmap": "dram"})

# what is changed, in words; finding; the capture; the file; (old, new) of its text, or the text, or None to remove it; what is declared; its severity;
# its subject; the evidence that has to be there; what the remedy begins with
Case = collections.namedtuple("Case", "change finding archive file text wanted severity subject evidence remedy")

CASES = [
    Case("the processor flags", "hypervisor_bit", "rich-6.12", "/proc/cpuinfo", re.compile("^(flags.*)$", re.MULTILINE), (), "problem",
         {"memory_devices": ["0x1", "0x3", "0x4"]}, {"/proc/cpuinfo": "flags: hypervisor", CONFIG: "CONFIG_CXL_REGION_INVALIDATION_TEST=n"},
         "hide the bit (QEMU: -cpu max,-hypervisor), or use a kernel with CONFIG_CXL_REGION_INVALIDATION_TEST"),
    Case("the knob of a device with its memmap in DRAM", "knob_ignored", "dram-6.12", DAX + "/dax0.0/memmap_on_memory", "1", (), "problem",
         {"memory_devices": ["0x1"]}, {DAX + "/dax0.0/memmap_on_memory": "1", PARAMETER: "Y", "/proc/kcore": "16 MiB on node 0",
                                       "/proc/kpageflags": "16 MiB on node 0", "/proc/zoneinfo": "16 MiB on node 0"},
         "the knob is a hint that the kernel drops silently; set it before kmem has the device, then take the device offline"),
    Case("a line of the list of modules", "module_missing", "hypervisor-6.12", DEP, ("kernel/drivers/dax/device_dax.ko.xz:\n", ""), (), "problem",
         {"host": "kernel"}, {DEP: "no device_dax", "/lib/modules/%s/modules.builtin" % RELEASE: "no device_dax"},
         "install the modules that belong to the kernel " + RELEASE),
    Case("a line of the list of modules", "module_missing", "hypervisor-6.12", DEP, ("kernel/drivers/dax/hmem/dax_hmem.ko.xz:\n", ""),
         ({"soft_reserved": "0x50000000", "memmap": "dram"},), "problem", {"host": "kernel"}, {DEP: "no dax_hmem"},
         "install the modules that belong to the kernel " + RELEASE),
    Case("free pages and those of files", "not_enough_dram", "pinned-6.12", "/proc/zoneinfo", re.compile("((?:pages free|_file) +)[0-9]+"), ALL_PINNED,
         "problem", {"namespace": "tiny"}, {"/proc/zoneinfo": "0.0 MiB free above the watermarks in kernel zones of node 0",
                                            DAX + "/dax2.0/size": "199229440", DAX + "/dax2.0/memmap_on_memory": "0"},
         "say memmap: device, or free memory first"),
    Case("the size of a region without labels", "nvdimm_misaligned", "rich-6.12", ND + "/region3/size", str(254 << 20), (), "notice",
         {"nvdimms": ["0x2"]}, {ND + "/region3/size": str(254 << 20), ND + "/region3/align": str(16 << 20)},
         "with 2 MiB more the device would be used whole"),
    Case("a memory block", "blocks_absent", "device-6.12", MEMORY + "/memory345", None, (), "problem", {"memory_devices": ["0x1"]},
         {MEMORY + "/memory345": None},
         "the kernel log says why a range could not be added; offline the rest and bind the device again with memlab.testbed.dax_device"),
    Case("the driver of a device that is online", "memory_left_behind", "device-6.12", DAX + "/dax0.0/driver", None, (dict(FIRST, zone="movable"),), "problem",
         {"memory_devices": ["0x1"]}, {DAX + "/dax0.0/driver": None, MEMORY + "/memory338/state": "online"}, "reboot: until then no driver can have"),
    Case("the driver of a device that is offline", "memory_left_behind", "offline-6.12", DAX + "/dax0.0/driver", None, (), "problem",
         {"memory_devices": ["0x1"]}, {DAX + "/dax0.0/driver": None, MEMORY + "/memory338/state": "offline"}, "reboot: until then no driver can have"),
    Case("a device that is online", "memory_left_behind", "device-6.12", DAX + "/dax0.0", None, (dict(FIRST, zone="movable"),), "problem",
         {"memory_devices": ["0x1"]}, {"/proc/iomem": "0xa90000000 : System RAM (kmem)", MEMORY + "/memory338/state": "online"}, "reboot: until then"),
    Case("the size of the only window", "no_window", "hypervisor-6.12", CXL + "/decoder0.0/size", "0x0", (), "problem", {"host": "memory windows"},
         {CXL: "1 memory devices, no root decoder with a size", "/sys/firmware/acpi/tables/CEDT": "present",
          "/sys/bus/platform/devices/ACPI0017:00/driver": "cxl_acpi"}, "let the firmware describe windows"),
    Case("the kinds of the only window", "no_fitting_window", "hypervisor-6.12", CXL + "/decoder0.0/cap_ram", "0", (), "problem", {"memory_devices": ["0x1"]},
         {CXL + "/decoder0.0": "pmem; to pci0000:0c; 4096 MiB free"}, "make a region of the kind the window takes"),
    Case("the physical map", "soft_reserved_without_dax", "hypervisor-6.12", "/proc/iomem", ("00100000-", "50000000-5fffffff : Soft Reserved\n00100000-"), (),
         "problem", {"soft_reserved": "0x50000000"}, {"/proc/iomem": "0x50000000-0x5fffffff : Soft Reserved", "/sys/module/dax_hmem": None,
                                                      CONFIG: "CONFIG_DEV_DAX_HMEM=m"}, "load dax_hmem"),
    # As on 7.3, where the physical map does not show it.
    Case("firmware's map", "soft_reserved_without_dax", "pinned-6.12", "/sys/firmware/memmap/8/type", "Soft Reserved", (), "problem",
         {"soft_reserved": "0xfd00000000"}, {"/sys/firmware/memmap/8": "0xfd00000000-0xffffffffff : Soft Reserved", "/sys/module/dax_hmem": "loaded"},
         "dax_hmem leaves ranges inside CXL windows to CXL"),
    Case("the command line", "soft_reserve_off", "pinned-6.12", "/proc/cmdline", "efi=runtime,nosoftreserve", (), "problem", {"host": "kernel"},
         {"/proc/cmdline": "efi=runtime,nosoftreserve"}, "boot without efi=runtime,nosoftreserve"),
    Case("an option", "soft_reserve_off", "pinned-6.12", CONFIG, ("CONFIG_EFI_SOFT_RESERVE=y", "# CONFIG_EFI_SOFT_RESERVE is not set"), (), "notice",
         {"host": "kernel"}, {CONFIG: "CONFIG_EFI_SOFT_RESERVE=n"}, "use a kernel with CONFIG_EFI_SOFT_RESERVE where firmware marks such memory"),
    Case("the target node", "no_target_node", "pinned-6.12", DAX + "/dax2.0/target_node", "-1", ALL_PINNED, "problem",
         {"namespace": "tiny"}, {DAX + "/dax2.0/target_node": "-1"}, "firmware has to give the range a proximity domain"),
]

# What the regular expressions of the cases make of what they match.
REPLACED = {"hypervisor_bit": r"\1 hypervisor", "not_enough_dram": r"\g<1>1"}


def change(patient, case):
    if case.text is None:
        patient.remove(case.file)
    elif isinstance(case.text, str):
        patient.put(case.file, case.text)
    elif isinstance(case.text, tuple):
        patient.edit(case.file, *case.text)
    else:
        text, count = case.text.subn(REPLACED[case.finding], patient.path(case.file).read_text(encoding="utf-8"))
        assert count
        patient.path(case.file).write_text(text, encoding="utf-8")


def kinds(answer):
    return [(entry["severity"], entry["finding"], entry["subject"]) for entry in answer["findings"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "%s, %s" % (case.finding, case.change))
def test_one_change_and_one_finding(broken, case):
    patient = broken(case.archive)
    before = patient.ask(*case.wanted)
    change(patient, case)
    after = patient.ask(*case.wanted)
    new = [entry for entry in after["findings"] if (entry["severity"], entry["finding"], entry["subject"]) not in kinds(before)]
    assert [(entry["severity"], entry["finding"], entry["subject"]) for entry in new] == [(case.severity, case.finding, case.subject)]
    evidence = {item["file"]: item["value"] for item in new[0]["evidence"]}
    assert {name: evidence.get(name, "not there") for name in case.evidence} == case.evidence
    assert new[0]["remedy"].startswith(case.remedy)
    assert [entry for entry in kinds(before) if entry not in kinds(after)] == []
    assert after["unseen"] == before["unseen"]


def test_each_option_that_is_needed(broken):
    """Changed: one line of the kernel's configuration, which is there in the capture, for each option. It has no soft-reserved memory but by declaration."""
    patient, wanted = broken("rich-6.12"), (FIRST, {"soft_reserved": "0x240000000", "memmap": "dram"})
    before, whole = kinds(patient.ask(*wanted)), patient.path(CONFIG).read_text(encoding="utf-8")
    for option, *unused in kernel.NEEDED:
        text, count = re.subn("(?m)^CONFIG_%s=.*\n" % option, "", whole)
        assert count == 1, option
        patient.path(CONFIG).write_text(text, encoding="utf-8")
        (entry,) = [entry for entry in patient.ask(*wanted)["findings"] if entry["finding"] == "option_missing"]
        assert (entry["severity"], entry["subject"]) == ("problem", {"host": "kernel"})
        assert entry["evidence"] == [{"file": CONFIG, "value": "CONFIG_%s is not set" % option}] and entry["remedy"] == "use a kernel with CONFIG_%s" % option
        assert [found for found in kinds(patient.ask(*wanted)) if found[1] != "option_missing"] == before


def test_the_hypervisor_bit_does_no_harm_to_regions_that_are_there(broken):
    """Changed: the processor's flags, on a machine whose devices are all in regions."""
    patient = broken("pinned-6.12")
    before = kinds(patient.ask())
    text = patient.path("/proc/cpuinfo").read_text(encoding="utf-8")
    patient.path("/proc/cpuinfo").write_text(re.sub("(?m)^(flags.*)$", r"\1 hypervisor", text), encoding="utf-8")
    assert kinds(patient.ask()) == before
