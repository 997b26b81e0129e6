# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desired against proven: what holds, and what is said of what does not."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement.facts import collect
from ansible_collections.memlab.testbed.plugins.module_utils.report import rows
from ansible_collections.memlab.testbed.plugins.module_utils.report.statements import statements
from ansible_collections.memlab.testbed.plugins.module_utils.report.table import table
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device


def failed(facts, entries, assertions=()):
    return [entry["message"] for entry in statements(facts, entries, assertions) if not entry["ok"]]


def ranges(facts, device):
    return [entry for entry in facts["ranges"] if entry["device"] == device]


def test_all_holds(gathered, declared):
    found = statements(gathered(), declared)
    assert [entry["message"] for entry in found if not entry["ok"]] == []
    about = [entry["statement"] for entry in found if entry["device"] == "0x1"]
    assert about == ["dax device", "mode", "knob memmap_on_memory", "capacity", "blocks online", "zone", "memmap", "proof"]
    assert found[-1]["statement"] == "agreement of the proofs"


def test_messages_of_what_holds(gathered, declared):
    said = {(entry["device"], entry["statement"]): entry["message"] for entry in statements(gathered(), declared)}
    assert said["0x1", "memmap"] == "memory device 0x1 (dax0.0), blocks 32-35: memmap: self, 8M on node 1"
    assert said["0x2", "memmap"] == "memory device 0x2 (dax1.0), blocks 64-67: memmap: other_node, 8M on node 0"


@pytest.mark.parametrize("serial", ["0x1", "1", 1, "0000:01:00.0"])
def test_a_device_goes_by_serial_or_address(gathered, serial):
    assert failed(gathered(), [{"serial": serial, "memmap": "device", "size": "512M", "amount": 4}]) == []


def test_memmap_in_the_other_place(gathered, declared):
    declared[0]["memmap"], declared[1]["memmap"] = "dram", "device"
    assert failed(gathered(), declared) == [
        "memory device 0x1 (dax0.0), blocks 32-35: knob memmap_on_memory: wanted dram, found device",
        "memory device 0x1 (dax0.0), blocks 32-35: memmap: wanted dram (no page on a device's memory), found self, 8M on node 1",
        "memory device 0x2 (dax1.0), blocks 64-67: knob memmap_on_memory: wanted device, found dram",
        "memory device 0x2 (dax1.0), blocks 64-67: memmap: wanted device (each block self), found other_node, 8M on node 0"]


def test_the_knob_is_no_proof(gathered, declared):
    facts = gathered(first=Device(32, 4, 1, "dram", "Movable", 4))
    facts["devices"][0]["intent"] = "device"
    facts["kernel"]["why_not"] = "the kernel was booted without it"
    assert failed(facts, declared[:1]) == [
        "memory device 0x1 (dax0.0), blocks 32-35: memmap: wanted device (each block self), found other_node, 8M on node 0; the kernel was booted without it"]


@pytest.mark.parametrize("placement, nodes, devices", [
    ("same_node", {"2": 8}, {"dax1.0": 8}), ("mixed", {"0": 4, "2": 4}, {"dax1.0": 4}), ("other_node", {"1": 8}, {"dax0.0": 8}),
    ("other_node", {"unknown": 8}, {}), ("other_node", {}, {})])
def test_not_on_the_device_is_not_yet_dram(gathered, declared, placement, nodes, devices):
    facts = gathered()
    for entry in ranges(facts, "dax1.0"):
        entry.update(placement=placement, memmap_nodes=nodes, memmap_devices=devices)
    assert len(failed(facts, declared)) == 1


def test_dram_of_the_node_that_the_device_is_on_is_dram(gathered, declared):
    """As an NVDIMM in a slot next to DRAM."""
    facts = gathered(second=Device(64, 4, 0, "dram", "Movable", 4))
    assert [entry["placement"] for entry in ranges(facts, "dax1.0")] == ["same_node"]
    assert failed(facts, declared) == []
    found = rows.report({"host": (facts, declared)})["hosts"]["host"]["devices"][1]["memmap"]
    assert (found["found"], found["placement"], found["nodes"]) == ("dram", "same_node", {"0": 8 << 20})


