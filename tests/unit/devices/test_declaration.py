# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One declared list becomes what four modules are asked for, and a mistake in it one line."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

RAM = {"serial": "0x1", "memmap": "device"}
STORE = {"nvdimms": ["0x1"], "namespace": {"name": "store", "mode": "fsdax"}}
PMEM = {"memory_devices": ["0x5", "0x6"], "type": "pmem", "namespace": {"name": "a", "mode": "fsdax"}}
WHOLE = [
    {"serial": "0x1", "memmap": "device", "zone": "movable", "amount": "all", "size": "all"},
    {"memory_devices": ["0x2", "0x3"], "granularity": "4K", "memmap": "dram", "zone": "kernel", "amount": "50%"},
    {"memory_devices": ["0x5"], "type": "pmem", "namespace": {"name": "data", "mode": "devdax", "map": "dev"}, "mode": "system-ram", "memmap": "dram"},
    STORE,
    {"nvdimms": ["0x2"], "namespace": {"name": "ram", "mode": "devdax"}, "mode": "system-ram", "memmap": "device", "zone": "kernel"},
    {"soft_reserved": "0x240000000", "mode": "system-ram", "memmap": "dram", "amount": 4},
    {"memory_devices": ["0000:0d:00.0"], "mode": "devdax"},
    {"nvdimms": ["0x3"], "namespace": {"name": "raw", "mode": "devdax"}, "allow_data_loss": True},
]


def test_what_each_module_is_asked_for():
    found = declaration.plan(WHOLE)
    assert found.regions == [{"memory_devices": ["0x1"], "size": "all", "memory": {"memmap": "device"}},
                             {"memory_devices": ["0x2", "0x3"], "size": "all", "granularity": "4K", "memory": {"memmap": "dram", "count": "50%"}},
                             {"memory_devices": ["0x5"], "size": "all", "type": "pmem"}, {"memory_devices": ["0000:0d:00.0"], "size": "all"}]
    assert found.namespaces == [{"memory_devices": ["0x5"], "name": "data", "mode": "devdax", "map": "dev"},
                                {"nvdimms": ["0x1"], "name": "store", "mode": "fsdax"}, {"nvdimms": ["0x2"], "name": "ram", "mode": "devdax"},
                                {"nvdimms": ["0x3"], "name": "raw", "mode": "devdax", "allow_data_loss": True}]
    assert found.devices == [{"memory_devices": ["0000:0d:00.0"], "mode": "devdax"}, {"namespace": "raw", "mode": "devdax", "allow_data_loss": True},
                             {"memory_devices": ["0x2", "0x3"], "memmap": "dram", "count": "50%"}, {"namespace": "data", "memmap": "dram"},
                             {"soft_reserved": "0x240000000", "memmap": "dram", "count": "4"}, {"memory_devices": ["0x1"], "memmap": "device"},
                             {"namespace": "ram", "memmap": "device"}]
    assert found.blocks == [{"memory_devices": ["0x1"], "zone": "movable", "count": "all"}, {"namespace": "data", "zone": "movable", "count": "all"},
                            {"soft_reserved": "0x240000000", "zone": "movable", "count": "4"},
                            {"memory_devices": ["0x2", "0x3"], "zone": "kernel", "count": "50%"}, {"namespace": "ram", "zone": "kernel", "count": "all"}]


def test_what_is_allowed_for_all():
    found = declaration.plan([RAM, dict(STORE, allow_data_loss=False)], allow_data_loss=True, offline=True)
    assert found.devices == [{"memory_devices": ["0x1"], "memmap": "device", "offline": True, "allow_data_loss": True}]
    assert "allow_data_loss" not in found.namespaces[0]


