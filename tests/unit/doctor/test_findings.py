# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each finding about what hardware, firmware and kernel give, provoked: in recorded machines, or, where the test says broken, in one that was edited."""
from __future__ import annotations

import gzip
import pathlib
import re

import pytest

from ansible_collections.memlab.testbed.tests.unit.doctor.conftest import CONFIG, CXL, MODULES, values


# windows and memory devices

def test_no_window(recorded):
    entry = recorded("nowindow-6.12").only("no_window")
    assert values(entry)["/sys/firmware/acpi/tables/CEDT"] == "present"
    assert "CFMWS" in entry["remedy"]


def test_a_memory_device_that_no_driver_took(broken):
    patient = broken("hypervisor-6.12")
    patient.remove(CXL + "/mem0")
    entry = patient.only("memory_device_unbound")
    assert entry["subject"] == {"memory_devices": ["0000:0d:00.0"]} and values(entry)["/sys/bus/pci/devices/0000:0d:00.0/class"] == "0x050210"


def test_a_memory_device_that_cxl_mem_did_not_set_up(broken):
    patient = broken("hypervisor-6.12")
    patient.remove(CXL + "/mem0/driver")
    assert patient.only("memory_device_unbound")["subject"] == {"memory_devices": ["0x1"]}


def test_no_window_for_these_devices(recorded):
    # The kernel's answer there was "set_interleave_ways failed: Invalid argument": the only window takes turns between two host bridges.
    entry = recorded("wrong_order-6.12").only("no_fitting_window", {"serial": "0x1", "memmap": "dram"})
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry)[CXL + "/decoder0.0"] == "ram and pmem; to pci0000:0c, pci0000:0f; 4096 MiB free"


def test_no_window_for_this_kind_or_with_room(broken):
    patient = broken("hypervisor-6.12")
    patient.put(CXL + "/decoder0.0/cap_ram", "0")
    assert "take no ram" in patient.only("no_fitting_window")["message"]
    patient.put(CXL + "/decoder0.0/cap_ram", "1")
    patient.put(CXL + "/decoder0.0/size", "0x8000000")
    assert "are full" in patient.only("no_fitting_window")["message"]


def test_no_window_for_the_declared_kind(broken):
    """Broken: the only window takes no persistent memory, of which the device has some, too."""
    patient = broken("hypervisor-6.12")
    patient.put(CXL + "/mem0/pmem/size", "0x20000000")
    patient.put(CXL + "/decoder0.0/cap_pmem", "0")
    pmem = {"serial": "0x1", "type": "pmem", "namespace": {"name": "data", "mode": "fsdax"}}
    assert patient.only("no_fitting_window", pmem)["message"] == "the memory windows of its host bridge take no pmem"
    assert patient.found("no_fitting_window") == patient.found("no_fitting_window", {"serial": "0x1", "memmap": "dram"}) == []


def test_no_window_with_room_in_one_piece(broken):
    """Broken: 256 MiB of a window are free on either side of what is ordinary RAM, and a region of two devices needs 512 MiB."""
    patient = broken("wrong_order-6.12")
    patient.edit("/proc/iomem", "110000000-20fffffff : CXL Window 0", "110000000-20fffffff : CXL Window 0\n  120000000-1ffffffff : System RAM")
    entry = patient.only("no_fitting_window", {"memory_devices": ["0x1", "0x3"], "memmap": "dram"})
    assert entry["message"] == "the memory windows that fit are full" and values(entry)[CXL + "/decoder0.0"].endswith("512 MiB free")


