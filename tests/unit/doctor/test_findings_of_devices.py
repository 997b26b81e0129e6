# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each finding about declared devices and their memory, provoked: in recorded machines, or, where the test says broken, in one that was edited."""
from __future__ import annotations

import pathlib
import re

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.doctor import census
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.diagnose import diagnose
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import Readings
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.unit.doctor.conftest import CONFIG, CXL, MODULES, values

MEMORY = "/sys/devices/system/memory"
SLOW = {"nvdimms": ["0x1"], "namespace": {"name": "slow", "mode": "devdax"}}
TINY = {"nvdimms": ["0x1"], "namespace": {"name": "tiny", "mode": "devdax"}}


# what became of devices

@pytest.mark.parametrize("wanted, words", [
    ({"serial": "0x9", "memmap": "dram"}, "memory device 0x9 is declared, and the machine has none"),
    ({"memory_devices": ["0x2", "0x1"], "memmap": "dram"}, "no ram region is made of memory device 0x2, 0x1"),
    ({"memory_devices": ["0x9"], "type": "pmem", "namespace": {"name": "data", "mode": "fsdax"}}, "memory device 0x9 is declared, and the machine has none"),
    ({"memory_devices": ["0x1"], "type": "pmem", "namespace": {"name": "data", "mode": "devdax"}}, "no pmem region is made of memory device 0x1"),
    ({"nvdimms": ["0x1"], "namespace": {"name": "data", "mode": "devdax"}}, "there is no namespace data"),
    ({"nvdimms": ["0x1"], "namespace": {"name": "data", "mode": "fsdax"}}, "there is no namespace data"),
    ({"nvdimms": ["0x1"], "namespace": {"uuid": "b2ff7843-f6c9-409e-9662-980ff5b3f8d1", "mode": "devdax"}}, "-980ff5b3f8d1 has no dax device"),
    ({"soft_reserved": "0x240000000", "memmap": "dram"}, "starts at 0x240000000")])
def test_a_declared_device_that_is_absent(recorded, wanted, words):
    assert words in recorded("device-6.12").only("device_absent", wanted)["message"]


def test_a_region_of_the_other_kind_is_not_the_declared_one(broken):
    """Broken: the region of one device is persistent, so it has no dax device. The device has no persistent capacity."""
    patient = broken("pinned-6.12")
    ram, pmem = {"serial": "0x1", "memmap": "device"}, {"serial": "0x1", "type": "pmem", "namespace": {"name": "data", "mode": "fsdax"}}
    entry = patient.only("device_absent", pmem)
    assert values(entry)[CXL + "/region0/mode"] == "ram" and values(entry)[CXL + "/mem0/pmem/size"] == "0x0"
    assert entry["remedy"].startswith("correct the declared type: a pmem region needs capacity")
    patient.put(CXL + "/region0/mode", "pmem")
    patient.remove("/sys/bus/dax/devices/dax0.0")
    entry = patient.only("device_absent", ram)
    assert (entry["message"], entry["subject"]) == ("no ram region is made of memory device 0x1", {"memory_devices": ["0x1"]})
    assert values(entry)[CXL + "/region0/mode"] == "pmem" and entry["remedy"] == "make it with memlab.testbed.cxl_region"
    assert "there is no namespace data" in patient.only("device_absent", pmem)["message"]


RAM = "0x100000-0x3ffdcfff : System RAM"


@pytest.mark.parametrize("archive, address, said, evidence, remedy", [
    ("hypervisor-6.12", "0x20000000", "0x20000000, which is ordinary RAM since boot", {"/proc/iomem": RAM, "/sys/firmware/memmap/2": RAM},
     "set the firmware to hand it over as specific-purpose memory"),
    ("hypervisor-6.12", "0x1000000000", "0x1000000000", {"/proc/iomem": "nothing at 0x1000000000", "/sys/firmware/memmap/2": None}, "declare a range that"),
    ("hypervisor-6.12", "0x110000000", "0x110000000", {"/proc/iomem": "0x110000000-0x20fffffff : CXL Window 0"}, "declare a range that"),
    # Firmware listed it as RAM, and the command line reserved it.
    ("nowindow-6.12", "0x20000000", "0x20000000", {"/proc/iomem": "0x20000000-0x2fffffff : Soft Reserved",
                                                   "/sys/firmware/memmap/2": "0x100000-0x3ffdbfff : System RAM"}, "load dax_hmem"),
    ("fresh", "0x20000000", "0x20000000", {"/proc/iomem": None}, "declare a range that")])
