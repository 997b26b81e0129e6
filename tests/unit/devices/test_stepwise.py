# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shares, order, pauses, conditions and rollback."""
from __future__ import annotations

import errno
import os
import signal
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, session, stepwise
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block

STATE = "/sys/devices/system/memory/memory%d/state"
ZONES = "/sys/devices/system/memory/memory%d/valid_zones"
KERNEL_LINE = "4,%d,1000,-;WARNING: CPU: 0 PID: 1 at mm/memory_hotplug.c:1 ffff888110400000\n"


def device(serial="2", **more):
    return dict(more, memory_devices=[serial])


def written(host):
    return [line.replace("/sys/devices/system/memory/memory", "").replace("/state <", "") for line in host.log]


def say(host, line):
    with open(host.path("/dev/kmsg"), "a", encoding="ascii") as stream:
        stream.write(line)


@pytest.fixture(name="logging")
def give_a_log(bound):
    bound.put("/dev/kmsg", "4,1,1,-;WARNING: of long ago")
    return bound


@pytest.mark.parametrize("share, count", [("50%", 4), ("100%", 8), ("12.5%", 1), ("99%", 7), ("0%", 0), ("62.4 %", 4)])
def test_a_share_is_rounded_down(bound, share, count):
    assert stepwise.apply(bound, [device(count=share)])[1][0]["online"] == count


@given(st.integers(0, 100), st.integers(0, 1 << 20))
def test_no_share_is_more_than_was_asked_for(share, available):
    try:
        count = amounts.parse_count("%d%%" % share, available, 1 << 27, "it")
    except TestbedError as exc:
        assert "less than one block" in exc.summary and 0 < share * available < 100
    else:
        assert count * 100 <= share * available < (count + 1) * 100


@pytest.mark.parametrize("order, online_now", [(None, [370, 371]), ("ascending", [370, 371]), ("descending", [377, 376])])
def test_order_says_which_blocks_too(bound, order, online_now):
    stepwise.apply(bound, [device(count="2", order=order)])
    assert written(bound) == ["%d online_movable" % block for block in online_now]


@pytest.mark.parametrize("order, gone", [(None, [341]), ("descending", [341]), ("ascending", [338])])
def test_some_offline(bound, order, gone):
    """Four of eight are online: five offline means one more."""
    wanted = [device("1", state="offline", count="5", order=order)]
    assert stepwise.apply(bound, wanted, check_mode=True)[1][0]["online"] == 3
    assert stepwise.apply(bound, wanted)[1][0]["online"] == 3
    assert written(bound) == ["%d offline" % block for block in gone]
    assert stepwise.apply(bound, wanted)[0] is False
    assert stepwise.apply(bound, [device("1", state="offline", count="2")])[0] is False


STATES = st.lists(st.sampled_from([None, "Normal", "Movable"]), max_size=12)


@given(STATES, st.data(), st.booleans())
def test_offline_plans_put_nothing_online(states, data, descending):
    found = [Block(number, "offline" if state is None else "online", () if state is None else (state,), ()) for number, state in enumerate(states)]
    amount = data.draw(st.integers(0, len(states)))
    steps = online.plan_offline(found, amount, descending)
    assert {step.word for step in steps} <= {"offline"}
    assert states.count(None) + len(steps) == max(amount, states.count(None))
    assert [step.block for step in steps] == sorted((step.block for step in steps), reverse=descending)


@given(STATES, st.data(), st.sampled_from(["movable", "kernel"]))
def test_descending_is_ascending_seen_from_the_other_end(states, data, zone):
    def found(order):
        return [Block(number, "offline" if state is None else "online", () if state is None else (state,), ()) for number, state in enumerate(order)]
    amount = data.draw(st.integers(0, len(states)))
    mirrored = [online.Step(len(states) - 1 - step.block, step.word) for step in online.plan(found(states[::-1]), amount, zone)]
    assert online.plan(found(states), amount, zone, descending=True) == mirrored


@pytest.mark.parametrize("k", [0, 3, 7])
def test_rollback_undoes_exactly_this_call(bound, k):
    before = bound.online()
    bound.faults[STATE % (370 + k)] = [errno.ENOMEM]
    with pytest.raises(TestbedError) as caught:
        stepwise.apply(bound, [device("1", zone="kernel"), device()], manner=stepwise.Manner(on_failure="rollback"))
    assert bound.online() == before
    error = caught.value
    assert error.changed is False
    assert [report["changed"] for report in error.results] == [False, False]
    assert [report["online"] for report in error.results] == [4, 0]
    order = list(range(370 + k - 1, 369, -1)) + list(range(345, 337, -1))
    assert "undone, in this order: memory block %s" % ", ".join(map(str, order)) in error.details
    assert [(result["id"], result["action"]) for result in error.results[0]["undone"]][-2:] == [(338, "offline"), (338, "online_movable")]


