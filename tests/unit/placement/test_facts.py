# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The facts of synthetic machines, from the files to the answer."""
from __future__ import annotations

import json
import shutil

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device

SIZE = 128 << 20
ALL = ["page_tables", "page_flags", "zone_accounting"]


def test_one_device_self_hosted_one_in_dram(machine):
    found = facts.collect(machine()[1])
    assert [(entry["first_block"], entry["last_block"], entry["device"], entry["placement"], entry["proofs"]) for entry in found["ranges"]] == [
        (0, 7, None, "same_node", ["page_tables", "page_flags"]), (32, 35, "dax0.0", "self", ALL), (64, 67, "dax1.0", "other_node", ALL)]
    assert [(entry["placement"], entry["intent"], entry["memmap_nodes"], entry["blocks"]) for entry in found["devices"]] == [
        ("self", "device", {"1": 8 << 20}, {"online": 4, "offline": 0, "absent": 0}),
        ("other_node", "dram", {"0": 8 << 20}, {"online": 4, "offline": 0, "absent": 0})]
    assert [entry["device_only"] for entry in found["nodes"]] == [False, True, True]
    assert found["conflicts"] == [] and all(proof["available"] for proof in found["proofs"].values())
    assert found["kernel"]["supported"] is True
    assert "blocks" not in found


@pytest.mark.parametrize("levels", [4, 5])
@pytest.mark.parametrize("block_size", [128 << 20, 256 << 20, 2 << 30])
def test_other_levels_and_block_sizes(machine, levels, block_size):
    found = facts.collect(machine(levels=levels, block_size=block_size)[1])
    assert [entry["placement"] for entry in found["devices"]] == ["self", "other_node"]
    assert found["devices"][0]["memmap_bytes"] == 4 * block_size // 64


def test_a_range_says_where_its_memmap_is(machine):
    entry = facts.collect(machine()[1])["ranges"][1]
    assert (entry["start"], entry["size"], entry["blocks"]) == (32 * SIZE, 4 * SIZE, 4)
    assert entry["memmap"] == [{"start": number * SIZE, "size": 2 << 20} for number in range(32, 36)] and entry["memmap_runs"] == 4
    assert (entry["memmap_bytes"], entry["memmap_nodes"]) == (8 << 20, {"1": 8 << 20})


def test_only_the_first_runs_are_listed(machine):
    entry = facts.collect(machine(devices=[Device(32, 20, 1, "dram", "Movable", 20)])[1])["ranges"][1]
    assert (len(entry["memmap"]), entry["memmap_runs"]) == (facts.LISTED_RUNS, 20)


def test_blocks_add_up_to_ranges(machine):
    found = facts.collect(machine()[1], gather="blocks")
    assert [entry["id"] for entry in found["blocks"]] == list(range(8)) + list(range(32, 36)) + list(range(64, 68))
    for entry in found["ranges"]:
        own = [block for block in found["blocks"] if entry["first_block"] <= block["id"] <= entry["last_block"]]
        assert {block["placement"] for block in own} == {entry["placement"]}
        assert sum(sum(block["memmap_nodes"].values()) for block in own) == entry["memmap_bytes"]
    assert found["blocks"][8]["memmap"] == [{"start": 32 * SIZE, "size": 2 << 20}]


def test_offline_blocks_are_proven_by_page_tables(machine):
    found = facts.collect(machine(devices=[Device(32, 4, 1, "self", "Movable", 1)])[1])
    assert [(entry["state"], entry["zone"], entry["placement"], entry["proofs"]) for entry in found["ranges"][1:]] == [
        ("online", "Movable", "self", ALL), ("offline", None, "self", ["page_tables"])]
    assert found["devices"][0]["proofs"] == ["page_tables"]


def test_blocks_that_kmem_did_not_add_are_absent(machine):
    root, host = machine()
    end = root / "sys/bus/dax/devices/dax0.0/mapping0/end"
    end.write_text("0x%x\n" % (40 * SIZE + 5))
    assert facts.collect(host)["devices"][0]["blocks"] == {"online": 4, "offline": 0, "absent": 4}


@pytest.mark.parametrize("driver, mode", [("device_dax", "devdax"), (None, None)])
def test_a_device_that_is_not_memory(machine, driver, mode):
    root, host = machine()
    link = root / "sys/devices/virtual/dax/dax0.0/driver"
    link.unlink()
    if driver:
        link.symlink_to("../../../../bus/dax/drivers/" + driver)
    for number in range(32, 36):
        shutil.rmtree(root / ("sys/devices/system/memory/memory%d" % number))
        (root / ("sys/devices/system/node/node1/memory%d" % number)).unlink()
    entry = facts.collect(host)["devices"][0]
    assert (entry["mode"], entry["placement"], entry["memmap_bytes"], entry["blocks"]) == (mode, None, 0, {"online": 0, "offline": 0, "absent": 0})