def test_what_lies_at_a_declared_soft_reserved_range_without_dax_device(recorded, archive, address, said, evidence, remedy):
    entry = recorded(archive).only("device_absent", {"soft_reserved": address, "memmap": "dram"})
    assert entry["message"] == "no dax device starts at " + said and entry["subject"] == {"soft_reserved": address}
    assert {name: values(entry).get(name) for name in evidence} == evidence and entry["remedy"].startswith(remedy)


def test_a_soft_reserved_range_that_firmware_alone_shows(broken):
    """Broken: firmware's map, as on 7.3, where the physical map does not show such ranges."""
    patient = broken("hypervisor-6.12")
    patient.put("/sys/firmware/memmap/7/type", "Soft Reserved")
    entry = patient.only("device_absent", {"soft_reserved": "0xfd00000000", "memmap": "dram"})
    assert values(entry)["/sys/firmware/memmap/7"] == "0xfd00000000-0xffffffffff : Soft Reserved" and entry["remedy"].startswith("load dax_hmem")


def test_a_region_that_does_not_tell_its_kind_may_be_the_declared_one(broken):
    """Broken: a region's mode is taken away; Linux has it since 6.3 only."""
    patient = broken("pinned-6.12")
    patient.remove(CXL + "/region0/mode")
    assert patient.found("device_absent", {"serial": "0x1", "memmap": "device"}) == []


@pytest.mark.parametrize("uuid", ["b2ff7843-f6c9-409e-9662-980ff5b3f8d1", "8a54d998-a662-41e2-a487-b4f202e0a203"], ids=["label", "info block"])
def test_a_namespace_is_found_by_either_uuid_and_one_for_a_file_system_needs_no_dax_device(recorded, uuid):
    assert recorded("device-6.12").found("device_absent", {"nvdimms": ["0x1"], "namespace": {"uuid": uuid, "mode": "fsdax"}}) == []


def test_system_ram_though_devdax_was_wanted(recorded):
    entry = recorded("device-6.12").only("system_ram_unwanted", {"serial": "0x1", "mode": "devdax"})
    assert values(entry)["/sys/bus/dax/devices/dax0.0/driver"] == "kmem" and "offline: true" in entry["remedy"]
    assert recorded("device-6.12").found("system_ram_unwanted", {"serial": "0x1", "memmap": "dram"}) == []


def test_not_in_the_mode_that_was_wanted(recorded):
    entry = recorded("device-6.12").only("mode_absent", dict(SLOW, mode="system-ram", memmap="dram"))
    assert "is without a driver, declared system-ram" in entry["message"]
    assert "declared devdax" in recorded("pinned-6.12").only("mode_absent", TINY)["message"]


def test_the_auto_online_policy(recorded):
    assert recorded("device-6.12").only("auto_online_policy")["severity"] == "notice"
    entry = recorded("device-6.12").only("auto_online_policy", dict(SLOW, mode="system-ram", memmap="dram"))
    assert (entry["severity"], entry["subject"]) == ("problem", {"namespace": "slow"})
    assert recorded("nvdimm-6.12").found("auto_online_policy") == []


def test_online_although_nobody_asked(recorded):
    entry = recorded("device-6.12").only("online_unasked", {"serial": "0x1", "memmap": "device"})
    assert entry["subject"] == {"memory_devices": ["0x2"]} and entry["message"].startswith("4 memory blocks")


def test_online_in_a_kernel_zone(recorded):
    entry = recorded("pinned-6.12").found("cannot_go_offline", {"serial": "0x1", "memmap": "device"})[0]
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry)[MEMORY + "/memory338/valid_zones"] == "Normal"
    assert values(entry)["/sys/bus/dax/devices/dax3.0"] == "8 MiB of its memmap lie on this device"
    assert recorded("pinned-6.12").found("cannot_go_offline", {"serial": "0x1", "memmap": "device", "zone": "kernel"})[0]["severity"] == "notice"