def test_a_decoder_that_was_given_back_before_a_later_one(broken):
    """Broken: the first of two regions below a host bridge is gone, as after cxl destroy-region; its decoder still counts as used."""
    patient = broken("pinned-6.12")
    wanted = {"serial": "0x1", "memmap": "device"}
    assert patient.found("no_decoder", wanted) == []
    for name in (CXL + "/region0", "/sys/bus/dax/devices/dax0.0"):
        patient.remove(name)
    for name in ("decoder1.0", "decoder2.0"):
        patient.put("%s/%s/region" % (CXL, name), "")
    patient.put(CXL + "/endpoint2/decoders_committed", "0")
    entry = patient.only("no_decoder", wanted)
    assert entry["message"].endswith("goes through the same host bridge pci0000:0c, whose decoders take addresses in ascending order only")
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry)[CXL + "/decoder1.1/region"] == "region3" and values(entry)[CXL + "/port1/decoders_committed"] == "2"
    # Nobody asked for a region of it, or it is to be of other devices that are in one.
    assert patient.found("no_decoder") == patient.found("no_decoder", {"serial": "0x2", "memmap": "dram"}) == []
    patient.put(CXL + "/region3/resource", "0xa90000000")
    entry = patient.only("no_decoder", wanted)
    assert "pci0000:0c has decoders of removed regions before that of the region of serial 0x2" in entry["message"]
    assert entry["remedy"].startswith("remove it, then declare both")


def test_a_host_bridge_with_one_decoder_that_is_in_use(broken):
    """Broken: the host bridge has one decoder, as where it has a single root port."""
    patient = broken("pinned-6.12")
    for name in (CXL + "/region3", "/sys/bus/dax/devices/dax3.0", *["%s/decoder1.%d" % (CXL, number) for number in (1, 2, 3)]):
        patient.remove(name)
    patient.put(CXL + "/port1/decoders_committed", "1")
    patient.put(CXL + "/decoder3.0/region", "")
    patient.put(CXL + "/endpoint3/decoders_committed", "0")
    assert "has 1 decoder, and none is left" in patient.only("no_decoder", {"serial": "0x2", "memmap": "dram"})["message"]


def test_the_wrong_order_of_targets(recorded):
    # The kernel's answer there was "failed to set target1".
    patient = recorded("wrong_order-6.12")
    entry = patient.only("wrong_target_order", {"memory_devices": ["0x1", "0x2", "0x3", "0x4"], "memmap": "dram"})
    assert entry["remedy"] == "the order 0x1, 0x3, 0x2, 0x4 fits"
    assert patient.found("wrong_target_order", {"memory_devices": ["0x1", "0x3", "0x2", "0x4"], "memmap": "dram"}) == []
    assert "the same number" in patient.only("wrong_target_order", {"memory_devices": ["0x1", "0x2", "0x3"], "memmap": "dram"})["remedy"]


def test_the_wrong_order_below_a_switch(recorded):
    """By host bridges alone any order would do."""
    entry = recorded("bridges").only("wrong_target_order", {"memory_devices": ["0x3", "0x4", "0x5"], "memmap": "dram"})
    assert entry["remedy"].endswith("there are 1 below 0000:0f:00.0, 2 below 0000:0f:01.0")


def test_memory_devices_without_serial_numbers(recorded):
    entry = recorded("poor-6.12").only("serials_not_unique")
    assert entry["subject"] == {"memory_devices": ["0000:0d:00.0", "0000:0e:00.0"]} and values(entry)[CXL + "/mem1/serial"] == "0x0"
    assert recorded("poor-6.12").only("serials_not_unique", {"serial": "0x0", "memmap": "dram"})["severity"] == "problem"


@pytest.mark.parametrize("serial", ["0x1", "0x0"])
def test_serial_numbers_that_tell_nothing(broken, serial):
    patient = broken("wrong_order-6.12")
    for number in range(4):
        patient.put("%s/mem%d/serial" % (CXL, number), serial)
    entry = patient.only("serials_not_unique")
    addresses = ["0000:10:00.0", "0000:11:00.0", "0000:0d:00.0", "0000:0e:00.0"]
    assert (entry["severity"], entry["subject"]) == ("notice", {"memory_devices": addresses})
    assert patient.only("serials_not_unique", {"serial": serial, "memmap": "dram"})["severity"] == "problem"
    assert patient.only("serials_not_unique", {"serial": addresses[0], "memmap": "dram"})["severity"] == "notice"
    # Other findings then name them by address, too.
    assert patient.found("decoder_left_over")[0]["subject"] == {"memory_devices": ["0000:0d:00.0"]}


# firmware

