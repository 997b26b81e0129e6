# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What brings memory devices back."""
from __future__ import annotations

import copy

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.rollout import restore

DECLARED = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"}]
NONE = {"devices": [], "namespaces": [], "ranges": []}
BLOCK = 128 << 20


def facts(*devices, base=0x40):
    """Each device: number, placement, and its 8 blocks in letters: m and k online in a zone, - offline."""
    ranges = [{"device": "dax%d.0" % number, "start": (base * number + block) * BLOCK, "size": BLOCK, "blocks": 1,
               "state": "offline" if zone == "-" else "online",
               "zone": {"m": "Movable", "k": "Normal", "-": None}[zone]} for number, unused, zones in devices for block, zone in enumerate(zones)]
    return dict(NONE, ranges=ranges, devices=[
        {"name": "dax%d.0" % number, "mode": "system-ram", "intent": None, "placement": placement, "ranges": [{"start": base * number * BLOCK}],
         "memory_devices": [{"serial": number, "pci": None}]} for number, placement, unused in devices])


def region(start, count, **more):
    return dict({"start": hex(start * BLOCK), "size": str(count * BLOCK)}, **more)


def test_what_was_not_there_is_removed():
    was = restore.before(NONE, DECLARED)
    assert [entry["was"] for entry in was] == [{"there": False, "parts": []}] * 2 and [entry["name"] for entry in was] == ["0x1", "0x2"]
    now = facts((1, "self", "mmmmmmmm"))
    assert restore.back(now, was) == {"offline": [{"memory_devices": ["0x1"], "state": "offline"}], "absent": [{"memory_devices": ["0x1"], "state": "absent"}],
                                      "regions": [], "devices": [], "blocks": []}
    assert restore.different(now, was) == ["0x1"]


def test_what_was_placed_elsewhere_is_placed_there_again():
    was = restore.before(facts((1, "other_node", "mm------"), (2, "other_node", "mmmmmmmm")), DECLARED)
    found = restore.back(facts((1, "self", "mmmmmmmm"), (2, "other_node", "mmmmmmmm")), was)
    assert found["devices"] == [{"memory_devices": ["0x1"], "mode": "system-ram", "offline": True, "memmap": "dram"}] and found["absent"] == []
    assert found["blocks"] == [region(0x40 + number, 1, state="offline") for number in range(7, 1, -1)] + [region(0x40, 2, zone="movable")]


def test_the_volatile_region_of_a_device_that_has_both_kinds():
    """Without what it was to become then: that is not what it was."""
    store = {"serial": "0x1", "type": "pmem", "size": "256M", "namespace": {"name": "a", "mode": "fsdax"}}
    was = restore.before(facts((1, "self", "mm")), [{"serial": "0x1", "memmap": "device", "amount": 99}, store])
    assert restore.back(NONE, was)["regions"] == [{"memory_devices": ["0x1"], "size": "all"}]


def test_what_was_no_memory_is_a_device_again():
    before = facts((1, None, ""))
    before["devices"][0]["mode"] = "devdax"
    was = restore.before(before, DECLARED[:1])
    assert was[0]["was"] == {"there": True, "mode": "devdax"}
    found = restore.back(facts((1, "self", "mmmmmmmm")), was)
    assert found == {"offline": [{"memory_devices": ["0x1"], "state": "offline"}], "absent": [], "regions": [],
                     "devices": [{"memory_devices": ["0x1"], "mode": "devdax", "offline": True}], "blocks": []}


def divided(*parts):
    """One memory device in parts, each: placement, its blocks in letters; they lie one after the other."""
    found, block = dict(NONE, ranges=[], devices=[]), 0x40
    for number, (placement, zones) in enumerate(parts):
        one = facts((1, placement, zones), base=block)
        one["devices"][0].update(name="dax1.%d" % number, size=len(zones) * BLOCK)
        found["devices"] += one["devices"]
        found["ranges"] += [dict(entry, device="dax1.%d" % number) for entry in one["ranges"]]
        block += len(zones)
    return found


def test_a_device_in_parts_is_divided_again():
    before = divided(("self", "mm--"), ("other_node", "mmmm"))
    was = restore.before(before, DECLARED[:1])
    whole = facts((1, "self", "mmmmmmmm"))
    found = restore.back(whole, was)
    assert found["devices"] == [{"memory_devices": ["0x1"], "offline": True, "parts": [
        {"mode": "system-ram", "memmap": "device", "size": str(4 * BLOCK)}, {"mode": "system-ram", "memmap": "dram", "size": str(4 * BLOCK)}]}]
    assert not found["absent"] and not found["regions"] and not found["blocks"] and restore.different(whole, was) == ["0x1"]
    # Once it is, its blocks are known by their addresses.
    again = divided(("self", "----"), ("other_node", "----"))
    assert restore.back(again, was)["blocks"] == [region(0x40, 2, zone="movable"), region(0x44, 4, zone="movable")]
    assert not any(restore.back(before, was).values()) and restore.different(before, was) == []