def test_dram_is_not_said_of_another_device(gathered, declared):
    facts = gathered()
    facts["devices"][1].update(memmap_nodes={"1": 8 << 20}, memmap_devices={"dax0.0": 8 << 20})
    assert rows.report({"host": (facts, declared)})["hosts"]["host"]["devices"][1]["memmap"]["found"] == "other_node"


def test_blocks_that_differ_are_named_with_what_they_are(gathered, declared):
    facts = gathered()
    whole = ranges(facts, "dax0.0")[0]
    place = facts["ranges"].index(whole)
    facts["ranges"][place:place + 1] = [
        dict(whole, first_block=32, last_block=32, zone="Normal"), dict(whole, first_block=33, last_block=33),
        dict(whole, first_block=34, last_block=35, zone="none", placement="mixed", memmap_nodes={"0": 2 << 20, "1": 2 << 20})]
    assert failed(facts, declared) == [
        "memory device 0x1 (dax0.0), blocks 32, 34-35: zone: wanted movable, found kernel (block 32); mixed (blocks 34-35)",
        "memory device 0x1 (dax0.0), blocks 34-35: memmap: wanted device (each block self), found mixed, 2M on node 0, 2M on node 1"]


def test_unknown_fails_and_says_why(gathered, declared):
    facts = gathered(proofs=("page_flags", "zone_accounting"))
    facts["proofs"]["page_tables"]["why_not"] = "kernel lockdown"
    # Page flags suffice for blocks that host their own memmap; where the others' is, only the page tables tell.
    assert failed(facts, declared) == [
        "memory device 0x2 (dax1.0), blocks 64-67: memmap: wanted dram (no page on a device's memory), found unknown: page_tables: kernel lockdown"]


def test_zone_accounting_alone_is_too_weak(gathered, declared):
    assert failed(gathered(proofs=("zone_accounting",)), declared[:1]) == [
        "memory device 0x1 (dax0.0), blocks 32-35: proof: wanted page_tables or page_flags, found zone_accounting"]


def test_conflicts(gathered, declared):
    facts = gathered()
    for entry in ranges(facts, "dax0.0"):
        entry.update(placement="unknown", memmap_nodes={}, proofs=[])
    facts["conflicts"] = [{"first_block": 32, "last_block": 35, "node": 1, "statements": {"page_tables": "self", "page_flags": "not_self"}}]
    assert failed(facts, declared) == [
        "memory device 0x1 (dax0.0), blocks 32-35: memmap: wanted device (each block self), found unknown: the proofs contradict each other",
        "blocks 32-35 on node 1: the proofs contradict each other: page_flags: not_self; page_tables: self"]


def test_partial_capacity(gathered, declared):
    facts = gathered()
    facts["devices"][0]["blocks"] = {"online": 3, "offline": 0, "absent": 1}
    assert failed(facts, declared) == [
        "memory device 0x1 (dax0.0), blocks 32-35: capacity: wanted 4 blocks, found 3 blocks",
        "memory device 0x1 (dax0.0), blocks 32-35: blocks online: wanted 4 of 4, found 3 of 4"]


@pytest.mark.parametrize("amount, online, fine", [("all", 4, True), ("all", 3, False), (3, 3, True), ("384M", 3, True), ("256M", 3, False), (0, 0, True)])
def test_amount(gathered, declared, amount, online, fine):
    declared[0]["amount"] = amount
    found = failed(gathered(first=Device(32, 4, 1, "self", "Movable", online)), declared)
    assert (found == []) is fine
    assert all("blocks online" in message for message in found)