def test_a_divided_region():
    (entry,) = declaration.parse([{"soft_reserved": "0x240000000", "parts": [{"size": "512M", "memmap": "dram"}, {"size": "all", "mode": "devdax"}]}])
    assert declaration.memmaps(entry) == {"dram"}
    found = declaration.plan([entry.asked])
    divided = [{"size": "512M", "memmap": "dram", "mode": "system-ram"}, {"size": "all", "mode": "devdax"}]
    assert found.devices == [{"soft_reserved": "0x240000000", "parts": divided}]
    assert len(found.blocks) == 1
    (region,) = declaration.plan([{"serial": "0x1", "parts": [{"size": "512M", "memmap": "dram"}, {"size": "all", "mode": "devdax"}], "amount": 3}]).regions
    assert region["memory"] == {"parts": divided, "count": "3"}
    # nothing of it becomes memory
    assert "memory" not in declaration.plan([{"serial": "0x1", "parts": [{"size": "all", "mode": "devdax"}]}]).regions[0]


def test_nothing_declared():
    assert declaration.plan(None) == declaration.plan([]) == ([], [], [], [])


@pytest.mark.parametrize("entry, words", [
    ({}, "name its memory in one way"),
    ({"serial": "0x1", "nvdimms": ["0x1"], "memmap": "dram"}, "found serial and nvdimms"),
    ({"serial": "0x1"}, "memmap is missing"),
    ({"serial": "0x1", "memmap": "dram", "colour": 1}, "unknown key colour"),
    ({"serial": "region0", "memmap": "dram"}, "the kernel's own numbering"),
    ({"memory_devices": ["0x2", 2], "memmap": "dram"}, "named twice"),
    ({"memory_devices": "0x2", "memmap": "dram"}, "not a list of names"),
    ({"memory_devices": ["0x2"], "type": "pmem"}, "namespace is missing"),
    ({"nvdimms": ["0x1"], "memmap": "dram"}, "namespace is missing"),
    (dict(RAM, namespace={"name": "x", "mode": "devdax"}), "needs persistent memory"),
    (dict(STORE, namespace={"mode": "fsdax"}), "neither name nor uuid"),
    (dict(STORE, namespace={"name": "x"}), "namespace.mode is missing"),
    (dict(STORE, namespace={"name": "namespace0.0", "mode": "fsdax"}), "the kernel's own numbering"),
    (dict(STORE, namespace={"uuid": "x", "mode": "fsdax"}), "not a uuid"),
    (dict(STORE, namespace={"name": "x", "mode": "raw", "map": "dev"}), "namespace: a raw namespace has no map"),
    (dict(STORE, namespace={"name": "x", "mode": "sector", "align": "2M"}), "namespace: a sector namespace has no align"),
    (dict(STORE, namespace={"name": "pmem0", "mode": "fsdax"}), "namespace.name: pmem0 is no name for a namespace: it is the kernel's own numbering"),
    (dict(STORE, namespace={"name": "x", "mode": "devdax", "sector_size": 512}), "has no sectors"),
    (dict(STORE, namespace="x"), "namespace: it is not a dictionary"),
    (dict(STORE, mode="system-ram", memmap="dram"), "needs a namespace in mode devdax"),
    (dict(STORE, memmap="dram"), "memmap: goes with mode system-ram"),
    (dict(STORE, size="1G"), "size: is of a CXL region"),
    ({"serial": "0x1", "mode": "devdax", "zone": "kernel"}, "zone: goes with mode system-ram"),
    (dict(RAM, size="0"), "size: 0 bytes"),
    (dict(RAM, size="-1"), "size is not a size"),
    (dict(RAM, granularity="3K"), "not a power of two"),
    (dict(RAM, amount="101%"), "amount"),
    (dict(RAM, amount="100.5%"), "amount"),
    (dict(RAM, amount="1.2.3%"), "amount"),
    (dict(RAM, amount=True), "amount"),
    (dict(RAM, allow_data_loss="perhaps"), "not true or false"),
    (dict(RAM, parts=[{"memmap": "dram"}]), "parts[1].size is missing"),
    (dict(RAM, parts=[{"size": "1G", "mode": "devdax"}]), "memmap: goes with mode system-ram"),
    ({"serial": "0x1", "parts": [{"size": "1G"}]}, "parts[1].memmap is missing"),
    ({"serial": "0x1", "parts": [{"size": 1, "mode": "devdax", "memmap": "dram"}]}, "parts[1].memmap: goes with"),
    ({"serial": "0x1", "parts": "two"}, "parts: 'two' is not a list"),
    ({"soft_reserved": "dax0.0", "memmap": "dram"}, "not a physical address"),
    ({"soft_reserved": "0x240000000", "memmap": "dram", "type": "ram"}, "type: is of a CXL region"),
])
def test_mistakes(entry, words):
    with pytest.raises(TestbedError) as caught:
        declaration.parse([{"serial": "0x99", "memmap": "dram"}, entry])
    said = str(caught.value)
    assert said.startswith("memory device 2 of the declared ones") and words in said and "\n" not in said