def test_a_window_that_is_ordinary_ram(recorded):
    patient = recorded("ram_window-6.12")
    entry = patient.only("window_is_system_ram")
    assert (entry["severity"], entry["subject"]) == ("problem", {"window": "0x100000000"}) and entry["message"].startswith("1024 MiB")
    assert values(entry) == {"/proc/iomem": "0x100000000-0x13fffffff : System RAM", "/sys/firmware/memmap/7": "0x100000000-0x13fffffff : System RAM"}
    entry = patient.only("no_fitting_window", {"serial": "0x1", "memmap": "dram"})
    assert entry["message"] == "the memory windows that fit are full"
    assert values(entry) == {CXL + "/decoder0.0": "ram and pmem; to pci0000:0c; 0 MiB free"}


def test_a_window_that_is_ordinary_ram_in_part(broken):
    patient = broken("ram_window-6.12")
    patient.edit("/proc/iomem", "  100000000-13fffffff : System RAM", "  120000000-13fffffff : System RAM")
    entry = patient.only("window_is_system_ram")
    assert entry["message"].startswith("512 MiB") and values(entry)["/proc/iomem"] == "0x120000000-0x13fffffff : System RAM"
    assert patient.found("no_fitting_window") == []


def test_memory_that_kmem_added_is_not_ordinary_ram(recorded):
    assert "System RAM (kmem)" in pathlib.Path(recorded("pinned-6.12").path("/proc/iomem")).read_text()
    assert recorded("pinned-6.12").found("window_is_system_ram") == []


def test_a_soft_reserved_range_without_dax_device(recorded):
    entry = recorded("nowindow-6.12").only("soft_reserved_without_dax")
    assert entry["subject"] == {"soft_reserved": "0x20000000"} and values(entry)["/sys/module/dax_hmem"] is None
    assert values(entry)["/proc/iomem"] == "0x20000000-0x2fffffff : Soft Reserved"


def test_soft_reserve_switched_off(broken, recorded):
    assert values(recorded("poor-6.12").only("soft_reserve_off")) == {"/proc/cmdline": "efi=nosoftreserve"}
    patient = broken("pinned-6.12")
    patient.put("/proc/cmdline", "memory_hotplug.memmap_on_memory=1 efi=runtime,nosoftreserve")
    assert patient.only("soft_reserve_off")["severity"] == "problem"
    patient.put("/proc/cmdline", "")
    patient.edit(CONFIG, "CONFIG_EFI_SOFT_RESERVE=y", "# CONFIG_EFI_SOFT_RESERVE is not set")
    assert patient.only("soft_reserve_off")["severity"] == "notice"


def test_no_target_node(recorded):
    # The kernel's answer there was "rejecting DAX region with invalid node: -1".
    entry = recorded("nowindow-6.12").only("no_target_node")
    assert values(entry) == {"/sys/bus/dax/devices/dax0.0/target_node": None, "/proc/cmdline": "numa=off"} and "without numa=off" in entry["remedy"]


# kernel

def test_an_option_and_a_module_that_are_missing(broken):
    patient = broken("pinned-6.12")
    patient.edit(CONFIG, "CONFIG_DEV_DAX_CXL=m", "# CONFIG_DEV_DAX_CXL is not set")
    assert values(patient.only("option_missing")) == {CONFIG: "CONFIG_DEV_DAX_CXL is not set"}
    patient.edit(CONFIG, "CONFIG_MHP_MEMMAP_ON_MEMORY=y\n", "")
    assert len(patient.found("option_missing")) == 1
    assert len(patient.found("option_missing", {"serial": "0x1", "memmap": "device"})) == 2
    patient.edit(MODULES + "/modules.dep", "kernel/drivers/dax/kmem.ko.xz:\n", "")
    assert patient.found("module_missing") == []  # it is loaded all the same
    patient.remove("/sys/module/kmem")
    assert "kmem is not installed" in patient.only("module_missing")["message"]