@pytest.mark.parametrize("amount, why", [(5, "5 blocks are wanted"), ("100M", "not a multiple"), ("lots", "amount: 'lots' is not all")])
def test_impossible_amount(gathered, declared, amount, why):
    declared[0]["amount"] = amount
    (message,) = failed(gathered(), declared)
    assert why in message and "0x1" in message


def test_size(gathered, declared):
    declared[0]["size"] = "1G"
    assert failed(gathered(), declared) == ["memory device 0x1 (dax0.0), blocks 32-35: size: wanted 1G, found 512M"]


def test_no_such_device(gathered):
    assert failed(gathered(), [{"serial": "0x3", "memmap": "dram"}]) == [
        "memory device 0x3: dax device: wanted one, found none (the host has dax0.0 of 0x1, dax1.0 of 0x2)"]


def test_no_device_at_all(gathered):
    facts = dict(gathered(), devices=[])
    assert failed(facts, [{"serial": "0x3", "memmap": "dram"}]) == [
        "memory device 0x3: dax device: wanted one, found none (the host has no dax device at all)"]
    assert failed(facts, []) == []


def test_two_dax_devices_of_one(gathered, declared):
    facts = gathered()
    facts["devices"][1]["memory_devices"] = facts["devices"][0]["memory_devices"]
    assert failed(facts, declared[:1]) == ["memory device 0x1: dax device: wanted one, found dax0.0, dax1.0"]


def test_an_emptied_dax_device_does_not_count(gathered, declared):
    facts = gathered()
    facts["devices"][1].update(memory_devices=facts["devices"][0]["memory_devices"], size=0, ranges=[], mode=None)
    assert failed(facts, declared[:1]) == []


def test_a_device_that_is_no_memory(gathered, declared):
    facts = gathered()
    facts["devices"][0].update(mode="devdax")
    assert failed(facts, declared)[0].endswith("mode: wanted system-ram, found devdax")


def test_a_kernel_without_the_knob(gathered, declared):
    facts = gathered()
    for device in facts["devices"]:
        device["intent"] = None
    assert failed(facts, declared) == ["memory device 0x1 (dax0.0), blocks 32-35: knob memmap_on_memory: wanted device, found none in this kernel"]


def test_ranges_for_root_only(gathered, declared, tmp_path):
    gathered()
    for name in ("start", "end"):
        (tmp_path / "sys/bus/dax/devices/dax0.0/mapping0" / name).unlink()
    facts = collect(Host(str(tmp_path)))
    device = facts["devices"][0]
    assert (device["blocks"], device["placement"]) == (None, "unknown")
    device["memory_devices"] = [{"serial": 1, "pci": "0000:01:00.0"}]
    assert failed(facts, declared[:1]) == ["memory device 0x1 (dax0.0): capacity: wanted all of it as memory blocks, "
                                           "found unknown: where the device is, only root may know",
                                           "memory device 0x1 (dax0.0): blocks online: wanted all, found unknown: where the device is, only root may know"]
    report = rows.report({"host": (facts, declared[:1])})
    assert report["hosts"]["host"]["devices"][0]["blocks"] is None
    assert table(report).splitlines()[3].split()[:4] == ["0x1", "dax0.0", "512M", "unknown"]


def test_assertions(gathered):
    assert failed(gathered(), [], [
        {"expression": "length(devices) == `2`", "message": "two"},
        {"expression": "devices[?placement == 'self'].name"},
        {"expression": "devices[?placement == 'mixed'].name", "message": "one is mixed"},
        {"expression": "length(conflicts)"},
        {"expression": "no_such_thing"},
        {"expression": "devices[?", "message": "broken"},
        {"expression": "length(`1`)"},
        {"message": "no expression"},
    ]) == [
        "one is mixed: devices[?placement == 'mixed'].name returned []",
        "assertion: length(conflicts) returned 0",
        "assertion: no_such_thing returned null",
        "not a JMESPath expression: devices[? (Invalid jmespath expression: Incomplete expression)",
        "the JMESPath expression length(`1`) cannot be evaluated (In function length(), invalid type for value: 1, expected one of: "
        "['string', 'array', 'object'], received: \"number\")",
        "an assertion is a dictionary with expression and message: {'message': 'no expression'}"]


