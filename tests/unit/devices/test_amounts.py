# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks online and offline, in the amounts declared."""
from __future__ import annotations

import errno
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, signals, stepwise
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block

MIB = 1 << 20
STATE = "/sys/devices/system/memory/memory%d/state"


def device(serial="1", **more):
    return dict(more, memory_devices=[serial])


def written(host):
    return [line.replace("/sys/devices/system/memory/memory", "").replace("/state <", "") for line in host.log]


def test_four_steps(bound):
    wanted = [device("1"), device("2", zone="kernel", count="384M")]
    assert stepwise.apply(bound, wanted, check_mode=True)[0] is True
    assert bound.log == []
    changed, reports, before = stepwise.apply(bound, wanted)
    assert changed is True
    assert (before[0]["online"], before[1]["online"]) == (4, 0)
    assert written(bound) == ["%d online_movable" % block for block in range(342, 346)] + ["%d online_kernel" % block for block in (370, 371, 372)]
    assert [(report["blocks"], report["online"], report["bytes_online"], report["zones"], report["nodes"]) for report in reports] == [
        (8, 8, 1024 * MIB, {"movable": 8}, [1]), (8, 3, 384 * MIB, {"kernel": 3}, [2])]
    result = reports[1]["results"][0]
    assert result.pop("milliseconds") >= 0
    assert result == {"id": 370, "action": "online_kernel", "errno": None, "state": "online", "zone": "kernel"}
    assert stepwise.apply(bound, wanted)[0] is False
    assert stepwise.apply(bound, wanted, check_mode=True)[0] is False


def test_check_mode_says_what_would_be(bound):
    planned = stepwise.apply(bound, [device(count=2, zone="kernel")], check_mode=True)[1][0]
    assert (planned["online"], planned["zones"]) == (2, {"kernel": 2})
    assert planned["results"] == [{"id": block, "action": word} for block, word in (
        (341, "offline"), (340, "offline"), (338, "offline"), (338, "online_kernel"), (339, "offline"), (339, "online_kernel"))]


def test_surplus_goes_from_the_end(bound):
    stepwise.apply(bound, [device(count="2")])
    assert written(bound) == ["341 offline", "340 offline"]


def test_offline(bound):
    assert stepwise.apply(bound, [device(state="offline")])[1][0]["online"] == 0
    assert bound.online() == {}
    assert stepwise.apply(bound, [device(state="offline")])[0] is False


def test_other_ways_to_name_blocks(bound):
    changed, reports = stepwise.apply(bound, [{"node": 1}, {"start": "0xb90000000", "size": "256M"}])[:2]
    assert changed is True
    assert (reports[0]["node"], reports[0]["online"]) == (1, 8)
    assert (reports[1]["start"], reports[1]["online"], reports[1]["nodes"]) == ("0xb90000000", 2, [2])


@pytest.mark.parametrize("gone", [False, True])
def test_memory_that_a_driver_left_behind_may_be_moved_to_another_zone(bound, gone):
    bound.leave_behind("dax0.0", gone)
    assert stepwise.apply(bound, [{"start": "0xa90000000", "size": "512M", "zone": "kernel"}])[0] is True
    assert {bound.online()[number] for number in range(338, 342)} == {"Normal"}


@pytest.mark.parametrize("entry, said", [
    (device("9"), "no CXL memory device with serial 0x9: there are"),
    (device(count="100M"), "100M is not a multiple of this host's memory block, 128M"),
    (device(count="9"), "9 blocks are wanted, and it has 8 of 128M each"),
    (device(count="2G"), "16 blocks are wanted, and it has 8"),
    (device(count="-1"), "is not a size"),
    (device(count="most"), "is not a size"),
    (device(count="101%"), "101% is more than there is"),
    (device(count="1%"), "1% of its 8 blocks of 128M is less than one block"),
    (device(count="half%"), "is not a share, such as 50%"),
    (device(state="offline", count="9"), "9 blocks are wanted, and it has 8"),
    ({"node": 7}, "there is no memory node 7"),
    ({"start": "0xb90000000", "size": "100M"}, "does not begin and end at memory blocks, which are 128M each"),
    ({"start": "0xb90000001", "size": "128M"}, "does not begin and end"),
    ({"start": "there", "size": "128M"}, "is not an address"),
    ({"start": "0xb90000000", "size": "2G"}, "there is no memory block 378"),
    ({"start": "0", "size": "4096T"}, "more memory than any machine has"),
    ({"start": "0xb90000000"}, "start and size go together"),
    ({"node": 1, "size": "128M"}, "start and size go together"),
    ({"node": 1, "memory_devices": ["1"]}, "name blocks in one way"),
    ({}, "name blocks in one way"),
    ({"node": 0}, "is online in zone .* and no dax device brought it: it is not moved to the movable zone"),
    ({"node": 0, "count": "0"}, r"node 0: memory block [0-9]+ is online in zone .* and no dax device brought it: it is not taken offline for there to be 0"),
    ({"start": "0x40000000", "size": "1G", "zone": "kernel", "count": "0"}, "no dax device brought it: it is not taken offline for there to be 0"),
    ({"start": "0x40000000", "size": "1G", "zone": "kernel", "count": "50%"}, "no dax device brought it: it is not taken offline for there to be 4"),
])
def test_refusals_change_nothing(bound, entry, said):
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=said):
            stepwise.apply(bound, [device("2"), entry] if entry.get("start") is None else [entry], check_mode)
    assert bound.log == []


def test_boot_memory_goes_offline_where_that_is_said(bound):
    changed, reports = stepwise.apply(bound, [{"start": "0x40000000", "size": "256M", "state": "offline"}])[:2]
    assert (changed, reports[0]["online"]) == (True, 0)
    assert stepwise.apply(bound, [{"node": 1, "count": "2"}])[1][0]["online"] == 2


