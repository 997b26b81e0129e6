# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the memmap lies, read from the guest's own /proc and /sys and held against what the scenario declares."""
from __future__ import annotations

import os

import pytest

STRUCT_PAGE = 64
EXPECTED = dict(word.split("=") for word in os.environ["MEMLAB_EXPECTED"].split())


@pytest.fixture(scope="module")
def found(state):
    return state()


@pytest.fixture(params=sorted(EXPECTED))
def device(request, found):
    """One declared device: its serial, its memmap's declared place, its state, its blocks."""
    entry = found["devices"][request.param]
    size = found["block_size"]
    numbers = range(entry["start"] // size, (entry["start"] + entry["size"]) // size)
    return {"serial": request.param, "memmap": EXPECTED[request.param], "state": entry, "blocks": {number: found["blocks"][number] for number in numbers}}


def reserved_pages(found):
    """Pages that the memmap of one memory block fills."""
    return found["block_size"] // found["page_size"] * STRUCT_PAGE // found["page_size"]


def test_every_declared_device_and_no_other_has_a_region(found):
    assert sorted(found["devices"]) == sorted(EXPECTED)


def test_the_device_is_memory_in_its_whole_size(device, definition, found):
    declared = {"%#x" % entry["serial"]: entry["volatile"] for entry in definition["memlab_guest_definition"]["cxl"]["memory_devices"]}
    assert device["state"]["driver"] == "kmem"
    assert device["state"]["size"] == declared[device["serial"]]
    assert len(device["blocks"]) * found["block_size"] == device["state"]["size"]


def test_every_block_is_online_in_the_movable_zone_of_its_node(device):
    assert {(block["state"], *block["zones"]) for block in device["blocks"].values()} == {("online", "Movable")}
    assert {tuple(block["nodes"]) for block in device["blocks"].values()} == {(device["state"]["node"],)}


def test_each_device_is_a_node_of_its_own(found):
    nodes = [entry["node"] for entry in found["devices"].values()]
    assert len(set(nodes)) == len(nodes)
    assert 0 not in nodes


def test_the_knob_says_what_is_declared(device):
    assert device["state"]["knob"] == {"device": "1", "dram": "0"}[device["memmap"]]


def test_the_first_pages_of_each_block_are_its_memmap_or_none_is(device, found):
    pages = reserved_pages(found)
    assert pages == 512
    wanted = [pages, pages] if device["memmap"] == "device" else [0, 0]
    assert {number: block["self_hosted"] for number, block in device["blocks"].items()} == dict.fromkeys(device["blocks"], wanted)


def test_the_zone_misses_the_memmap_or_nothing(device, found):
    zones = found["zones"][str(device["state"]["node"])]
    present = sum(zone["present"] for zone in zones.values())
    managed = sum(zone["managed"] for zone in zones.values())
    assert present == device["state"]["size"] // found["page_size"]
    assert present - managed == (len(device["blocks"]) * reserved_pages(found) if device["memmap"] == "device" else 0)


def test_the_kernels_policies_are_as_they_were(found):
    # Debian's kernel: CONFIG_MEMORY_HOTPLUG_DEFAULT_ONLINE=y, and every bus probes by itself
    assert (found["auto_online_blocks"], found["drivers_autoprobe"], found["left_behind"]) == ("online", "1", [])


def test_boot_memory_is_not_touched(found):
    declared = {number for entry in found["devices"].values()
                for number in range(entry["start"] // found["block_size"], (entry["start"] + entry["size"]) // found["block_size"])}
    others = {number: block for number, block in found["blocks"].items() if number not in declared}
    assert others
    assert {block["state"] for block in others.values()} == {"online"}
    assert {tuple(block["nodes"]) for block in others.values()} == {(0,)}