def test_a_long_answer_is_cut(gathered):
    found = statements(gathered(), [], [{"expression": "ranges"}])[-1]
    assert found["ok"] and found["found"].endswith("...") and len(found["message"]) < 200


@pytest.mark.parametrize("facts", [None, {}])
def test_no_facts(facts, declared):
    absent = "there are no memmap facts of this host: gather them with memlab.testbed.memmap_facts"
    assert failed(facts, declared) == [absent]
    # which hides no mistake
    said = failed(facts, ["0x1"], [{"expression": "length(devices)"}, {"expression": "devices[?"}, "devices"])
    assert said[0] == absent and "it is not a dictionary" in said[1]
    assert said[2:] == ["not a JMESPath expression: devices[? (Invalid jmespath expression: Incomplete expression)",
                        "an assertion is a dictionary with expression and message: 'devices'"]


@pytest.mark.parametrize("entries, words", [
    ("0x1", "are not a list"),
    (["0x1"], "memory device 1 of the declared ones: it is not a dictionary"),
    ([{"memmap": "dram"}], "name its memory in one way: serial, memory_devices, nvdimms, soft_reserved; found none of them"),
    ([{"serial": 1}], "memmap is missing"),
    ([{"serial": 1, "memmap": "ram"}], "memmap is 'ram', wanted device or dram"),
    ([{"serial": 1, "memmap": "dram", "zone": "Normal"}], "zone is 'Normal', wanted movable or kernel"),
    ([{"serial": 1, "memmap": "dram", "zones": "kernel"}], "unknown key zones"),
    ([{"serial": "mem0", "memmap": "dram"}], "the kernel's own numbering"),
    ([{"serial": 1, "memmap": "dram", "size": "big"}], "is not a size"),
    ([{"serial": 1, "memmap": "dram"}, {"serial": "0x1", "memmap": "device"}], "memory device 2 of the declared ones (0x1): memory device 0x1 is there twice"),
])
def test_mistakes_in_the_inventory(gathered, entries, words):
    (message,) = failed(gathered(), entries)
    assert words in message and "\n" not in message


def with_namespace(facts, **changes):
    """The first device as one of a namespace."""
    facts["namespaces"] = [dict({"name": "namespace1.0", "label": "ram", "label_uuid": "u1", "uuid": "u2", "mode": "devdax", "map": "mem",
                                 "size": 512 << 20, "align": 2 << 20, "sector_size": None}, **changes)]
    facts["devices"][0].update(region=None, memory_devices=[], namespace={"name": "namespace1.0", "label": "ram", "uuid": "u2"})
    return facts


NAMESPACE = {"nvdimms": ["0x1"], "namespace": {"name": "ram", "mode": "devdax", "map": "mem"}, "mode": "system-ram", "memmap": "device"}


def test_a_namespace_that_is_memory(gathered):
    facts = with_namespace(gathered())
    assert failed(facts, [NAMESPACE]) == []
    said = [entry["message"] for entry in statements(facts, [NAMESPACE])]
    assert said[:3] == ["namespace ram (namespace1.0): namespace: namespace1.0", "namespace ram (namespace1.0): mode of the namespace: devdax",
                        "namespace ram (namespace1.0): memmap of the namespace: mem"]
    assert "namespace ram (dax0.0), blocks 32-35: memmap: self, 8M on node 1" in said
    assert failed(facts, [dict(NAMESPACE, namespace={"uuid": "00000000-0000-0000-0000-000000000001", "mode": "devdax"})])[0] == (
        "namespace 00000000-0000-0000-0000-000000000001: namespace: wanted one, found none (the host has namespace1.0 ram)")