@pytest.mark.parametrize("share", ["12.5%", "50 %", "0.000001%", "100.0%"])
def test_shares_are_those_of_memory_blocks(share):
    amounts.parse_count(share, None, 1, "it")
    assert declaration.plan([dict(RAM, amount=share)]).blocks[0]["count"] == share


@pytest.mark.parametrize("first, second", [
    (RAM, {"memory_devices": ["0x2", "1"], "memmap": "dram"}), (STORE, dict(STORE, nvdimms=["0x2"])),
    ({"soft_reserved": "0x240000000", "memmap": "dram"}, {"soft_reserved": 0x240000000, "memmap": "dram"}), (PMEM, PMEM),
    (PMEM, dict(PMEM, size="1G", namespace={"name": "b", "mode": "raw"})), (PMEM, dict(PMEM, memory_devices=["0x5"], namespace={"name": "b", "mode": "raw"})),
    (PMEM, dict(PMEM, root_decoder="decoder0.1", namespace={"name": "b", "mode": "raw"}))])
def test_the_same_memory_in_two_entries(first, second):
    with pytest.raises(TestbedError, match="there twice, entry 1 has it, too"):
        declaration.parse([first, second])


def test_both_kinds_of_capacity_of_one_device():
    entries = [{"serial": "0x5", "memmap": "dram"}, dict(PMEM, memory_devices=["0x5"])]
    found = declaration.plan(entries)
    assert [(region["memory_devices"], region.get("type")) for region in found.regions] == [(["0x5"], None), (["0x5"], "pmem")]
    assert (len(found.namespaces), found.devices) == (1, [{"memory_devices": ["0x5"], "memmap": "dram"}])


def test_namespaces_on_one_persistent_region():
    """Each says the same of the region, however it is written; it is made once."""
    second = dict(PMEM, memory_devices=["5", "6"], size="2048M", granularity=4096, namespace={"name": "b", "mode": "sector", "size": "1G"})
    found = declaration.plan([dict(PMEM, size="2G", granularity="4K"), second])
    assert found.regions == [{"memory_devices": ["0x5", "0x6"], "type": "pmem", "size": "2G", "granularity": "4K"}]
    assert [namespace["name"] for namespace in found.namespaces] == ["a", "b"]
    with pytest.raises(TestbedError, match="persistent memory of device 0x5 is there twice, entry 1 has it, too: one region can have several namespaces"):
        declaration.parse([PMEM, second])


def test_two_namespaces_on_one_nvdimm():
    assert len(declaration.parse([STORE, dict(STORE, namespace={"name": "other", "mode": "raw", "size": "64M"})])) == 2


ANYTHING = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
    ["0x1", "all", "devdax", "system-ram", "device", "dram", "pmem", "1G", "50%"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(declaration.KEYS + declaration.NAMESPACE_KEYS) | st.text(max_size=4), inner,
                                                                max_size=4), max_leaves=8)


@given(st.lists(st.dictionaries(st.sampled_from(declaration.KEYS), ANYTHING, max_size=6), max_size=3) | ANYTHING)
def test_whatever_is_declared_there_is_a_plan_or_one_line(entries):
    try:
        declaration.plan(entries)
    except TestbedError as exc:
        assert "\n" not in str(exc)
