# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules as Ansible runs them: whatever is asked for, one clean answer, and no change where it is an error."""
from __future__ import annotations

import json
import pathlib
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import NdHost

WORD = st.one_of(st.sampled_from(["1", "0x2", "0000:0d:00.0", "mem0", "all", "512M", "128M", "8", "", "online", "0xb90000000", "decoder0.0"]),
                 st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans())
CHOICE = st.sampled_from(["devdax", "system-ram", "present", "absent", "online", "offline", "device", "dram", "movable", "kernel"])
KEY = st.sampled_from(["memory_devices", "namespace", "soft_reserved", "parts", "allow_data_loss", "state", "size", "root_decoder", "memmap", "offline", "mode",
                       "node", "start", "zone", "count", "type", "granularity", "junk"])
PARTS = st.lists(st.fixed_dictionaries({"size": WORD}, optional={"mode": CHOICE, "memmap": CHOICE}), max_size=3)
ENTRY = st.dictionaries(KEY, st.one_of(WORD, st.lists(WORD, max_size=3), CHOICE))
LIKELY = st.fixed_dictionaries({"memory_devices": st.lists(st.sampled_from(["1", "2", "0x1", "9", "0000:41:00.0", "mem0"]), max_size=2)},
                               optional={"size": WORD, "count": WORD, "type": st.sampled_from(["ram", "pmem"]), "granularity": WORD,
                                         "memmap": st.sampled_from(["device", "dram"]), "offline": st.booleans(), "parts": PARTS,
                                         "state": st.sampled_from(["present", "absent", "online", "offline"]), "zone": st.sampled_from(["movable", "kernel"])})


@pytest.fixture(name="pmem")
def persistent(tmp_path):
    return NdHost(tmp_path)


def test_from_nothing_to_memory(fresh, call):
    """All steps, each of them four times."""
    fresh.put("/usr/sbin/update-grub", "#!/bin/sh")
    devices = [["1"], ["0000:41:00.0"]]
    steps = [("cxl_region", {"regions": [{"memory_devices": device} for device in devices]}),
             ("dax_device", {"devices": [{"memory_devices": device, "memmap": memmap} for device, memmap in zip(devices, ("device", "dram"))]}),
             ("memory_blocks", {"devices": [{"memory_devices": device} for device in devices]})]
    for name, parameters in steps:
        answers = [call(name, fresh, parameters, check_mode, diff=True) for check_mode in (True, False, False, True)]
        assert [(code, answer["changed"]) for code, answer in answers] == [(0, True), (0, True), (0, False), (0, False)], name
        assert [answer["diff"]["before"] == answer["diff"]["after"] for code, answer in answers] == [False, False, True, True], name
    assert fresh.online() == dict.fromkeys(list(range(338, 346)) + list(range(370, 378)), "Movable")


def test_a_failing_block_is_in_the_answer(bound, call):
    bound.faults["/sys/devices/system/memory/memory371/state"] = [12]
    code, answer = call("memory_blocks", bound, {"devices": [{"memory_devices": ["2"]}]})
    assert (code, answer["failed"], answer["changed"]) == (1, True, True)
    assert "memory block 371 could not be put online in the movable zone (ENOMEM)" in answer["msg"]
    assert [result["errno"] for result in answer["devices"][0]["results"]] == [None, "ENOMEM"]


def test_boot_parameters_without_grub(fresh, call):
    code, answer = call("boot_parameters", fresh, {"name": "memmap", "parameters": ["memory_hotplug.memmap_on_memory=1"]})
    assert code == 1
    assert answer["msg"].startswith("this host has no update-grub")


def test_leftovers_of_a_killed_run_count_as_a_change(bound, call):
    bound.put("/run/memlab/held.json", json.dumps({"/sys/bus/dax/drivers_autoprobe": ["1", "0"]}))
    bound.put("/sys/bus/dax/drivers_autoprobe", "0")
    code, answer = call("memory_blocks", bound, {"devices": [{"memory_devices": ["1"], "count": "4"}]})
    assert (code, answer["changed"]) == (0, True)
    assert answer["repaired"] == ["/sys/bus/dax/drivers_autoprobe put back to 1, left at 0 by a run that was killed"]


@pytest.mark.parametrize("name, key", [("cxl_region", "regions"), ("dax_device", "devices"), ("memory_blocks", "devices")])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.lists(st.one_of(LIKELY, ENTRY), max_size=3))
def test_any_parameters_get_a_clean_answer(bound, call, name, key, entries):
    del bound.log[:]
    code, answer = call(name, bound, {key: entries}, check_mode=True)
    assert bound.log == []
    if code:
        assert answer["msg"] and "Traceback" not in answer["msg"]
    else:
        assert answer[key] or not entries