def test_a_block_in_several_zones_or_not_removable(broken):
    patient = broken("device-6.12")
    patient.put(MEMORY + "/memory338/valid_zones", "none")
    patient.put(MEMORY + "/memory338/removable", "0")
    entry = patient.only("cannot_go_offline")
    assert values(entry)[MEMORY + "/memory338/valid_zones"] == "none" and values(entry)[MEMORY + "/memory338/removable"] == "0"


def test_unmovable_pages_are_counted(tmp_path):
    slab, table, kernel_memory = 1 << 7, 1 << 26, 0
    words = [1 << 5] * 8 + [slab] * 3 + [table] * 2 + [kernel_memory] * 3
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/kpageflags").write_bytes(b"".join(word.to_bytes(8, "little") for word in words))
    host = Host(str(tmp_path))
    assert census.unmovable(host, 1, 8 * 4096) is None
    host.live, host.path = True, lambda name: str(tmp_path) + name
    assert census.unmovable(host, 1, 8 * 4096) == "3 of 8 pages hold the kernel's own objects, 2 page tables"
    assert census.unmovable(host, 0, 8 * 4096) is None


def test_busy_pages_in_the_movable_zone(broken):
    """Broken: the kernel's log is put there, as it is after offlining gave up; of its pages, one is of a kernel zone's block of no device."""
    patient = broken("device-6.12")
    assert patient.found("pages_busy") == []
    pages = [338 << 15 | 5, 338 << 15 | 5, 371 << 15, 3]
    dump = "4,1,1,-;page: refcount:2 mapcount:0 mapping:0000000000000000 index:0x1 pfn:%#x\n4,2,2,-;page dumped because: migration failure"
    patient.put("/dev/kmsg", "\n".join(dump % pfn for pfn in pages))
    found = patient.found("pages_busy")
    assert [(entry["severity"], entry["subject"]) for entry in found] == [("notice", {"memory_devices": ["0x1"]}), ("notice", {"memory_devices": ["0x2"]})]
    assert values(found[0]) == {"/dev/kmsg": "memory block 338, page at 0xa90005000: migration failure (pinned)"}
    # Gone since.
    patient.put(MEMORY + "/memory338/state", "offline")
    assert [entry["subject"] for entry in patient.found("pages_busy")] == [{"memory_devices": ["0x2"]}]


FIRST, SECOND = {"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"}


@pytest.mark.parametrize("gone", [(), ("/sys/bus/dax/devices/dax0.0",), ("/sys/bus/dax/devices/dax0.0", CXL + "/region0/driver")],
                         ids=["no driver has the device", "it is gone", "its region is disabled"])
@pytest.mark.parametrize("wanted", [(), (FIRST, SECOND), (SECOND,), (dict(FIRST, mode="devdax", memmap=None), SECOND)])
def test_memory_left_behind_stays_until_a_reboot_and_nothing_says_otherwise(broken, gone, wanted):
    """Broken: the link to the driver of a device that is online, on which another's memmap lies, to the device itself, and to its region's driver."""
    patient = broken("pinned-6.12")
    for name in gone or ("/sys/bus/dax/devices/dax0.0/driver",):
        patient.remove(name)
    found = {entry["finding"]: entry for entry in patient.ask(*[{key: value for key, value in entry.items() if value} for entry in wanted])["findings"]
             if entry["subject"] == {"memory_devices": ["0x1"]}}
    assert list(found) == ["memory_left_behind"]
    assert found["memory_left_behind"]["message"].startswith("8 memory blocks, 8 of them online, are left of a dax device that ")
    assert patient.only("memmap_not_in_dram")["remedy"].startswith("reboot, as that memory stays until then")


def test_memory_left_behind_of_which_nothing_else_is_left(broken):
    """Broken: the dax device of a namespace is gone while it is online."""
    patient = broken("pinned-6.12")
    patient.remove("/sys/bus/dax/devices/dax1.0")
    assert patient.only("memory_left_behind")["subject"] == {"host": "memory at 0x188000000"}