@pytest.mark.parametrize("module, option, archive, wanted", [
    ("cxl_pmem", "CXL_PMEM", "rich-6.12", ()), ("nd_pmem", "BLK_DEV_PMEM", "rich-6.12", ()), ("nfit", "ACPI_NFIT", "rich-6.12", ()),
    ("dax_hmem", "DEV_DAX_HMEM", "nowindow-6.12", ()),
    ("cxl_pmem", "CXL_PMEM", "ram_window-6.12", ({"serial": "0x1", "type": "pmem", "namespace": {"name": "data", "mode": "fsdax"}},)),
    ("nfit", "ACPI_NFIT", "hypervisor-6.12", ({"nvdimms": ["0x1"], "namespace": {"name": "data", "mode": "fsdax"}},)),
    ("dax_hmem", "DEV_DAX_HMEM", "hypervisor-6.12", ({"soft_reserved": "0x50000000", "memmap": "dram"},))])
def test_a_module_that_the_memory_or_the_declaration_needs(broken, module, option, archive, wanted):
    """Broken: the module is neither loaded nor installed; then there is no configuration, the module is built in, and it is not wanted."""
    patient = broken(archive)
    if patient.path("/sys/module/" + module).exists():
        patient.remove("/sys/module/" + module)
    patient.path(MODULES + "/modules.dep").write_text(re.sub("(?m)^.*/%s[.]ko.*\n" % module, "", patient.path(MODULES + "/modules.dep").read_text()))
    missing = [entry for entry in patient.ask(*wanted)["findings"] if entry["finding"] == "module_missing"]
    assert [values(entry)[MODULES + "/modules.dep"] for entry in missing] == ["no " + module]
    config = patient.path(CONFIG).read_text()
    patient.remove(CONFIG)
    assert patient.found("module_missing", *wanted) == missing
    patient.put(CONFIG, config.replace("CONFIG_%s=m" % option, "CONFIG_%s=y" % option))
    assert patient.found("module_missing", *wanted) == []
    patient.put(CONFIG, config)
    assert (patient.found("module_missing") == []) is bool(wanted)


def test_soft_reserved_memory_in_a_window_needs_no_dax_hmem(broken):
    """Broken: the window is soft-reserved, and dax_hmem, which leaves such memory to CXL, is not installed."""
    patient = broken("hypervisor-6.12")
    patient.edit("/proc/iomem", "CXL Window 0\n", "CXL Window 0\n  110000000-11fffffff : Soft Reserved\n")
    patient.edit(MODULES + "/modules.dep", "kernel/drivers/dax/hmem/dax_hmem.ko.xz:\n", "")
    assert patient.only("soft_reserved_without_dax")["subject"] == {"soft_reserved": "0x110000000"}
    assert patient.found("module_missing") == []


def test_a_configuration_in_proc(broken):
    patient = broken("pinned-6.12")
    patient.path("/proc/config.gz").write_bytes(gzip.compress(b"CONFIG_CXL_REGION=y\n"))
    assert "CONFIG_MEMORY_HOTPLUG is not set" in [values(entry).get("/proc/config.gz") for entry in patient.found("option_missing")]
    patient.path("/proc/config.gz").write_bytes(b"not gzip")
    assert patient.found("option_missing") == []
    assert "/proc/config.gz" in [entry["file"] for entry in patient.ask()["unseen"]]


def test_a_driver_that_is_not_loaded(broken):
    patient = broken("pinned-6.12")
    patient.remove("/sys/module/kmem")
    patient.remove("/sys/bus/dax/drivers/kmem")
    assert patient.only("driver_not_loaded")["subject"] == {"namespace": "tiny"}


def test_a_kernel_without_ram_regions(recorded):
    assert recorded("nvdimm-6.1").only("no_ram_regions")["subject"] == {"memory_devices": ["0x2", "0x1"]}


# regions

def test_the_hypervisor_bit(recorded):
    entry = recorded("hypervisor-6.12").only("hypervisor_bit")
    assert values(entry) == {"/proc/cpuinfo": "flags: hypervisor", CONFIG: "CONFIG_CXL_REGION_INVALIDATION_TEST=n"}


def test_a_kernel_that_was_built_without_device_dax(recorded):
    # ndctl's answer there was "ndctl_dax_enable: dax0.0: failed to enable".
    wanted = {"nvdimms": ["0x1"], "namespace": {"name": "ram", "mode": "devdax"}, "mode": "system-ram", "memmap": "dram"}
    entries = recorded("rt-6.1").found("option_missing", wanted)
    assert [values(entry) for entry in entries] == [{"/boot/config-6.1.0-56-rt-amd64": option + " is not set"} for option in (
        "CONFIG_DEV_DAX", "CONFIG_DEV_DAX_KMEM", "CONFIG_DEV_DAX_PMEM")]