def test_what_cannot_be_undone_is_said(bound):
    bound.faults[STATE % 373] = [errno.ENOMEM]
    bound.faults[STATE % 371] = [0, errno.EBUSY]
    with pytest.raises(TestbedError) as caught:
        stepwise.apply(bound, [device()], manner=stepwise.Manner(on_failure="rollback"))
    error = caught.value
    assert "could not undo: memory block 371 does not go offline (EBUSY), it stays online" in error.details
    assert "undone, in this order: memory block 372, 370" in error.details
    assert (error.changed, error.results[0]["online"]) == (True, 1)
    assert stepwise.apply(bound, [device()])[1][0]["online"] == 8


@pytest.mark.parametrize("on_failure, left", [("stop", 3), ("rollback", 0)])
def test_a_signal_between_blocks(bound, on_failure, left):
    bound.hooks[STATE % 372] = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(TestbedError, match="interrupted by SIGTERM") as caught, session.changing(bound):
        stepwise.apply(bound, [device()], manner=stepwise.Manner(on_failure=on_failure))
    assert caught.value.changed is (left > 0)
    assert [number for number in bound.online() if number >= 370] == list(range(370, 370 + left))
    assert [(result["id"], result["errno"]) for result in caught.value.results[0]["results"]][-1] == (372, None)


def test_pause_is_between_blocks_only(bound):
    paused = []
    bound.pause = paused.append
    stepwise.apply(bound, [device("1", count="2", zone="kernel"), device(count="1")], manner=stepwise.Manner(pause=1.5))
    assert paused == [1.5] * 4  # 341 and 340 offline, 338 and 339 moved, 370


def test_memory_that_must_stay(bound):
    with pytest.raises(TestbedError, match="unhealthy before the first memory block: DRAM can give .* MiB, and 1048576.0 MiB must stay: free memory"):
        stepwise.apply(bound, [device()], manner=stepwise.Manner(health={"free_memory": "1T"}))
    assert bound.log == []
    stepwise.apply(bound, [device(count="1")], manner=stepwise.Manner(health={"free_memory": "1M"}))


def test_a_block_that_lasts_too_long(bound):
    bound.hooks[STATE % 371] = lambda: time.sleep(1)
    with pytest.raises(TestbedError, match=r"unhealthy after memory block 371: it took \d+\.\d{3} s, at most 0.5 s are allowed") as caught:
        stepwise.apply(bound, [device()], manner=stepwise.Manner(health={"block_seconds": 0.5}))
    assert caught.value.results[0]["online"] == 2


def test_a_line_of_trouble_in_the_kernels_log(logging):
    manner = stepwise.Manner(health={"kernel_log": True})
    assert stepwise.apply(logging, [device(count="1")], manner=manner)[0] is True
    logging.hooks[STATE % 371] = lambda: say(logging, "30,2,1,-;WARNING: by a service\n6,3,1,-;fine\n")
    logging.hooks[STATE % 373] = lambda: say(logging, KERNEL_LINE % 4)
    with pytest.raises(TestbedError, match=r"unhealthy after memory block 373: the kernel's log says: WARNING: .*hotplug.c:1 \[address\]") as caught:
        stepwise.apply(logging, [device()], manner=manner)
    assert caught.value.results[0]["online"] == 4
    assert stepwise.apply(logging, [device()], manner=manner)[1][0]["online"] == 8


def test_no_log_no_condition_on_it(bound):
    with pytest.raises(TestbedError, match="cannot read /dev/kmsg"):
        stepwise.apply(bound, [device()], manner=stepwise.Manner(health={"kernel_log": True}))
    assert bound.log == []


@pytest.mark.parametrize("manner, said", [
    ({"timeout": 0}, "block_timeout: 0 is not a number of seconds above 0"),
    ({"timeout": float("nan")}, "block_timeout: nan is not"),
    ({"timeout": float("inf")}, "block_timeout: inf is not"),
    ({"pause": -1}, "pause: -1 is not a number of seconds from 0"),
    ({"health": {"block_seconds": 0}}, "health: block_seconds: 0 is not"),
    ({"health": {"free_memory": "much"}}, "health: free_memory is not a size: 'much'"),
    ({"on_failure": "cry"}, "on_failure: 'cry' is neither stop nor rollback"),
])
def test_manners_that_make_no_sense(manner, said):
    with pytest.raises(TestbedError, match=said):
        stepwise.Manner(**manner)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_rollback_from_any_failure(bound, data):
    """Whatever fails when: everything is as it was, or it is said what is not."""
    bound.faults.clear()
    before = bound.online()
    for block in range(338, 346):
        bound.faults[STATE % block] = data.draw(st.lists(st.sampled_from([0, 0, 0, errno.EBUSY]), max_size=3))
    wanted = [device("1", zone=data.draw(st.sampled_from(["movable", "kernel"])), count=data.draw(st.integers(0, 8)),
                     order=data.draw(st.sampled_from(["ascending", "descending"])))]
    try:
        stepwise.apply(bound, wanted, manner=stepwise.Manner(on_failure="rollback"))
    except TestbedError as exc:
        assert exc.changed == (bound.online() != before)
        assert exc.changed == any(line.startswith("could not undo") for line in exc.details)
    else:
        assert stepwise.apply(bound, wanted)[0] is False
    bound.faults.clear()
    stepwise.apply(bound, wanted)
    assert stepwise.apply(bound, wanted)[0] is False
