# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices from driver to driver: the named one moves, and no other."""
from __future__ import annotations

import errno
import shutil

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, dax, regions, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

DRIVERS = "/sys/bus/dax/drivers/"


@pytest.fixture(name="empty")
def nothing_held(monkeypatch):
    """No device holds anything, whatever this machine's /dev has."""
    monkeypatch.setattr(contents, "look", lambda host, device: [])


def test_new_id_takes_others_too_and_they_are_let_go(mixed):
    regions.apply(mixed, [{"memory_devices": ["1"]}])
    before = mixed.dax_state()
    dax.unbind(mixed, "dax2.0", "device_dax")
    dax.bind(mixed, "dax2.0", "kmem")
    assert mixed.dax_state() == dict(before, **{"dax2.0": ("kmem", "0")})
    assert "%skmem/unbind < dax0.0" % DRIVERS in mixed.log
    assert mixed.ids == set()


def test_a_refusal_behind_new_id_has_its_errno(mixed):
    dax.unbind(mixed, "dax2.0", "device_dax")
    mixed.refused = ("dax2.0",)
    mixed.faults[DRIVERS + "kmem/bind"] = [0, errno.ENOMEM]
    with pytest.raises(TestbedError, match=r"dax2.0: bind of kmem failed \(ENOMEM\): there was no memory for the memmap"):
        dax.bind(mixed, "dax2.0", "kmem")
    assert mixed.ids == set()


def test_a_bystander_added_in_part_is_not_let_go(mixed):
    """Linux 6.12 would follow a null pointer."""
    regions.apply(mixed, [{"memory_devices": ["1"]}])
    dax.unbind(mixed, "dax2.0", "device_dax")
    mixed.partial = 1
    with pytest.raises(TestbedError, match="dax0.0 was added in part, and the kernel may crash when it is released: it stays with kmem"):
        dax.bind(mixed, "dax2.0", "kmem")


@pytest.mark.parametrize("memmap, knob", [("dram", "0"), ("device", "1")])
def test_a_namespace_to_system_ram_and_back(mixed, empty, memmap, knob):
    wanted = [{"namespace": "ram", "memmap": memmap}]
    answers = [system_ram.apply(mixed, wanted, check_mode) for check_mode in (True, False, False, True)]
    assert [answer[0] for answer in answers] == [True, True, False, False]
    assert mixed.dax_state()["dax2.0"] == ("kmem", knob)
    report = answers[1][1][0]
    assert (report["namespace"], report["mode"], report["blocks"], report["first_block"], report["unused_bytes"]) == ("ram", "system-ram", 7, 41, 126 << 20)
    wanted = [{"namespace": "ram", "mode": "devdax"}]
    answers = [system_ram.apply(mixed, wanted, check_mode) for check_mode in (True, False, False, True)]
    assert [answer[0] for answer in answers] == [True, True, False, False]
    assert mixed.dax_state()["dax2.0"][0] == "device_dax"
    assert mixed.dax_state()["dax1.0"] == ("kmem", "0")


def test_blocks_of_system_ram_online(mixed, empty):
    system_ram.apply(mixed, [{"namespace": "ram", "memmap": "dram"}])
    mixed.write("/sys/devices/system/memory/memory43/state", "online_movable")
    with pytest.raises(TestbedError, match="namespace ram: it cannot leave kmem while memory blocks are online: 1 of 7 are, 43 is the first"):
        system_ram.apply(mixed, [{"namespace": "ram", "mode": "devdax"}])
    assert system_ram.apply(mixed, [{"namespace": "ram", "mode": "devdax", "offline": True}])[0] is True


def test_what_a_namespace_holds(mixed, monkeypatch):
    asked = []

    def look(host, device):
        asked.append(device)
        return [contents.Finding("somebody's photographs", False)]
    monkeypatch.setattr(contents, "look", look)
    wanted = {"namespace": "ram", "memmap": "dram"}
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="will not change namespace ram: it holds data.*allow_data_loss: true") as caught:
            system_ram.apply(mixed, [wanted], check_mode)
        assert "photographs" in str(caught.value)
    assert mixed.log == []
    reports = system_ram.apply(mixed, [dict(wanted, allow_data_loss=True)])[1]
    assert reports[0]["lost"] == ["somebody's photographs"]
    del asked[:]
    system_ram.apply(mixed, [{"namespace": "ram", "mode": "devdax"}])
    assert asked == []


