# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Policies held back, the lock, and signals in between."""
from __future__ import annotations

import errno
import json
import os
import signal

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds, lock, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def test_held_and_restored(fresh):
    with holds.auto_online_off(fresh) as policy, holds.autoprobe_off(fresh) as probe:
        assert (policy, probe) == ("online", "1")
        assert fresh.policies() == ("0", "offline")
        assert set(json.loads(fresh.read(holds.NOTES))) == {holds.AUTOPROBE, holds.AUTO_ONLINE}
    assert fresh.policies() == ("1", "online")
    assert not fresh.exists(holds.NOTES)


def test_nothing_is_written_where_nothing_has_to_be_held(boot):
    host = boot("fresh", auto_online="offline")
    with holds.auto_online_off(host) as policy:
        assert policy == "offline"
    assert host.log == []


def test_restored_on_any_error(fresh):
    with pytest.raises(ZeroDivisionError), holds.auto_online_off(fresh):
        raise ZeroDivisionError
    assert fresh.policies() == ("1", "online")


@pytest.mark.parametrize("number", signals.ENDING)
def test_restored_on_a_signal(fresh, number):
    before = [signal.getsignal(other) for other in signals.ENDING]
    with pytest.raises(signals.Interrupted, match="interrupted by %s: what was held back is restored" % number.name):
        with session.changing(fresh), holds.autoprobe_off(fresh), holds.auto_online_off(fresh):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            pytest.fail("the signal came to nothing")
    assert fresh.policies() == ("1", "online")
    assert [signal.getsignal(other) for other in signals.ENDING] == before


def test_leftovers_of_a_killed_run(fresh):
    fresh.put(holds.NOTES, json.dumps({holds.AUTOPROBE: ["1", "0"], holds.AUTO_ONLINE: ["online_movable", "offline"], "/etc/passwd": ["x", "y"]}))
    fresh.put(holds.AUTOPROBE, "0")
    with session.changing(fresh) as repaired:
        assert repaired == ["%s put back to 1, left at 0 by a run that was killed" % holds.AUTOPROBE]
    assert fresh.policies() == ("1", "online"), "a policy that was set again since then is kept"
    assert not fresh.exists(holds.NOTES)
    with session.changing(fresh) as repaired:
        assert repaired == []


def test_a_name_that_a_killed_run_left_with_a_driver(fresh):
    """Broken off between new_id and remove_id: kmem would take the device whenever it is free."""
    fresh.ids.add(("kmem", "dax7.0"))
    remove = "/sys/bus/dax/drivers/kmem/remove_id"
    fresh.put(holds.NOTES, json.dumps({remove: ["dax7.0", "dax7.0"], "/sys/bus/dax/drivers/other/remove_id": ["dax7.0", "dax7.0"],
                                       "/sys/bus/dax/drivers/device_dax/remove_id": ["../x", "x"]}))
    with session.changing(fresh) as repaired:
        assert repaired == ["dax7.0 is not taken by name any more (%s), as a run that was killed had left it" % remove]
    assert fresh.ids == set() and not fresh.exists(holds.NOTES) and [line for line in fresh.log if "remove_id" in line] == [remove + " < dax7.0"]


@pytest.mark.parametrize("rubbish", ["", "{", "[]", "3", '{"a": 1}', "null"])
def test_rubbish_in_the_notes(fresh, rubbish):
    fresh.put(holds.NOTES, rubbish)
    with session.changing(fresh) as repaired:
        assert repaired == []


def test_changed_by_someone_else_meanwhile(fresh):
    with pytest.raises(TestbedError, match="auto_online_blocks was set to online_kernel by someone else while it had to stay at offline: find what sets it"):
        with holds.auto_online_off(fresh):
            fresh.put(holds.AUTO_ONLINE, "online_kernel")
    assert fresh.policies() == ("1", "online_kernel")


def test_what_was_so_before_is_held_all_the_same(boot):
    host = boot("fresh", auto_online="offline")
    with pytest.raises(TestbedError, match="auto_online_blocks was set to online_kernel by someone else while it had to stay at offline"):
        with holds.auto_online_off(host):
            host.put(holds.AUTO_ONLINE, "online_kernel")
    assert host.policies() == ("1", "online_kernel")


def test_kernel_without_the_policy(fresh):
    os.unlink(fresh.path(holds.AUTO_ONLINE))
    with pytest.raises(TestbedError, match="this kernel has no .*auto_online_blocks"):
        with holds.auto_online_off(fresh):
            pytest.fail("nothing was held")


def test_second_run_waits_then_refuses(fresh):
    other = Host(fresh.root)
    with session.changing(fresh):
        with pytest.raises(TestbedError, match=r"another run \(process %d\) is changing.*0.2 s of waiting" % os.getpid()):
            with session.changing(other, timeout=0.2):
                pytest.fail("two at once")
    with session.changing(other, timeout=0.2):
        pass


def test_check_mode_locks_nothing(fresh):
    with session.changing(fresh), session.changing(fresh, check_mode=True):
        pass


def test_lock_is_no_way_to_another_file(fresh, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="ascii")
    os.symlink(victim, fresh.path(lock.LOCK))
    with pytest.raises(TestbedError, match=r"cannot open the lock .*\(ELOOP\)"):
        with lock.exclusive(fresh):
            pytest.fail("followed a link")
    assert victim.read_text(encoding="ascii") == "precious"


def test_a_lock_that_cannot_be_written(fresh, monkeypatch):
    def full(*unused):
        raise OSError(errno.ENOSPC, "full")
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(TestbedError, match=r"cannot write the lock /run/memlab/lock \(ENOSPC\)"), lock.exclusive(fresh):
        pytest.fail("went on")


def test_undo_goes_backwards_and_on():
    done = []

    def fail():
        raise TestbedError("no way back")
    undo = session.Undo()
    undo.add("first", done.append, 1)
    undo.add("second", fail)
    undo.add("third", done.append, 3)
    failure, later = TestbedError("it failed", details=["first of all"]), TestbedError("it failed again")
    undo.into(failure)
    assert failure.details == ["first of all", "undone: third", "could not undo: second: no way back", "undone: first"]
    assert (done, failure.changed) == ([3, 1], True)
    undo.into(later)
    assert (later.details, later.changed) == ([], False)