def test_blocks_that_never_came(broken):
    patient = broken("device-6.12")
    patient.remove(MEMORY + "/memory345")
    assert values(patient.only("blocks_absent")) == {MEMORY + "/memory345": None}


# what is there and not as declared

def test_another_size_than_declared(recorded, broken):
    entry = recorded("device-6.12").only("size_unwanted", {"serial": "0x2", "memmap": "device", "size": "256M"})
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x2"]})
    assert entry["message"] == "memory device 0x2 (dax1.0), blocks 370-373: size: wanted 256M, found 512M"
    assert values(entry) == {"/sys/bus/dax/devices/dax1.0/size": str(512 << 20)} and "memlab.testbed.cxl_region" in entry["remedy"]
    assert recorded("device-6.12").found("size_unwanted", {"serial": "0x2", "memmap": "device", "size": "512M"}) == []
    asked = dict(SLOW["namespace"], size="1G")
    entry = recorded("device-6.12").only("size_unwanted", dict(SLOW, namespace=asked))
    assert entry["subject"] == {"namespace": "slow"} and values(entry) == {"/sys/bus/nd/devices/namespace2.0/size": str(512 << 20)}
    patient = broken("device-6.12")
    patient.remove("/sys/bus/dax/devices/dax1.0/size")
    assert patient.found("size_unwanted", {"serial": "0x2", "memmap": "device", "size": "256M"}) == []


def test_divided_otherwise_than_declared(recorded):
    patient = recorded("same_node-6.12")
    assert patient.only("size_unwanted", {"serial": "0x1", "memmap": "device"})["message"].endswith("dax device: wanted one, found dax0.0, dax0.1")
    parts = [{"size": "512M", "memmap": "device"}, {"size": "512M", "memmap": "dram"}]
    assert patient.found("size_unwanted", {"serial": "0x1", "parts": parts}) == []
    found = patient.found("size_unwanted", {"serial": "0x1", "size": "2G", "parts": [dict(parts[0], size="256M"), dict(parts[1], size="768M")]})
    assert [entry["message"].rpartition(": ")[2] for entry in found] == ["wanted 2G, found 1G", "wanted 256M, found 512M", "wanted 768M, found 512M"]
    assert values(found[0]) == {CXL + "/region0/size": "0x40000000"} and "dax_device with parts" in found[1]["remedy"]


def test_a_region_and_a_namespace_made_otherwise(recorded):
    patient = recorded("device-6.12")
    entry = patient.only("made_otherwise", {"serial": "0x1", "memmap": "device", "granularity": "1K", "root_decoder": "decoder0.0"})
    assert entry["subject"] == {"memory_devices": ["0x1"]} and values(entry) == {CXL + "/region0": "granularity 256"}
    entry = patient.only("made_otherwise", {"nvdimms": ["0x1"], "namespace": {"name": "slow", "mode": "fsdax", "align": "2M", "map": "dev"}})
    assert entry["subject"] == {"namespace": "slow"} and values(entry) == {"/sys/bus/nd/devices/namespace2.0": "mode devdax"}


def test_a_memmap_that_is_not_where_it_is_declared_to_be(recorded):
    for name, memmap, place in (("dram-6.12", "device", "16 MiB on node 0"), ("device-6.12", "dram", "16 MiB on node 1; 16 MiB on dax0.0")):
        entry = recorded(name).only("placement_unwanted", {"serial": "0x1", "memmap": memmap})
        assert (entry["severity"], entry["subject"], values(entry)["/proc/kcore"]) == ("problem", {"memory_devices": ["0x1"]}, place)
        assert entry["remedy"].startswith("memlab.testbed.dax_device with memmap: %s and offline: true" % memmap)
    # One finding says it where the kernel did not as its knob asks.
    wanted = {"serial": "0x1", "memmap": "device", "zone": "kernel"}
    assert len(recorded("unsupported-6.12").found("knob_ignored", wanted)) == 2
    assert recorded("unsupported-6.12").found("placement_unwanted", wanted) == []