def test_a_module_that_is_not_installed(recorded):
    entry = recorded("poor-6.12").only("module_missing")
    assert values(entry) == {MODULES + "/modules.dep": "no dax_cxl", MODULES + "/modules.builtin": "no dax_cxl"}
    assert recorded("poor-6.12").only("region_without_dax")["subject"] == {"memory_devices": ["0000:0d:00.0"]}


def test_the_hypervisor_bit_does_no_harm_to_a_kernel_for_tests(broken):
    patient = broken("hypervisor-6.12")
    patient.edit(CONFIG, "# CONFIG_CXL_REGION_INVALIDATION_TEST is not set", "CONFIG_CXL_REGION_INVALIDATION_TEST=y")
    assert patient.found("hypervisor_bit") == []
    patient.remove(CONFIG)
    assert patient.only("hypervisor_bit")["severity"] == "notice"


def test_a_region_that_was_not_set_up_to_its_end(recorded):
    entry = recorded("half_made-6.12").only("region_half_made")
    assert entry["subject"] == {"window": "0x110000000"} and values(entry)[CXL + "/region0/commit"] == "0"
    # cxl destroy-region failed on this one ("error locating decoder for target0").
    assert entry["remedy"].startswith("write region0 to %s/decoder0.0/delete_region" % CXL)


@pytest.mark.parametrize("size", ["", "0x0"])
def test_a_committed_region_without_size(broken, size):
    """Broken: the size of one region. Nothing else is said of it, nor of what came of it."""
    patient = broken("device-6.12")
    healthy = patient.ask({"serial": "0x1", "memmap": "device"})["findings"]
    patient.put(CXL + "/region0/size", size)
    entry = patient.only("region_half_made")
    assert entry["message"] == "the region region0 is being made or taken down (no size)" and entry["subject"] == {"memory_devices": ["0x1"]}
    assert values(entry) == {CXL + "/region0/size": size or None} and entry["remedy"].startswith("look again when")
    others = [found for found in patient.ask({"serial": "0x1", "memmap": "device"})["findings"] if found != entry]
    assert others == healthy
    patient.remove("/sys/bus/dax/devices/dax0.0")
    assert patient.found("region_without_dax") == []


def test_a_decoder_that_was_left_over(recorded):
    entry = recorded("hypervisor-6.12").only("decoder_left_over")
    assert values(entry) == {CXL + "/decoder2.0/dpa_size": "0x20000000", CXL + "/decoder2.0/mode": "ram", CXL + "/decoder2.0/region": None}


def test_a_region_without_dax_device(broken):
    patient = broken("device-6.12")
    patient.remove("/sys/bus/dax/devices/dax0.0")
    patient.edit("/proc/iomem", "      a90000000-acfffffff : System RAM (kmem)\n", "")
    assert patient.only("region_without_dax")["subject"] == {"memory_devices": ["0x1"]}


def test_a_persistent_region_without_nvdimm_region(broken):
    """Broken: a region's kind and what came of it; then an NVDIMM region that starts there, and one whose start cannot be read."""
    patient = broken("pinned-6.12")
    patient.put(CXL + "/region0/mode", "pmem")
    patient.remove("/sys/bus/dax/devices/dax0.0")
    entry = patient.only("region_without_nvdimm")
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry) == {CXL + "/region0/commit": "1", "/sys/module/cxl_pmem": "loaded", CONFIG: "CONFIG_CXL_PMEM=m"}
    assert entry["remedy"].startswith("load cxl_pmem")
    start = "/sys/bus/nd/devices/region1/resource"
    patient.put(start, patient.path(CXL + "/region0/resource").read_text().strip())
    assert patient.found("region_without_nvdimm") == []
    patient.remove(start)
    answer = patient.ask()
    assert "region_without_nvdimm" not in [entry["finding"] for entry in answer["findings"]]
    assert start in [entry["file"] for entry in answer["unseen"]]
