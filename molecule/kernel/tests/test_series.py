# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Linux 6.1 with the series dax-kmem-memmap-on-memory-6.1 and the configuration ``testbed``: the knob, the proof, many cycles, and what fails midway.

Needs the guest ``patched`` that runs such a kernel with memory_hotplug.memmap_on_memory=1, blocks of 128 MiB, below 4G of RAM, a node 1 without memory of
its own, and there the NVDIMMs 0x1 of 1G and 0x2 of 512M, with labels. The second one is memory throughout, so that node 1 stays when the first one leaves.
"""
from __future__ import annotations

import json
import pathlib
import shlex

import pytest

SCRIPT = (pathlib.Path(__file__).parent / "series_on_guest.py").read_text(encoding="utf-8")
NAMESPACES = [{"nvdimms": ["0x1"], "name": "cycled", "mode": "devdax", "map": "mem"}, {"nvdimms": ["0x2"], "name": "steady", "mode": "devdax", "map": "mem"}]
CYCLED, STEADY = {"namespace": "cycled"}, {"namespace": "steady"}
NODE = 1
# pages of a block of 128 MiB that hold its own memmap
RESERVED = 512
COUNT = 50
BACK = [dict(device, mode="devdax", offline=True, allow_data_loss=True) for device in (CYCLED, STEADY)]


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    """With both namespaces, the second one as memory; without them in the end."""
    guest = open_guest("patched")
    assert guest.shell("uname -r").startswith("6.1.")
    guest.shell("mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug; modprobe memory-notifier-error-inject")
    guest.shell("echo offline > /sys/devices/system/memory/auto_online_blocks")
    done = guest.module("pmem_namespace", namespaces=NAMESPACES)
    assert done.code == 0, done.output
    done = guest.module("dax_device", devices=[dict(STEADY, memmap="dram")])
    assert done.code == 0, done.output
    yield guest
    done = guest.module("dax_device", devices=BACK)
    assert done.code == 0, done.output
    done = guest.module("pmem_namespace", namespaces=[dict(entry, state="absent", allow_data_loss=True) for entry in NAMESPACES])
    assert done.code == 0, done.output


@pytest.fixture(scope="module", name="ask")
def asker(guest):
    """A function that has series_on_guest.py do something in the guest."""
    # Many rounds under a kernel that checks its locks take minutes where the machine has other work, too.
    return lambda *words: json.loads(guest.shell("python3 -c \"$(cat)\" %s" % shlex.quote(json.dumps(words)), given=SCRIPT, seconds=3600))


@pytest.fixture(scope="module", name="name")
def dax_name(guest):
    """What the kernel calls the first namespace's dax device now."""
    facts = guest.module("dax_device", devices=[dict(CYCLED, mode="devdax")])
    assert facts.code == 0, facts.output
    return facts.result["devices"][0]["dax"]


@pytest.fixture(name="raw")
def by_hand(ask, name):
    """The device, free, and known to kmem; given back to device_dax in the end, and nothing in the log."""
    before = ask("log")
    assert ask("prepare", name) == [None, []]
    yield name
    assert ask("release", name) == [None, [], None]
    assert ask("log")[len(before):] == []


def test_the_knob_is_as_on_kernels_that_have_it(guest, ask, raw):
    knob = "/sys/bus/dax/devices/%s/memmap_on_memory" % raw
    assert guest.shell("stat -c %%a %s; cat %s" % (knob, knob)).split() == ["644", "0"]
    assert [ask("knob", raw, value) for value in ("2", "\n", "x", "1", "1", "0", "0", "y", "n")] == ["EINVAL"] * 3 + [None] * 6
    assert ask("knob", raw, "1") is None and ask("bind", raw) is None
    assert [ask("knob", raw, value) for value in ("x", "0", "1")] == ["EINVAL", "EBUSY", None]
    assert guest.shell("cat " + knob).strip() == "1"
    assert ask("unbind", raw) is None
    assert ask("knob", raw, "0") is None and ask("bind", raw) is None
    assert [ask("knob", raw, value) for value in ("1", "0")] == ["EBUSY", None]
    assert ask("unbind", raw) is None