def test_blocks_that_are_offline_although_declared_online_or_online_beyond_the_amount(recorded):
    entry = recorded("offline-6.12").only("blocks_offline", {"serial": "0x1", "memmap": "device"})
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry)[MEMORY] == "0 of 8 blocks of the device are online" and values(entry)[MEMORY + "/memory338/state"] == "offline"
    assert recorded("offline-6.12").found("blocks_offline", {"serial": "0x2", "memmap": "device", "amount": "75%"}) == []
    entry = recorded("device-6.12").only("blocks_offline", {"serial": "0x1", "memmap": "device", "amount": 2})
    assert entry["message"].endswith("wanted 2 of 8, found 8 of 8") and entry["remedy"] == "memlab.testbed.memory_blocks with count: 2 and zone: movable"


def test_blocks_in_another_zone_than_declared(recorded):
    entry = recorded("device-6.12").only("zone_unwanted", {"serial": "0x1", "memmap": "device", "zone": "kernel"})
    assert (entry["severity"], entry["subject"]) == ("problem", {"memory_devices": ["0x1"]})
    assert values(entry)[MEMORY + "/memory338/valid_zones"] == "Movable"


@pytest.mark.parametrize("name, first, second", [
    ("device-6.12", {"memmap": "device"}, {"memmap": "device"}), ("dram-6.12", {"memmap": "dram"}, {"memmap": "dram"}),
    ("mixed-6.12", {"memmap": "dram", "zone": "kernel"}, {"memmap": "device", "amount": 2}),
    *[(name, {"memmap": "device", "amount": 5}, {"memmap": "dram", "amount": "75%"}) for name in ("mixed-7.3", "hvo-7.3", "lockdown-7.3")]])
def test_a_machine_that_is_as_declared_has_no_problem(recorded, name, first, second):
    assert recorded(name).ask(dict(first, serial="0x1", size="1G"), dict(second, serial="0x2"))["problems"] == 0


def test_what_is_not_known_is_no_finding(broken):
    """Broken: as somebody else than root sees it, or with a size that cannot be read."""
    patient = broken("device-6.12")
    for name in ("start", "end"):
        patient.remove("/sys/bus/dax/devices/dax0.0/mapping0/" + name)
    patient.remove("/memlab/capture.json")
    wanted = ({"serial": "0x1", "memmap": "dram", "zone": "kernel", "amount": 2}, {"serial": "0x2", "memmap": "device"})
    assert patient.ask(*wanted)["problems"] == 0
    assert "/sys/bus/dax/devices" in [entry["file"] for entry in patient.ask(*wanted)["unseen"]]


# sizes

def test_a_device_without_a_whole_block(recorded):
    # The kernel's answer there was "rejecting DAX region without any memory after alignment".
    entry = recorded("pinned-6.12").only("no_whole_block")
    assert entry["subject"] == {"namespace": "tiny"} and entry["remedy"].startswith("from where it starts, 256 MiB would do, 2 MiB of them")


def test_a_namespace_of_256_mib_where_blocks_are_2_gib(broken):
    # Blocks are that large on machines with more than 64 GiB.
    patient = broken("pinned-6.12")
    patient.put(MEMORY + "/block_size_bytes", "80000000")
    found = {entry["subject"].get("namespace"): entry["remedy"] for entry in patient.found("no_whole_block") if "namespace" in entry["subject"]}
    # 0x180200000 to 0x200000000 is no whole block, the next one ends at 0x280000000.
    assert found["8b06621c-cfee-47da-891d-b86e5ef39af0"].startswith("from where it starts, 4096 MiB would do")


def test_where_the_rest_of_a_namespace_went(recorded):
    entry = recorded("nvdimm-6.12").found("size_lost")[0]
    assert entry["message"] == ("384 MiB of 512 MiB are left: 10 MiB for the namespace's metadata and memmap (map dev), "
                                "118 MiB at its ends, outside whole memory blocks")
    assert values(entry)["/sys/bus/dax/devices/dax2.0/size"] == str(502 << 20)


def test_where_the_rest_of_a_region_went(broken):
    patient = broken("device-6.12")
    patient.put(CXL + "/mem1/ram/size", "0x50000000")
    assert "256 MiB of the devices' volatile capacity not in the region" in patient.found("size_lost")[0]["message"]