def test_a_block_meant_twice(bound):
    with pytest.raises(TestbedError, match="memory block 338 is meant twice, by memory device serial 0x1 .* and by node 1"):
        stepwise.apply(bound, [device(), {"node": 1}])


def test_device_without_kmem(fresh, bound):
    with pytest.raises(TestbedError, match="no region is made of"):
        stepwise.apply(fresh, [device()])
    assert stepwise.apply(fresh, [device(count="4")], check_mode=True)[0] is True
    assert stepwise.apply(fresh, [device(state="offline")], check_mode=True)[0] is False
    bound.write("/sys/bus/dax/drivers/kmem/unbind", "dax1.0")
    with pytest.raises(TestbedError, match="is not system RAM: its dax device is with no driver: give it to kmem"):
        stepwise.apply(bound, [device("2")])
    assert stepwise.apply(bound, [device("2", count="4")], check_mode=True)[0] is True


@pytest.mark.parametrize("k", [0, 3, 7])
def test_a_block_that_refuses_stops_the_call(bound, k):
    bound.faults[STATE % (370 + k)] = [errno.ENOMEM]
    with pytest.raises(online.StoppedAtBlock) as caught:
        stepwise.apply(bound, [device("2")])
    error = caught.value
    assert error.summary == "memory device serial 0x2 (0000:41:00.0): memory block %d could not be put online in the movable zone (ENOMEM)" % (370 + k)
    assert error.details == ["memory device serial 0x2 (0000:41:00.0) has %d of 8 blocks online now; blocks done before stay as they are" % k]
    assert [result["errno"] for result in error.results[0]["results"]] == [None] * k + ["ENOMEM"]
    assert error.results[0]["results"][-1]["state"] == "offline"
    assert stepwise.apply(bound, [device("2")])[1][0]["online"] == 8


def test_somebody_else_was_faster(bound):
    bound.faults[STATE % 370] = [errno.EINVAL]
    bound.put(STATE % 370, "online")
    bound.put("/sys/devices/system/memory/memory370/valid_zones", "Movable")
    results = online.take(bound, [online.Step(370, "online_movable")])
    assert (results[0]["errno"], results[0]["state"]) == (None, "online")


def test_the_kernel_said_yes_and_did_not(bound):
    bound.hooks[STATE % 370] = lambda: bound.put(STATE % 370, "offline") or bound.put("/sys/devices/system/memory/memory370/valid_zones", "Normal Movable")
    with pytest.raises(online.StoppedAtBlock, match="memory block 370 was put online in the movable zone without an error, and reads back offline"):
        stepwise.apply(bound, [device("2", count=1)])


def test_a_block_that_never_ends(bound):
    bound.hooks[STATE % 341] = lambda: time.sleep(5)
    real = bound._change_block
    bound._change_block = lambda number, word: None if number == 341 else real(number, word)
    began = time.monotonic()
    with pytest.raises(online.StoppedAtBlock, match=r"memory block 341 could not be put offline \(ETIMEDOUT\): its pages stay busy"):
        stepwise.apply(bound, [device(state="offline")], manner=stepwise.Manner(0.2))
    assert time.monotonic() - began < 4


def test_the_clock_is_per_block(bound):
    for block in range(338, 342):
        bound.hooks[STATE % block] = lambda: time.sleep(0.6)
    assert stepwise.apply(bound, [device(state="offline")], manner=stepwise.Manner(2.0))[1][0]["online"] == 0


def blocks(states):
    return [Block(number, "offline" if state is None else "online", () if state is None else (state,), ()) for number, state in enumerate(states)]


def after(states, steps):
    now = dict(enumerate(states))
    for step in steps:
        assert (now[step.block] is None) == (step.word != "offline"), "writing the state that it has"
        now[step.block] = {"offline": None, "online_movable": "Movable", "online_kernel": "Normal", "online": "any"}[step.word]
    return list(now.values())


STATES = st.lists(st.sampled_from([None, "Normal", "DMA32", "Movable", "none"]), max_size=12)


@given(STATES, st.data(), st.sampled_from(["movable", "kernel"]))
def test_any_plan_ends_as_wanted_and_moves_no_block_without_need(states, data, zone):
    amount = data.draw(st.integers(0, len(states)))
    steps = online.plan(blocks(states), amount, zone)
    ended = after(states, steps)
    assert [online.zone_kind(state) for state in ended if state is not None] == [zone] * amount
    assert online.plan(blocks(ended), amount, zone) == []
    moved = {step.block for step in steps}
    assert not [number for number in moved if online.zone_kind(states[number]) == zone and online.zone_kind(ended[number]) == zone]
    online_order = [step.block for step in steps if step.word != "offline"]
    assert online_order == sorted(online_order)


@given(STATES, st.data())
def test_without_a_zone_what_is_online_stays(states, data):
    amount = data.draw(st.integers(0, len(states)))
    ended = after(states, online.plan(blocks(states), amount))
    assert sum(state is not None for state in ended) == amount


@given(st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.none(), st.booleans()), st.integers(0, 1 << 20))
def test_count_is_a_number_of_blocks_or_a_clean_error(junk, available):
    try:
        count = amounts.parse_count(junk, available, 128 * MIB, "it")
    except TestbedError as exc:
        assert exc.summary.startswith("it: ") and "\n" not in exc.summary
    else:
        assert 0 <= count <= available


def test_alarm_outside_a_call_is_silent():
    with signals.Alarm(0.05):
        time.sleep(0.12)