NAMESPACE = st.fixed_dictionaries({}, optional={
    "nvdimms": st.lists(st.one_of(st.sampled_from(["0x1", "2", "0x3", "8680-56341200", "nmem0"]), WORD), max_size=2),
    "memory_devices": st.lists(st.sampled_from(["0x11", "17", "0x12"]), max_size=1), "name": st.one_of(st.sampled_from(["a", "b"]), st.text(max_size=70)),
    "uuid": st.one_of(WORD, st.uuids().map(str)), "state": st.sampled_from(["present", "absent", "reconfigured"]),
    "mode": st.sampled_from(["raw", "sector", "fsdax", "devdax"]), "map": st.sampled_from(["mem", "dev"]), "size": st.one_of(WORD, st.just("64M")),
    "align": st.one_of(WORD, st.sampled_from(["4K", "2M", "1G"])), "sector_size": st.one_of(WORD, st.sampled_from(["512", "4096"])),
    "allow_data_loss": st.booleans()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.lists(st.one_of(NAMESPACE, ENTRY), max_size=3))
def test_any_namespaces_get_a_clean_answer(pmem, call, entries):
    code, answer = call("pmem_namespace", pmem, {"namespaces": entries}, check_mode=True)
    assert pmem.log == []
    if code:
        assert answer["msg"] and "Traceback" not in answer["msg"]
    else:
        assert len(answer["namespaces"]) == len(entries)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(st.dictionaries(st.sampled_from(["name", "parameters", "state"]), st.one_of(WORD, st.lists(WORD, max_size=3))))
def test_any_boot_parameters_get_a_clean_answer(fresh, call, parameters):
    fresh.put("/usr/sbin/update-grub", "#!/bin/sh")
    code, answer = call("boot_parameters", fresh, parameters, check_mode=True)
    assert fresh.log == []
    assert code == 0 or "Traceback" not in answer["msg"]


def test_boot_parameters_of_an_external_loader_are_only_looked_at(fresh, call):
    fresh.put("/proc/cmdline", "ro memory_hotplug.memmap_on_memory=1")
    for word, needed in (("memory_hotplug.memmap_on_memory=1", False), ("memmap=4G$12G", True)):
        code, answer = call("boot_parameters", fresh, {"name": "memmap", "parameters": [word], "loader": "external"})
        assert (code, answer["changed"], answer["reboot_needed"]) == (0, False, needed)
    assert fresh.log == []


def put_struct_page(host, size):
    """Type information of a kernel (BTF) whose struct page is so large."""
    path = pathlib.Path(host.path("/sys/kernel/btf/vmlinux"))
    path.parent.mkdir(parents=True)
    path.write_bytes(struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 12, 12, 6) + struct.pack("<III", 1, 4 << 24, size) + b"\0page\0")


def drop_in(grub):
    return [name for name in grub.listdir("/etc/default/grub.d") if "memlab" in name]


@pytest.mark.parametrize("loader", ["grub", "external"])
@pytest.mark.parametrize("lacking, words", [
    ("parameter", "it has no /sys/module/memory_hotplug/parameters/memmap_on_memory"), ("knob", "its knob memmap_on_memory came with Linux 6.8"),
    ("pageblocks", "not a multiple of")])
def test_a_kernel_that_cannot_use_the_boot_parameter_is_not_given_it(bound, call, loader, lacking, words):
    bound.put("/usr/sbin/update-grub", "#!/bin/sh")
    bound.put("/proc/cmdline", "quiet")
    bound.put("/sys/module/memory_hotplug/parameters/memmap_on_memory", "N")
    if lacking == "parameter":
        bound.unlink("/sys/module/memory_hotplug/parameters/memmap_on_memory")
    elif lacking == "knob":
        for name in bound.listdir("/sys/bus/dax/devices"):
            bound.unlink("/sys/bus/dax/devices/%s/memmap_on_memory" % name)
    else:
        put_struct_page(bound, 56)
    asked = {"name": "memmap", "parameters": ["memory_hotplug.memmap_on_memory=1"], "loader": loader, "supported": True}
    for check_mode in (True, False):
        code, answer = call("boot_parameters", bound, asked, check_mode)
        assert code == 1 and "cannot keep a memmap on the device" in answer["msg"] and words in answer["msg"], answer
    assert bound.log == [] and drop_in(bound) == []
    # another purpose than a memmap on the device, and a kernel that is still to come
    for parameters in (["quiet"], ["memory_hotplug.memmap_on_memory=0"]):
        assert call("boot_parameters", bound, dict(asked, parameters=parameters), check_mode=True)[0] == 0
    assert call("boot_parameters", bound, dict(asked, supported=False), check_mode=True)[0] == 0


def test_a_kernel_of_which_it_cannot_be_told_is_given_the_boot_parameter(fresh, call):
    """It has no dax device yet, and an older one can have been given the knob."""
    fresh.put("/proc/sys/kernel/osrelease", "6.1.0-40-amd64")
    asked = {"name": "memmap", "parameters": ["memory_hotplug.memmap_on_memory=1"], "loader": "external", "supported": True}
    code, answer = call("boot_parameters", fresh, asked)
    assert (code, answer["reboot_needed"]) == (0, False)