def test_a_region_of_an_nvdimm_that_is_not_aligned(recorded):
    entry = recorded("mixed-7.3").found("nvdimm_misaligned")[0]
    assert entry["subject"] == {"nvdimms": ["0x1"]} and "14.2 MiB more" in entry["remedy"]


def test_persistent_memory_without_nvdimms_is_at_an_address(broken):
    """Broken: the mapping of a region is taken away, and its size is no multiple, as of memory that memmap= made persistent."""
    patient = broken("rich-6.12")
    patient.put("/sys/bus/nd/devices/region3/mappings", "0")
    patient.put("/sys/bus/nd/devices/region3/size", str(254 << 20))
    assert patient.only("nvdimm_misaligned")["subject"] == {"host": "persistent memory at 0x120000000"}


# placement

def test_a_knob_that_the_kernel_ignored(recorded):
    entry = recorded("unsupported-6.12").found("knob_ignored")[1]
    assert entry["subject"] == {"memory_devices": ["0x2"]} and "memlab.testbed.boot_parameters" in entry["remedy"]
    assert values(entry)["/sys/bus/dax/devices/dax1.0/memmap_on_memory"] == "1"
    assert values(entry)["/sys/module/memory_hotplug/parameters/memmap_on_memory"] == "N"
    assert values(entry)["/proc/kcore"] == "8 MiB on node 1; 8 MiB on dax0.0"


def test_a_memmap_that_is_not_in_dram(recorded):
    entry = recorded("same_node-6.12").only("memmap_not_in_dram")
    assert values(entry)["/sys/bus/dax/devices/dax0.1/memmap_on_memory"] == "0" and values(entry)["/proc/kcore"] == "8 MiB on node 1; 8 MiB on dax0.0"


def test_a_namespace_whose_memmap_is_more_than_all_dram_that_is_free(recorded):
    big = {"nvdimms": ["0x1"], "namespace": {"name": "big", "mode": "devdax"}, "mode": "system-ram", "memmap": "dram"}
    entry = recorded("poor-6.12").only("not_enough_dram", big)
    assert entry["message"] == "as memory it needs 378.0 MiB of DRAM for its memmap, and 305.1 MiB can be had"
    assert entry["remedy"] == "say memmap: device, add a part of it (19456 MiB fit), or free memory first"


def test_not_enough_dram_for_a_memmap(broken):
    patient = broken("pinned-6.12")
    assert patient.found("not_enough_dram") == []
    text = patient.path("/proc/zoneinfo").read_text()
    patient.put("/proc/zoneinfo", "\n".join(
        "  pages free     1" if line.startswith("  pages free") else line for line in text.splitlines() if "_file" not in line))
    entry = patient.only("not_enough_dram")
    assert entry["subject"] == {"namespace": "tiny"} and entry["message"].startswith("as memory it needs 3.0 MiB of DRAM")
    assert patient.found("not_enough_dram", dict(TINY, mode="system-ram", memmap="device")) == []


def test_declared_devices_that_fit_in_dram_one_by_one_and_not_together(broken):
    """Broken: of two devices that are to be memory, one leaves kmem, and 9 MiB of DRAM are free. The first needs 8 MiB, the other 3 MiB."""
    patient = broken("pinned-6.12")
    patient.remove("/sys/bus/dax/devices/dax3.0/driver")
    for number in range(346, 350):
        patient.remove(MEMORY + "/memory%d" % number)
    text = re.sub("((?:pages free|_file) +)[0-9]+", r"\g<1>0", patient.path("/proc/zoneinfo").read_text(encoding="utf-8"))
    patient.put("/proc/zoneinfo", text.replace("pages free     0", "pages free     %d" % ((9 << 8) + 123), 1))
    first, tiny = {"serial": "0x2", "memmap": "dram"}, dict(TINY, mode="system-ram", memmap="dram")
    for alone in (first, tiny):
        assert patient.found("not_enough_dram", alone) == []
    entry = patient.only("not_enough_dram", first, tiny)
    assert (entry["subject"], entry["message"]) == (
        {"namespace": "tiny"}, "as memory it needs 3.0 MiB of DRAM for its memmap, and 1 MiB can be had once 8 MiB are for the declared devices before it")
    assert patient.only("not_enough_dram", tiny, first)["subject"] == {"memory_devices": ["0x2"]}
    assert patient.found("not_enough_dram", first, dict(tiny, memmap="device")) == []


