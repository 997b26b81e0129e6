# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A region in parts: what is there already stays, the rest is made anew, and a failure puts back what was."""
from __future__ import annotations

import errno

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import regions, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

DEVICES = "/sys/bus/dax/devices/"


def wanted(*parts, **more):
    return [dict(more, soft_reserved="0x100000000", parts=[dict(zip(("size", "mode", "memmap"), part)) for part in parts])]


THREE = ("256M", "system-ram", "device"), ("128M", "devdax"), ("all", "system-ram", "dram")


def layout(host):
    """Ranges, drivers and knobs by address."""
    found = []
    for name, (driver, knob) in host.dax_state().items():
        if name.startswith("dax1."):
            found.append(tuple(number >> 20 for number in host._range(name)) + (driver, knob))
    return sorted(found)


def test_four_steps(mixed):
    answers = [system_ram.apply(mixed, wanted(*THREE), check_mode) for check_mode in (True, False, False, True)]
    assert [answer[0] for answer in answers] == [True, True, False, False]
    assert layout(mixed) == [(4096, 4352, "kmem", "1"), (4352, 4480, "device_dax", "0"), (4480, 5120, "kmem", "0")]
    reports = answers[1][1]
    assert [(report["part"], report["mode"], report["size"] >> 20, report["blocks"]) for report in reports] == [
        (0, "system-ram", 256, 2), (1, "devdax", 128, 0), (2, "system-ram", 640, 5)]
    assert mixed.policies() == ("1", "offline")


def test_parts_that_fit_stay(mixed):
    system_ram.apply(mixed, wanted(*THREE))
    mixed.write("/sys/devices/system/memory/memory32/state", "online_movable")
    changed, reports = system_ram.apply(mixed, wanted(THREE[0], THREE[1], ("512M", "devdax")))[:2]
    assert changed is True
    assert [report["changed"] for report in reports] == [False, False, True]
    assert layout(mixed)[2] == (4480, 4992, "device_dax", "0")
    assert mixed.read("/sys/devices/system/memory/memory32/state") == "online"


def test_whole_again(mixed):
    system_ram.apply(mixed, wanted(*THREE))
    with pytest.raises(TestbedError, match=r"its dax region of 1G is divided: 256M, 128M, 640M: name its parts, "
                       r"or make it whole again with parts: \[{size: all}\]"):
        system_ram.apply(mixed, [{"soft_reserved": "0x100000000", "memmap": "dram"}])
    assert system_ram.apply(mixed, wanted(("all", "system-ram", "dram")))[0] is True
    assert layout(mixed) == [(4096, 5120, "kmem", "0")]
    assert system_ram.apply(mixed, [{"soft_reserved": "0x100000000", "memmap": "dram"}])[0] is False


def test_a_part_takes_mode_and_memmap_of_its_device(mixed):
    reports = system_ram.apply(mixed, wanted(("512M",), ("512M", "devdax"), memmap="device"))[1]
    assert [(report["mode"], report["memmap"]) for report in reports] == [("system-ram", "device"), ("devdax", None)]


def test_cxl_memory_in_parts(mixed):
    regions.apply(mixed, [{"memory_devices": ["1"]}])
    entry = {"memory_devices": ["1"], "memmap": "dram", "parts": [{"size": "512M"}, {"size": "256M", "memmap": "device"}]}
    reports = system_ram.apply(mixed, [entry])[1]
    assert [(report["size"] >> 20, report["knob"]) for report in reports] == [(512, False), (256, True)]
    assert system_ram.apply(mixed, [entry])[0] is False


@pytest.mark.parametrize("parts, said", [
    ([("all",), ("128M",)], "only the last part can have size all, part 0 is not the last"),
    ([("100M",)], "size 100M of part 0 is not a multiple of 128M"),
    ([("0",)], "size 0 of part 0"),
    ([("1G",), ("128M",)], "part 1 of 128M does not fit: the region has 1G, and 0 of it are left"),
    ([("1G",), ("all",)], "nothing is left for part 1"),
    ([("lots",)], "size of part 0 is not a size"),
    ([("128M", "system-ram", None)], "part 0: mode system-ram needs memmap"),
])
def test_refusals(mixed, parts, said):
    more = {} if parts[0][-1] is None else {"memmap": "dram"}
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=said):
            system_ram.apply(mixed, wanted(*parts, **more), check_mode)
    assert mixed.log == []


def test_blocks_of_what_has_to_go_are_online(mixed):
    mixed.write("/sys/devices/system/memory/memory35/state", "online_movable")
    with pytest.raises(TestbedError, match="its dax device at 0x100000000: it cannot leave kmem while memory blocks are online: 1 of 8 are, 35 is the first"):
        system_ram.apply(mixed, wanted(*THREE))
    assert system_ram.apply(mixed, wanted(*THREE, offline=True))[0] is True


@pytest.mark.parametrize("path, number", [("/sys/bus/dax/drivers/kmem/bind", errno.ENOMEM), (DEVICES + "dax1.1/size", errno.ENOSPC)])
def test_undone(mixed, path, number):
    system_ram.apply(mixed, wanted(("512M", "system-ram", "device"), ("512M", "devdax")))
    before = layout(mixed)
    mixed.write("/sys/devices/system/memory/memory33/state", "online_movable")
    mixed.faults[path] = [0, number] if "size" in path else [number]
    with pytest.raises(TestbedError, match=errno.errorcode[number]) as caught:
        system_ram.apply(mixed, wanted(*THREE, offline=True))
    assert all(line.startswith("undone: ") for line in caught.value.details), caught.value.details
    assert layout(mixed) == before
    assert mixed.read("/sys/devices/system/memory/memory33/state") == "online"