@pytest.mark.parametrize("memmap, value, placement", [("device", "1", "self"), ("dram", "0", "other_node")])
def test_both_places_are_proven(guest, ask, name, memmap, value, placement):
    # the memmap that an earlier test put there counts as data
    guest.controller.four_steps("patched", "dax_device", devices=[dict(CYCLED, memmap=memmap, allow_data_loss=True)])
    offline = ask("look", name, NODE)
    assert offline["driver"] == "kmem" and offline["knob"] == value
    assert list(map(int, offline["blocks"])) == offline["wanted"] and len(offline["wanted"]) == 7
    # one reservation, and one piece of memory in it however many blocks there are
    assert [line.split(" : ")[1] for line in offline["resources"] if " : " + name in line] == [name]
    assert len([line for line in offline["resources"] if "kmem" in line]) == 2
    guest.controller.four_steps("patched", "memory_blocks", devices=[dict(CYCLED, zone="movable")])
    online = ask("look", name, NODE)
    reserved = RESERVED if value == "1" else 0
    assert set(map(tuple, online["blocks"].values())) == {("online", reserved)}
    assert online["missing"] - offline["missing"] == reserved * len(online["blocks"])
    facts = guest.module("memmap_facts", gather="blocks").result["ansible_facts"]["memmap"]
    found = {entry["id"]: entry["placement"] for entry in facts["blocks"]}
    assert {found[block] for block in online["wanted"]} == {placement}
    assert facts["conflicts"] == [] and facts["kernel"]["supported"] is True
    assert all(proof["available"] for proof in facts["proofs"].values()), facts["proofs"]
    declared = {"nvdimms": ["0x1"], "namespace": {"name": "cycled", "mode": "devdax"}, "mode": "system-ram", "memmap": memmap}
    said = guest.module("memory_doctor", wanted=[declared])
    assert said.code == 0, said.output
    assert [entry for entry in said.result["findings"] if entry["severity"] == "problem"] == []
    done = guest.module("dax_device", devices=BACK[:1])
    assert done.code == 0, done.output


@pytest.mark.parametrize("value", [1, 0])
def test_many_cycles_leave_nothing_behind(ask, raw, value):
    done = ask("cycles", raw, value, COUNT)
    assert (done["wrong"], done["log"]) == ([], [])
    grown = {name: done["after"][name] - done["before"][name] for name in done["before"]}
    # less than the device's memmap lost once in all cycles together, and two pages of slabs and page tables each time
    assert grown["known"] > -14 * 1024 and grown["SUnreclaim"] < 8 * COUNT and grown["PageTables"] < 8 * COUNT, grown


@pytest.mark.parametrize("value", [1, 0])
def test_a_block_in_the_middle_that_fails_online_and_offline(ask, raw, value):
    seen = ask("failing", raw, value, NODE)
    middle, reserved = str(seen["middle"]), RESERVED * value
    for action, error, reached, before in (("MEM_GOING_ONLINE", "ENOMEM", "online", "offline"), ("MEM_GOING_OFFLINE", "EBUSY", "offline", "online")):
        step = seen[action]
        assert step["errors"] == dict(dict.fromkeys(step["errors"]), **{middle: error})
        assert step["states"] == dict(dict.fromkeys(step["states"], reached), **{middle: before})
        count = 6 if reached == "online" else 1
        assert step["missing"] == count * reserved
        assert (step["again"], step["then"]) == (None, reached)
        assert step["missing then"] == (7 * reserved if reached == "online" else 0)
    assert (seen["bind"], seen["unbind"], seen["left"]) == (None, None, [])
    assert not [line for line in seen["resources"] if line.endswith(" : " + raw)]


@pytest.mark.parametrize("policy", ["offline", "online_movable"])
def test_an_add_that_fails_in_the_middle_is_undone(guest, ask, name, policy):
    """Every so many-th slab allocation fails in turn: the device becomes memory whole, or not at all, and nothing stays either way.

    With the knob on: without it all blocks are added in one call of the kernel's, in which __add_pages leaves the sections that it has added before one fails.
    """
    assert ask("prepare", name) == [None, []]
    guest.shell("echo %s > /sys/devices/system/memory/auto_online_blocks" % policy)
    try:
        done = ask("failing_add", name, "1", 1, 2, 20000)
    finally:
        guest.shell("echo offline > /sys/devices/system/memory/auto_online_blocks")
        ask("release", name)
    assert not done["injected"], "there were allocations left to fail"
    failed = [entry for entry in done["seen"] if entry[2] is None]
    assert failed and len(done["seen"]) > 20
    for number, error, bound, there, left, reserved in done["seen"]:
        assert (left, reserved) == (0, 0), done["seen"]
        assert (bound, there) == ((None, 0) if error else ("kmem", done["blocks"])), done["seen"]