def test_a_namespace_in_another_mode(gathered):
    facts = with_namespace(gathered(), mode="fsdax", map="dev")
    assert failed(facts, [NAMESPACE])[:2] == ["namespace ram (namespace1.0): mode of the namespace: wanted devdax, found fsdax",
                                              "namespace ram (namespace1.0): memmap of the namespace: wanted mem, found dev"]
    assert failed(facts, [{"nvdimms": ["0x1"], "namespace": {"name": "ram", "mode": "fsdax"}}]) == []


def test_a_namespace_of_another_size_alignment_or_sector_size(gathered):
    facts = with_namespace(gathered(), size=512 << 20, align=2 << 20, sector_size=512)
    asked = {"name": "ram", "mode": "devdax"}
    assert failed(facts, [dict(NAMESPACE, namespace=dict(asked, size="512M", align="2M"))]) == []
    assert failed(facts, [dict(NAMESPACE, namespace=dict(asked, size="all"))]) == []
    assert failed(facts, [dict(NAMESPACE, namespace=dict(asked, size="1G", align="1G"))]) == [
        "namespace ram (namespace1.0): size of the namespace: wanted 1G, found 512M",
        "namespace ram (namespace1.0): align of the namespace: wanted 1G, found 2M"]
    facts["namespaces"][0].update(mode="fsdax", align=None)
    assert failed(facts, [{"nvdimms": ["0x1"], "namespace": {"name": "ram", "mode": "fsdax", "sector_size": 4096, "align": "2M"}}]) == [
        "namespace ram (namespace1.0): align of the namespace: wanted 2M, found unknown",
        "namespace ram (namespace1.0): sector_size of the namespace: wanted 4K, found 512"]


REGION = {"name": "region1", "type": "ram", "start": 4 << 30, "size": 1 << 30, "ways": 1, "granularity": 256, "root_decoder": "decoder0.0",
          "memory_devices": [{"name": "mem0", "serial": 1, "pci": "0000:01:00.0"}]}


def test_a_region_of_another_granularity_or_root_decoder(gathered, declared):
    facts = dict(gathered(), regions=[REGION])
    assert failed(facts, [dict(declared[0], granularity=256, root_decoder="decoder0.0", size="512M")]) == []
    wanted = dict(declared[0], granularity="1K", root_decoder="decoder0.1")
    assert failed(facts, [wanted]) == ["memory device 0x1 (region1): granularity of the region: wanted 1K, found 256",
                                       "memory device 0x1 (region1): root_decoder of the region: wanted decoder0.1, found decoder0.0"]
    # one of another kind, or of more devices, is not it
    for other in (dict(REGION, type="pmem"), dict(REGION, memory_devices=REGION["memory_devices"] * 2)):
        assert failed(dict(facts, regions=[other]), [wanted])[0] == "memory device 0x1: granularity of the region: wanted 1K, found unknown"


def test_the_size_of_a_region_whose_namespace_has_less(gathered):
    """As 512 MiB of persistent CXL memory, of which 502 MiB are left."""
    facts = with_namespace(dict(gathered(), regions=[dict(REGION, type="pmem", size=512 << 20)]))
    facts["devices"][0]["size"] = 502 << 20
    declared = {key: value for key, value in dict(NAMESPACE, memory_devices=["0x1"], type="pmem", size="512M").items() if key != "nvdimms"}
    assert failed(facts, [declared]) == []
    assert failed(facts, [dict(declared, size="1G")]) == ["namespace ram (region1): size of the region: wanted 1G, found 512M"]


def test_the_size_of_a_divided_region(gathered):
    facts = dict(gathered(), regions=[REGION])
    for device in facts["devices"]:
        device["memory_devices"] = REGION["memory_devices"]
    parts = [{"size": "512M", "memmap": "device"}, {"size": "all", "memmap": "dram"}]
    assert failed(facts, [{"serial": "0x1", "size": "1G", "parts": parts}]) == []
    assert failed(facts, [{"serial": "0x1", "size": "2G", "parts": parts}]) == ["memory device 0x1 (region1): size of the region: wanted 2G, found 1G"]