def test_a_device_in_use_is_never_taken_away(mixed, monkeypatch):
    monkeypatch.setattr(contents, "look", lambda host, device: [contents.Finding("in use by process 1 (init)", True)])
    with pytest.raises(TestbedError, match="it is in use"):
        system_ram.apply(mixed, [{"namespace": "ram", "memmap": "dram", "allow_data_loss": True}])
    assert mixed.log == []


@pytest.mark.parametrize("finding, said, may_lose", [
    (contents.Finding("in use by process 7 (db), which has it open", True), "it is in use", True),
    (contents.Finding("somebody's photographs", False), "it holds data", False),
])
def test_what_came_while_another_device_went_offline(mixed, monkeypatch, finding, said, may_lose):
    found = []
    monkeypatch.setattr(contents, "look", lambda host, device: list(found) if device == "dax2.0" else [])
    block = "/sys/devices/system/memory/memory32/state"
    mixed.write(block, "online_movable")
    mixed.hooks[block] = lambda: found.append(finding)
    with pytest.raises(TestbedError, match="will not change namespace ram: " + said) as caught:
        system_ram.apply(mixed, [{"soft_reserved": "0x100000000", "memmap": "device", "offline": True},
                                 {"namespace": "ram", "memmap": "dram", "allow_data_loss": may_lose}])
    assert "undone: blocks of soft-reserved memory at 0x100000000 taken offline" in caught.value.details
    assert mixed.dax_state() == {"dax1.0": ("kmem", "0"), "dax2.0": ("device_dax", "0")}
    assert mixed.read(block) == "online"


@pytest.mark.parametrize("entry, said", [
    ({"namespace": "ram"}, "mode system-ram needs memmap: device or memmap: dram"),
    ({"namespace": "ram", "mode": "devdax", "memmap": "dram"}, "memmap goes with mode system-ram"),
    ({"namespace": "ram", "memmap": "dram", "parts": [{"size": "all"}]}, "namespace ram cannot be divided into parts"),
])
def test_refusals(mixed, entry, said):
    with pytest.raises(TestbedError, match=said):
        system_ram.apply(mixed, [entry])
    assert mixed.log == []


def test_memory_that_was_unplugged_comes_back(mixed):
    """7.3: daxX.Y/state has an unplugged, and the device stays with kmem."""
    dax.unbind(mixed, "dax1.0", "kmem")
    mixed._bind("dax1.0", "kmem")
    mixed.put("/sys/bus/dax/devices/dax1.0/state", "unplugged")
    for number in range(32, 40):
        shutil.rmtree(mixed.path("/sys/devices/system/memory/memory%d" % number))
    changed, reports = system_ram.apply(mixed, [{"soft_reserved": "0x100000000", "memmap": "dram"}])[:2]
    assert (changed, reports[0]["blocks"]) == (True, 8)


def test_what_a_namespace_held_does_not_come_back(mixed, monkeypatch):
    monkeypatch.setattr(contents, "look", lambda host, device: [contents.Finding("somebody's photographs", False)])
    mixed.faults[DRIVERS + "kmem/bind"] = [errno.ENOMEM]
    with pytest.raises(TestbedError, match="ENOMEM(?s:.*)may be lost all the same: what namespace ram held") as caught:
        system_ram.apply(mixed, [{"namespace": "ram", "memmap": "device", "allow_data_loss": True}])
    assert caught.value.changed is True
    assert mixed.dax_state()["dax2.0"] == ("device_dax", "0")


def test_undone_back_to_device_dax(mixed, empty):
    mixed.faults[DRIVERS + "kmem/bind"] = [errno.ENOMEM]
    with pytest.raises(TestbedError, match="ENOMEM") as caught:
        system_ram.apply(mixed, [{"namespace": "ram", "memmap": "device"}])
    assert all(line.startswith("undone: ") for line in caught.value.details)
    assert mixed.dax_state() == {"dax1.0": ("kmem", "0"), "dax2.0": ("device_dax", "0")}