# bad input

@pytest.mark.parametrize("wanted", [
    "0x1", {}, {"serial": "mem0"}, {"serial": "0x1"}, {"memory_devices": "0x1"}, {"memory_devices": []}, {"serial": "0x1", "mode": "ram"},
    {"serial": "0x1", "memmap": "dram", "zone": "normal"}, {"serial": "0x1", "memmap": "self"}, {"soft_reserved": "here"}, {"namespace": "slow"},
    {"nvdimms": ["0x1"], "namespace": "slow"}, {"serial": "0x1", "memmap": "dram", "colour": 1}])
def test_a_bad_declaration_is_the_one_line_that_every_reader_of_it_says(recorded, wanted):
    good = {"serial": "0x77", "memmap": "dram"}
    with pytest.raises(TestbedError) as read:
        declaration.parse([good, wanted])
    with pytest.raises(TestbedError) as refused:
        recorded("device-6.12").ask(good, wanted)
    assert str(refused.value) == str(read.value) and str(read.value).startswith("memory device 2 of the declared ones") and "\n" not in str(read.value)


def test_a_divided_device_is_held_against_what_its_parts_share(recorded):
    """Of two devices of one region in this capture, the first has its memmap on itself, both are online in the kernel zone."""
    part = {"size": "512M", "memmap": "dram"}
    patient = recorded("same_node-6.12")
    found = {entry["finding"]: entry for entry in patient.ask({"serial": "0x1", "parts": [dict(part, memmap="device"), part]})["findings"]}
    assert not {"device_absent", "mode_absent", "system_ram_unwanted", "not_enough_dram"}.intersection(found)
    assert found["online_unasked"]["subject"] == {"memory_devices": ["0x2"]}
    assert len(patient.found("system_ram_unwanted", {"serial": "0x1", "mode": "devdax", "parts": [{"size": "512M"}, {"size": "512M"}]})) == 2


FILES = ("/proc/iomem", "/proc/cpuinfo", "/proc/cmdline", "/proc/zoneinfo", CONFIG, MODULES + "/modules.dep", MEMORY + "/auto_online_blocks",
         MEMORY + "/memory338/valid_zones", CXL + "/decoder0.0/size", CXL + "/decoder0.0/target_list", CXL + "/mem0/serial", CXL + "/region0/size",
         CXL + "/decoder2.0/dpa_size", "/sys/bus/dax/devices/dax0.0/target_node", "/sys/bus/dax/devices/dax0.0/size",
         "/sys/bus/nd/devices/region1/align", "/sys/bus/nd/devices/region1/size", "/sys/bus/nd/devices/region1/mappings", "/sys/firmware/memmap/0/start")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.sampled_from(FILES),
       strategies.text(max_size=40) | strategies.sampled_from(("", "\0", "0", "-1", "0x0", "1", "x:y", "99999999999", "x" * 300)))
def test_a_damaged_file_is_no_crash(unpacked, name, content):
    root = unpacked("pinned-6.12")
    path = pathlib.Path(str(root) + name)
    whole = path.read_bytes()
    try:
        path.write_text(content, encoding="utf-8")
        assert diagnose(Host(str(root)))["problems"] >= 0
    except TestbedError:
        pass
    finally:
        path.write_bytes(whole)


def test_a_machine_without_any_of_it(tmp_path):
    answer = diagnose(Host(str(tmp_path)))
    assert answer["findings"] == [] and MEMORY in [entry["file"] for entry in answer["unseen"]]


def test_persistent_cxl_memory_is_named_by_its_namespace(broken):
    """Broken: the region of a CXL memory device is put above the namespace's dax device, where it is for persistent CXL memory."""
    patient = broken("pinned-6.12")
    readings = Readings(Host(str(patient.root)))
    device = next(entry for entry in readings.dax if readings.origins[entry.name]["namespace"] and entry.size == 190 << 20)
    readings.origins[device.name]["memory_devices"] = [{"name": "mem0", "serial": 1, "pci": "0000:0d:00.0"}]
    assert readings.subject(device) == {"namespace": "tiny"}