def test_parts_of_other_sizes(gathered):
    facts = gathered()
    for device in facts["devices"]:
        device["memory_devices"] = REGION["memory_devices"]
    parts = [{"size": "256M", "memmap": "device"}, {"size": "768M", "memmap": "dram"}]
    assert failed(facts, [{"serial": "0x1", "parts": parts}]) == [
        "memory device 0x1 (dax0.0), blocks 32-35: size: wanted 256M, found 512M", "memory device 0x1 (dax1.0), blocks 64-67: size: wanted 768M, found 512M"]


def test_a_device_that_is_to_be_no_memory(gathered):
    facts = gathered()
    facts["devices"][0].update(mode="devdax")
    assert failed(facts, [{"serial": "0x1", "mode": "devdax"}]) == []
    assert failed(facts, [{"serial": "0x2", "mode": "devdax"}]) == ["memory device 0x2 (dax1.0), blocks 64-67: mode: wanted devdax, found system-ram"]


def test_a_region_is_of_exactly_those_devices(gathered):
    facts = gathered()
    facts["devices"][0]["memory_devices"].append({"name": "mem7", "serial": 7, "pci": "0000:07:00.0"})
    assert failed(facts, [{"memory_devices": ["0x1", "0x7"], "memmap": "device"}]) == []
    for named in (["0x7", "0x1"], ["0x1"]):
        assert "dax device: wanted one, found none" in failed(facts, [{"memory_devices": named, "memmap": "device"}])[0]


def test_soft_reserved_memory_and_its_parts(gathered):
    facts = gathered()
    start = facts["devices"][0]["ranges"][0]["start"]
    for device in facts["devices"]:
        device.update(memory_devices=[], soft_reserved=start)
    parts = [{"size": "512M", "memmap": "device"}, {"size": "all", "memmap": "dram"}]
    assert failed(facts, [{"soft_reserved": "%#x" % start, "parts": parts}]) == []
    assert failed(facts, [{"soft_reserved": "%#x" % start, "memmap": "dram"}]) == [
        "soft-reserved memory at %#x: dax device: wanted one, found dax0.0, dax1.0" % start]


def test_how_much_of_a_divided_device_is_online(gathered):
    """The parts that are memory count together; those that are not, not at all."""
    facts = gathered()
    start = facts["devices"][0]["ranges"][0]["start"]

    def online(*counts):
        for device, count in zip(facts["devices"], counts):
            device.update(memory_devices=[], soft_reserved=start, blocks={"online": count, "offline": 4 - count, "absent": 0})
        return sum(counts)

    parts = [{"size": "512M", "memmap": "device"}, {"size": "all", "memmap": "dram"}]
    for counts, amount, wanted in (((4, 2), "all", "8 of 8"), ((4, 2), 5, "5 of 8"), ((4, 4), "50%", "4 of 8")):
        found = online(*counts)
        assert failed(facts, [{"soft_reserved": "%#x" % start, "parts": parts, "amount": amount}]) == [
            "soft-reserved memory at %#x, blocks 32-35, 64-67: blocks online: wanted %s, found %d of 8" % (start, wanted, found)]
    online(4, 2)
    for amount in (6, "75%", "768M"):
        assert failed(facts, [{"soft_reserved": "%#x" % start, "parts": parts, "amount": amount}]) == []
    facts["devices"][1]["mode"] = "devdax"
    mixed = [parts[0], {"size": "all", "mode": "devdax"}]
    assert failed(facts, [{"soft_reserved": "%#x" % start, "parts": mixed}]) == []
    assert failed(facts, [{"soft_reserved": "%#x" % start, "parts": mixed, "amount": 3}]) == [
        "soft-reserved memory at %#x, blocks 32-35: blocks online: wanted 3 of 4, found 4 of 4" % start]
