# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong with memory blocks: what the user reads, what is left, and that a second run puts it right. A device of eight blocks and one of four."""
from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import time

import pytest

FIRST, SECOND = {"memory_devices": ["0x1"]}, {"memory_devices": ["0x2"]}
ENOMEM, EBUSY = 12, 16
GOING_ONLINE, GOING_OFFLINE = "MEM_GOING_ONLINE", "MEM_GOING_OFFLINE"


def provide(guest):
    """The devices as system RAM, nothing online."""
    for module, options in (("cxl_region", {"regions": [FIRST, SECOND]}),
                            ("dax_device", {"devices": [dict(FIRST, memmap="device"), dict(SECOND, memmap="dram")]})):
        done = guest.module(module, **options)
        assert done.code == 0, done.output


@pytest.fixture(scope="module", name="guest")
def provisioned(open_guest):
    guest = open_guest("faults")
    provide(guest)
    return guest


@pytest.fixture(scope="module", name="ids")
def blocks_of_the_second(controller, guest):
    state = controller.state(guest.name)
    entry = state["devices"]["0x2"]
    return list(range(entry["start"] // state["block_size"], (entry["start"] + entry["size"]) // state["block_size"]))


@pytest.fixture(autouse=True)
def nothing_online(request):
    """Before each test all is offline, whatever the one before met with."""
    guest = request.getfixturevalue("guest")
    if guest.online():
        done = guest.memory_blocks(dict(FIRST, state="offline"), dict(SECOND, state="offline"))
        assert done.code == 0, done.output


def movable(blocks):
    return dict.fromkeys(blocks, "Movable")


@pytest.mark.parametrize("k", [1, 3, 4])
def test_the_kth_block_fails(guest, ids, k):
    """Online, then the rest of it; offline, then the rest of it."""
    with guest.failing(GOING_ONLINE, ENOMEM, after=(ids[k - 2], "online") if k > 1 else None):
        done = guest.memory_blocks(SECOND, pause=2 if k > 1 else 0)
    answer = guest.refusal(done, "memory block %d could not be put online in the movable zone (ENOMEM)" % ids[k - 1], "has %d of 4 blocks online now" % (k - 1),
                           "blocks done before stay as they are")
    assert answer["changed"] is (k > 1)
    assert guest.online() == movable(ids[:k - 1])
    again = guest.memory_blocks(SECOND)
    assert [result["id"] for result in again.result["devices"][0]["results"]] == ids[k - 1:]
    assert guest.online() == movable(ids)

    going = ids[::-1]
    with guest.failing(GOING_OFFLINE, EBUSY, after=(going[k - 2], "offline") if k > 1 else None):
        done = guest.memory_blocks(dict(SECOND, state="offline"), pause=2 if k > 1 else 0)
    guest.refusal(done, "memory block %d could not be put offline (EBUSY)" % going[k - 1], "has %d of 4 blocks online now" % (5 - k))
    assert guest.online() == movable(sorted(going[k - 1:]))
    again = guest.memory_blocks(dict(SECOND, state="offline"))
    assert [result["id"] for result in again.result["devices"][0]["results"]] == going[k - 1:]
    assert guest.online() == {}


def test_rollback(guest, ids):
    with guest.failing(GOING_ONLINE, ENOMEM, after=(ids[1], "online")):
        done = guest.memory_blocks(SECOND, pause=2, on_failure="rollback")
    answer = guest.refusal(done, "(ENOMEM)", "undone, in this order: memory block %d, %d" % (ids[1], ids[0]))
    assert guest.online() == {}
    assert (answer["changed"], [(entry["id"], entry["errno"]) for entry in answer["devices"][0]["undone"]]) == (False, [(ids[1], None), (ids[0], None)])

    with guest.failing(GOING_ONLINE, ENOMEM, after=(ids[1], "online")), guest.failing(GOING_OFFLINE, EBUSY):
        done = guest.memory_blocks(SECOND, pause=2, on_failure="rollback")
    answer = guest.refusal(done, "could not undo: memory block %d does not go offline (EBUSY), it stays online" % ids[1])
    assert answer["changed"] is True
    assert guest.online() == movable(ids[:2])
    assert guest.memory_blocks(SECOND).code == 0
    assert guest.online() == movable(ids)

    with guest.failing(GOING_OFFLINE, EBUSY, after=(ids[2], "offline")):
        done = guest.memory_blocks(dict(SECOND, state="offline"), pause=2, on_failure="rollback")
    guest.refusal(done, "undone, in this order: memory block %d, %d" % (ids[2], ids[3]))
    assert guest.online() == movable(ids)


def test_a_line_in_the_kernels_log_ends_it(guest, ids, programs):
    """A process of a control group that is out of memory."""
    with guest.beside(programs.out_of_memory, ids[0]):
        done = guest.memory_blocks(SECOND, pause=6, health={"kernel_log": True})
    said = guest.refusal(done, "unhealthy after memory block ", ": the kernel's log says:", "out of memory: Killed process")["msg"]
    # the log is looked at after each block: the first one, or one of the next where the machine is slow
    last = int(re.search(r"unhealthy after memory block (\d+)", said)[1])
    assert guest.online() == movable(range(ids[0], last + 1)) and last < ids[-1]
    assert guest.memory_blocks(SECOND, health={"kernel_log": True}).code == 0
    assert guest.online() == movable(ids)


def test_pages_of_the_kernel_keep_blocks_online(guest, ids, programs):
    assert guest.memory_blocks(dict(SECOND, zone="kernel")).code == 0
    with guest.beside(programs.pipes, 1):
        foretold = guest.memory_blocks(dict(SECOND, state="offline"), check=True).result["devices"][0]["unmovable"]
        done = guest.memory_blocks(dict(SECOND, state="offline"))
        left = guest.online()
        assert left
    stuck = max(left)
    answer = guest.refusal(done, "memory block %d could not be put offline (EBUSY): it holds pages that cannot be moved away" % stuck,
                           "memory block %d holds " % stuck, "pages of kernel memory", "the kernel gave up at 0x", "unmovable page (kernel memory)")
    found = answer["devices"][0]["unmovable"]
    assert found[0]["id"] == stuck and int(found[0]["at"], 16) >> 27 == stuck
    for entries in (foretold, found):
        assert sum(entry["pages"].get("kernel memory", 0) for entry in entries) >= 32 << 20 >> 12
    again = guest.memory_blocks(dict(SECOND, state="offline"))
    assert again.code == 0, again.output
    assert guest.online() == {}


def test_pinned_pages_do_not_last_for_ever(guest, ids, programs):
    assert guest.memory_blocks(SECOND).code == 0
    with guest.beside(programs.pinned, 1):
        began = time.monotonic()
        done = guest.memory_blocks(dict(SECOND, state="offline"), block_timeout=4)
        assert time.monotonic() - began < 300
        left = guest.online()
    stuck = max(left)
    answer = guest.refusal(done, "memory block %d could not be put offline (ETIMEDOUT): its pages stay busy" % stuck, "migration failure (pinned)")
    assert answer["devices"][0]["results"][-1]["errno"] == "ETIMEDOUT"
    assert left[stuck] == "Movable"
    said = guest.module("memory_doctor", wanted=[])
    assert said.code == 0, said.output
    assert [entry["subject"] for entry in said.result["findings"] if entry["finding"] == "pages_busy"] == [SECOND]
    assert guest.memory_blocks(dict(SECOND, state="offline")).code == 0
    assert guest.online() == {}


def test_killed_in_the_middle(guest, ids, programs):
    with guest.beside(programs.once_online, ids[1], "kill -9 $(cat /run/memlab/lock)"):
        done = guest.memory_blocks(SECOND, pause=5)
    # nobody has to wait for the lock of a dead run
    guest.shell("flock -n /run/memlab/lock true")
    assert done.code not in (0, 250), done.output
    assert guest.online() == movable(ids[:2])
    assert guest.memory_blocks(SECOND).code == 0
    assert guest.online() == movable(ids)


def test_ended_in_the_middle_with_rollback(guest, ids, programs):
    with guest.beside(programs.once_online, ids[1], "kill -TERM $(cat /run/memlab/lock)"):
        done = guest.memory_blocks(SECOND, pause=5, on_failure="rollback")
    guest.refusal(done, "interrupted by SIGTERM", "undone, in this order: memory block %d, %d" % (ids[1], ids[0]))
    assert guest.online() == {}


def test_two_runs_at_once(guest, ids):
    """The second waits for the first, and finds everything done."""
    runs = [guest.start_memory_blocks(SECOND, pause=1) for unused in range(2)]
    ended = [guest.controller.finish(run) for run in runs]
    assert [done.code for done in ended] == [0, 0], [done.output for done in ended]
    assert sorted("CHANGED" in done.output for done in ended) == [False, True]
    assert guest.online() == movable(ids)


def descendants(pid):
    """Process ids below a process, asked of /proc."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, rest = path.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)
            parents[int(path.parent.name)] = (int(rest.split()[1]), name.split("(", 1)[1])
    found, last = {}, {pid}
    while last:
        last = {child for child, (parent, name) in parents.items() if parent in last}
        found.update((child, parents[child][1]) for child in last)
    return found


def test_ssh_is_cut_in_the_middle(guest, ids):
    run = guest.start_memory_blocks(SECOND, pause=4, settings={"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o ControlPath=none"})
    guest.shell("for turn in $(seq 1200); do ! grep -q online /sys/devices/system/memory/memory%d/state || exit 0; sleep 0.1; done; exit 1" % ids[0])
    connections = [pid for pid, name in descendants(run.pid).items() if name == "ssh"]
    assert connections
    for pid in connections:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    done = guest.controller.finish(run)
    assert done.code not in (0, 250) and "UNREACHABLE" in done.output, done.output
    again = guest.memory_blocks(SECOND)
    assert again.code == 0, again.output
    assert guest.online() == movable(ids)
    assert guest.left_behind() == ["lock"]


def test_not_root(guest):
    nobody = dict(ansible_become=True, ansible_become_method="su", ansible_become_user="nobody", ansible_become_flags="-s /bin/sh")
    done = guest.memory_blocks(SECOND, variables=nobody)
    guest.refusal(done, "only root can read and change this: use become: true")
    assert guest.online() == {}