def test_memory_that_a_driver_left_behind_is_its_devices(machine):
    root, host = machine()
    (root / "sys/devices/virtual/dax/dax0.0/driver").unlink()
    found = facts.collect(host)
    entry = found["devices"][0]
    assert (entry["mode"], entry["placement"], entry["proofs"], entry["blocks"]) == (None, "self", ALL, {"online": 4, "offline": 0, "absent": 0})
    assert [node["device_only"] for node in found["nodes"]] == [False, True, True]


def test_memory_whose_device_is_gone_was_hot_added(machine):
    root, host = machine()
    (root / "sys/bus/dax/devices/dax0.0").unlink()
    (root / "proc/iomem").write_text("%x-%x : dax0.0\n  %x-%x : System RAM (kmem)\n" % ((32 * SIZE - 4096, 36 * SIZE - 1, 32 * SIZE, 36 * SIZE - 1)))
    found = facts.collect(host)
    assert [(entry["first_block"], entry["device"], entry["proofs"]) for entry in found["ranges"]] == [
        (0, None, ["page_tables", "page_flags"]), (32, "System RAM (kmem)", ALL), (64, "dax1.0", ALL)]
    assert [node["device_only"] for node in found["nodes"]] == [False, True, True]


@pytest.mark.parametrize("last", ["0", "f" * 40])
def test_a_damaged_physical_map_costs_nothing(machine, last):
    root, host = machine()
    (root / "proc/iomem").write_text("%x-%s : System RAM (kmem)\n" % (64 * SIZE, last))
    assert [entry["device"] for entry in facts.collect(host)["ranges"]] == [None, "dax0.0", "dax1.0"]


@pytest.mark.parametrize("proofs, placement", [
    (["page_tables"], "other_node"), (["page_flags"], "unknown"), (["zone_accounting"], "unknown"), ([], "unknown"),
    (["page_flags", "zone_accounting"], "unknown")])
def test_proofs_not_asked_for(machine, proofs, placement):
    found = facts.collect(machine()[1], proofs=proofs)
    assert [entry["placement"] for entry in found["devices"]] == ["self" if proofs else "unknown", placement]
    for name in ALL:
        assert found["proofs"][name] == {"available": name in proofs, "why_not": None if name in proofs else "not asked for"}


def test_without_root(machine):
    root, host = machine()
    for name in ("proc/kcore", "proc/kpageflags", "sys/bus/dax/devices/dax0.0/mapping0/start", "sys/bus/dax/devices/dax1.0/mapping0/start"):
        (root / name).unlink()
    found = facts.collect(host)
    assert {entry["placement"] for entry in found["ranges"]} == {"unknown"}
    assert not any(proof["available"] for proof in found["proofs"].values()) and all(proof["why_not"] for proof in found["proofs"].values())
    device = found["devices"][0]
    assert (device["mode"], device["ranges"], device["blocks"], device["placement"]) == ("system-ram", None, None, "unknown")


def test_intent_is_never_proof(machine):
    root, host = machine()
    for name in ("dax0.0", "dax1.0"):
        (root / ("sys/bus/dax/devices/%s/memmap_on_memory" % name)).write_text("1\n")
    assert [(entry["intent"], entry["placement"]) for entry in facts.collect(host)["devices"]] == [("device", "self"), ("device", "other_node")]


def test_a_kernel_without_the_knob(machine):
    root, host = machine()
    for name in ("dax0.0", "dax1.0"):
        (root / ("sys/bus/dax/devices/%s/memmap_on_memory" % name)).unlink()
    found = facts.collect(host)
    assert found["devices"][0]["intent"] is None and found["kernel"]["supported"] is False


def test_zeroed_flags_are_a_conflict(machine):
    root, host = machine()
    (root / "proc/kpageflags").write_bytes(bytes(8))
    with open(root / "proc/kpageflags", "r+b") as stream:
        stream.truncate(80 * (SIZE // 4096) * 8)
    found = facts.collect(host)
    assert [(entry["first_block"], entry["last_block"]) for entry in found["conflicts"]][0] == (32, 35)
    assert [entry["placement"] for entry in found["devices"]] == ["unknown", "other_node"]


@pytest.mark.parametrize("gather", ["ranges", "blocks"])
def test_no_kernel_virtual_address_is_in_the_answer(machine, gather):
    text = json.dumps(facts.collect(machine()[1], gather=gather))
    numbers = [int(word) for word in "".join(letter if letter.isdigit() else " " for letter in text).split()]
    assert max(numbers) < 1 << 52


def test_a_machine_without_memory_blocks(tmp_path):
    with pytest.raises(TestbedError, match="CONFIG_MEMORY_HOTPLUG"):
        facts.collect(Host(str(tmp_path)))