def test_a_device_that_was_divided_is_made_whole():
    was = restore.before(facts((1, "self", "mm------")), DECLARED[:1])
    found = restore.back(divided(("self", "mmmm"), ("other_node", "mmmm")), was)
    assert found["devices"] == [{"memory_devices": ["0x1"], "offline": True, "parts": [{"mode": "system-ram", "memmap": "device", "size": "all"}]}]
    assert not found["absent"] and not found["blocks"]


@pytest.mark.parametrize("entry, everywhere", [(True, False), (None, True), (None, False), (False, True)])
def test_what_a_namespace_holds_by_now_may_be_lost_only_where_that_was_declared(entry, everywhere):
    """It was memory, and the rollout made a device of it, where a program may have kept something since."""
    declared = {"nvdimms": ["0x1"], "namespace": {"name": "data", "mode": "devdax"}, "mode": "devdax"}
    if entry is not None:
        declared["allow_data_loss"] = entry
    before = dict(facts((1, "other_node", "mm")), namespaces=[{"name": "namespace1.0", "label": "data"}])
    before["devices"][0].update(namespace={"name": "namespace1.0"}, memory_devices=[])
    now = copy.deepcopy(before)
    now["devices"][0].update(mode="devdax")
    now["ranges"] = []
    (device,) = restore.back(now, restore.before(before, [declared], everywhere))["devices"]
    assert device.get("allow_data_loss", False) is (everywhere if entry is None else entry)
    assert device["namespace"] == "data" and (device["mode"], device["memmap"]) == ("system-ram", "dram")


@pytest.mark.parametrize("allow", [False, True])
def test_what_volatile_memory_holds_by_now_may_be_lost_only_where_that_was_declared(allow):
    """Whole before and divided now, and the other way round."""
    declared = [dict(DECLARED[0], **({"allow_data_loss": True} if allow else {}))]
    whole, parts = facts((1, "self", "mm------")), divided(("self", "mmmm"), ("other_node", "mmmm"))
    for before, now in ((whole, parts), (parts, whole)):
        (device,) = restore.back(now, restore.before(before, declared))["devices"]
        assert device.get("allow_data_loss", False) is allow and len(device["parts"]) in (1, 2)


def test_what_a_reboot_took_is_made_again():
    was = restore.before(facts((1, "self", "mmmmmmmm")), DECLARED)
    found = restore.back(NONE, was)
    assert [entry["memory_devices"] for entry in found["regions"]] == [["0x1"]] and found["devices"] and not found["absent"]
    # Only then it is known where its blocks are.
    assert found["blocks"] == [] and restore.back(facts((1, "self", "--------"), base=0x80), was)["blocks"] == [region(0x80, 8, zone="movable")]


def test_what_is_as_it_was_is_left_alone():
    now = facts((1, "self", "mmmmmmmm"))
    was = restore.before(copy.deepcopy(now), DECLARED)
    assert not any(restore.back(now, was).values()) and restore.different(now, was) == []
    # The same after a reboot that has put it elsewhere.
    assert restore.different(facts((1, "self", "mmmmmmmm"), base=0x80), was) == []


@pytest.mark.parametrize("now", ["mmm-kk--", "--mmkk--", "mmmmkk--"])
def test_other_blocks_or_zones_are_not_as_it_was(now):
    was = restore.before(facts((1, "self", "mm--kk--")), DECLARED)
    assert restore.different(facts((1, "self", now)), was) == ["0x1"]
    found = restore.back(facts((1, "self", now)), was)["blocks"]
    assert found[-2:] == [region(0x40, 2, zone="movable"), region(0x44, 2, zone="kernel")]
    assert [int(entry["start"], 16) // BLOCK - 0x40 for entry in found[:-2]] == [number for number in (3, 2) if now[number] != "-"]


def test_what_is_declared_by_now_does_not_count():
    """A device that took another's place in the list was never the rollout's."""
    was = restore.before(NONE, [DECLARED[0]])
    now = facts((2, "self", "mmmmmmmm"))
    assert not any(restore.back(now, was).values()) and restore.different(now, was) == []
