# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a later step would refuse to make of a declared device is refused by the first one: on a fresh host nothing is half done."""
from __future__ import annotations

import re

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, declaration, preflight

PLAN = (("cxl_region", "regions", "regions"), ("dax_device", "devices", "devices"), ("memory_blocks", "blocks", "devices"))


def first_answer(call, host, entries, check_mode=False):
    """As the roles do it, up to the first module that fails: its name and what it says; ``None`` twice where all went well."""
    plan = declaration.plan(entries)._asdict()
    for module, key, option in PLAN:
        if plan[key]:
            code, answer = call(module, host, {option: plan[key]}, check_mode)
            if code:
                return module, answer["msg"]
    return None, None


def scarce(host):
    """Hardly any DRAM is free."""
    zoneinfo = re.sub(r"pages free +[0-9]+", "pages free 100", host.read("/proc/zoneinfo"))
    host.put("/proc/zoneinfo", re.sub(r"(nr_zone_(?:in)?active_file) [0-9]+", r"\1 0", zoneinfo))


def without_parameter(host):
    host.unlink(dax.BOOT_PARAMETER)


@pytest.mark.parametrize("change, entry, words", [
    (None, {"memmap": "dram", "amount": 99}, "99 blocks are wanted, and it has 8 of 128M each"),
    (None, {"memmap": "dram", "amount": "100M"}, "100M is not a multiple of this host's memory block, 128M"),
    (None, {"memmap": "dram", "amount": "2G"}, "16 blocks are wanted, and it has 8"),
    (None, {"memmap": "dram", "amount": "1%"}, "is less than one block"),
    (None, {"memmap": "dram", "size": "512M", "amount": 5}, "5 blocks are wanted, and it has 4"),
    (None, {"memmap": "dram", "parts": [{"size": "7T"}]}, "part 0 of 7T does not fit: the region has 1G"),
    (None, {"memmap": "dram", "parts": [{"size": "1G"}, {"size": "all"}]}, "nothing is left for part 1"),
    (None, {"memmap": "dram", "parts": [{"size": "100M"}]}, "size 100M of part 0 is not a multiple of 128M"),
    (None, {"parts": [{"size": "512M", "memmap": "dram"}, {"size": "512M", "mode": "devdax"}], "amount": 5}, "5 blocks are wanted, and it has 4"),
    (scarce, {"memmap": "dram"}, "the memmap of 1G needs 16.0 MiB of DRAM"),
    (scarce, {"parts": [{"size": "512M", "memmap": "dram"}, {"size": "512M", "mode": "devdax"}]}, "the memmap of 512M needs 8.0 MiB of DRAM"),
    (without_parameter, {"memmap": "device"}, "this kernel cannot keep a memmap on the device")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_fresh_host_stays_as_it_is(fresh, call, check_mode, change, entry, words):
    if change:
        change(fresh)
    module, said = first_answer(call, fresh, [dict({"serial": "0x1"}, **entry)], check_mode)
    assert module == "cxl_region" and words in said, (module, said)
    assert fresh.log == []
    assert [name for name in fresh.listdir("/sys/bus/cxl/devices") if name.startswith("region")] == [] and fresh.dax_state() == {}


def test_all_new_regions_together_have_to_fit_in_dram(fresh, call):
    zoneinfo = re.sub(r"pages free +[0-9]+", "pages free 4000", fresh.read("/proc/zoneinfo"))
    fresh.put("/proc/zoneinfo", re.sub(r"(nr_zone_(?:in)?active_file) [0-9]+", r"\1 0", zoneinfo))
    module, said = first_answer(call, fresh, [{"serial": serial, "memmap": "dram"} for serial in ("0x1", "0x2")])
    assert module == "cxl_region" and "the memmap of 2G needs 32.0 MiB of DRAM" in said
    assert fresh.log == []


@pytest.mark.parametrize("entry", [{"memmap": "dram", "amount": "50%"}, {"memmap": "device", "amount": "1G"}, {"memmap": "device", "amount": "All"},
                                   {"memmap": "dram", "parts": [{"size": "512M", "mode": "devdax"}, {"size": "all"}], "amount": 4}])
def test_what_can_be_is_made(fresh, call, entry):
    assert first_answer(call, fresh, [dict({"serial": "0x1"}, **entry)], check_mode=True) == (None, None)
    assert first_answer(call, fresh, [dict({"serial": "0x1"}, **entry)]) == (None, None)
    assert len(fresh.online()) in (4, 8)


@pytest.mark.parametrize("gone", [False, True])
def test_memory_that_a_driver_left_behind_is_a_devices(bound, gone):
    bound.leave_behind("dax0.0", gone)
    devices = dax.read_all(bound)
    assert dax.hot_added(bound, devices, 128 << 20) == set(range(338, 346)) | set(range(370, 378))
    assert preflight.dram_nodes(bound, devices, 128 << 20) == [0]


def test_a_device_without_memory_blocks_has_no_memory(mixed):
    assert mixed.dax_state()["dax2.0"][0] == "device_dax"
    assert dax.hot_added(mixed, dax.read_all(mixed), 128 << 20) == set(range(32, 40))


def test_a_device_that_has_not_so_much_stays_without_a_driver(mixed, call):
    """Soft-reserved memory has no region to be refused."""
    start = "0x100000000"
    assert call("dax_device", mixed, {"devices": [{"soft_reserved": start, "mode": "devdax", "offline": True}]})[0] == 0
    before = mixed.dax_state()
    del mixed.log[:]
    module, said = first_answer(call, mixed, [{"soft_reserved": start, "memmap": "dram", "amount": 99}])
    assert module == "dax_device" and "99 blocks are wanted, and it has 8 of 128M each" in said
    assert (mixed.dax_state(), mixed.log) == (before, [])
