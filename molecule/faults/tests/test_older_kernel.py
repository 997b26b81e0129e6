# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Linux 6.1: no knob and no regions of volatile CXL memory. What cannot be had is refused in words, and what can be had works."""
from __future__ import annotations

import pytest

NAMESPACE = {"nvdimms": ["0x1"], "name": "older", "mode": "devdax", "map": "mem"}
DEVICE = {"namespace": "older"}


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    """With a devdax namespace that device_dax has; without it again in the end."""
    guest = open_guest("older")
    assert guest.shell("uname -r").startswith("6.1.")
    done = guest.module("pmem_namespace", namespaces=[NAMESPACE])
    assert done.code == 0, done.output
    yield guest
    done = guest.module("pmem_namespace", namespaces=[dict(NAMESPACE, state="absent", allow_data_loss=True)])
    assert done.code == 0, done.output


def drivers(guest):
    return guest.shell("for device in /sys/bus/dax/devices/*; do basename $(readlink $device/driver); done").split()


def test_a_memmap_on_the_device_is_refused_and_nothing_moves(guest):
    assert guest.shell("cat /sys/module/memory_hotplug/parameters/memmap_on_memory").strip() == "Y"
    assert guest.shell("ls /sys/bus/dax/devices/*/memmap_on_memory 2>/dev/null || :") == ""
    done = guest.module("dax_device", devices=[dict(DEVICE, memmap="device")])
    guest.refusal(done, "no knob memmap_on_memory", "the knob came with kernel 6.8; this is 6.1.")
    assert drivers(guest) == ["device_dax"]
    assert guest.online() == {}


@pytest.mark.parametrize("tool, said", [("", "the tool ndctl is not installed"), ("#!/bin/sh\necho '[{\"rubbish\": }'\n", "")], ids=["absent", "rubbish"])
def test_the_ndctl_tool(guest, tool, said):
    """Put over the real one, in the guest's own view, and taken away again."""
    look = "ls -l /sys/bus/nd/devices /sys/bus/dax/devices | sed 's/.*[0-9] //'; grep -H . /sys/bus/nd/devices/namespace*/{uuid,alt_name,size}"
    before = drivers(guest), guest.shell(look)
    guest.shell("cat > /run/tool; chmod %s /run/tool; mount --bind /run/tool $(readlink -f /usr/bin/ndctl)" % ("755" if tool else "644"), given=tool)
    try:
        done = guest.module("pmem_namespace", namespaces=[dict(NAMESPACE, state="absent", allow_data_loss=True)])
    finally:
        guest.shell("umount $(readlink -f /usr/bin/ndctl)")
    guest.refusal(done, said)
    assert (drivers(guest), guest.shell(look)) == before


def test_a_region_of_volatile_memory_is_refused(guest):
    before = guest.shell("ls /sys/bus/cxl/devices")
    done = guest.module("cxl_region", regions=[{"memory_devices": ["0x3"]}])
    guest.refusal(done, "Linux 6.1.", "makes none of volatile CXL memory", "use Linux 6.3 or newer")
    assert guest.shell("ls /sys/bus/cxl/devices") == before
    done = guest.module("memory_doctor", wanted=[])
    assert done.code == 0, done.output
    said = {entry["finding"]: entry for entry in done.result["findings"]}
    assert said["no_ram_regions"]["subject"] == {"memory_devices": ["0x3"]} and "Linux 6.3 or newer" in said["no_ram_regions"]["remedy"]


def test_a_namespace_becomes_memory_with_its_memmap_in_dram_and_goes_back(guest):
    given = dict(DEVICE, memmap="dram")
    guest.controller.four_steps("older", "dax_device", devices=[given])
    assert drivers(guest) == ["kmem"]
    done = guest.memory_blocks(dict(DEVICE, zone="movable"))
    assert done.code == 0, done.output
    blocks = guest.online()
    assert blocks and set(blocks.values()) == {"Movable"}
    facts = guest.module("memmap_facts", gather="blocks").result["ansible_facts"]["memmap"]
    assert {entry["placement"] for entry in facts["blocks"] if entry["id"] in blocks} == {"other_node"}
    assert facts["conflicts"] == []
    # what the kernel's own accounts say: nothing of the node is missing from its zones
    zones = guest.shell("sed -n '/^Node 1,/,$p' /proc/zoneinfo | awk '/present|managed/ {sum[$1] += $2} END {print sum[\"present\"] - sum[\"managed\"]}'")
    assert zones.strip() == "0"
    done = guest.module("dax_device", devices=[dict(DEVICE, mode="devdax", offline=True, allow_data_loss=True)])
    assert done.code == 0, done.output
    assert (drivers(guest), guest.online()) == (["device_dax"], {})
