# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal: what is torn, what is damaged, what it says of a host; locks and claims."""
from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import claim, gate, kernel, lock, plan, states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal


def entries(*events):
    more = {"begun": {"step": "devices"}, "snapshot": {"before": {"x": 1}}}
    return [dict({"event": event, "run": 1, "host": "a"}, **more.get(event, {})) for event in events]


def test_a_journal_cut_anywhere_loses_at_most_its_last_line(tmp_path):
    journal = Journal(str(tmp_path))
    for number in range(3):
        journal.append("begun", "a/b", run=1, step="step%d" % number)
    path = journal.path("a/b")
    with open(path, "rb") as stream:
        whole = stream.read()
    for end in range(len(whole)):
        with open(path, "wb") as stream:
            stream.write(whole[:end])
        kept = whole[:end].count(b"\n")
        assert [entry["step"] for entry in journal.read("a/b")] == ["step%d" % number for number in range(kept)]
        assert bool(journal.torn()) == (not whole[:end].endswith(b"\n") and end > 0)
        journal.append("done", "a/b", run=1)
        assert [entry["event"] for entry in journal.read("a/b")] == ["begun"] * kept + ["done"]


def test_a_damaged_line_is_named(tmp_path):
    journal = Journal(str(tmp_path))
    journal.append("begun", "a", run=1)
    journal.append("done", "a", run=1)
    with open(journal.path("a"), "r+b") as stream:
        stream.write(b"x")
    with pytest.raises(TestbedError, match="line 1 of the journal .* is damaged"):
        journal.read("a")


@pytest.mark.parametrize("host, entry", [
    ("a", {"event": "done", "run": 1}), ("a", {"event": "begun", "host": "a"}), ("a", {"event": "snapshot", "host": "a"}), ("a", {"event": 1, "host": "a"}),
    (None, {"event": "planned", "name": "x", "id": "y"}), (None, {"event": "planned", "name": "x", "id": "y", "what": {}}), (None, {"event": "run"}),
    (None, {"event": "wave_closed", "run": 1, "wave": 1}),
])
def test_an_entry_that_lacks_what_belongs_to_it_is_named(tmp_path, host, entry):
    journal = Journal(str(tmp_path))
    path = tmp_path / ("rollout.jsonl" if host is None else "hosts/a.jsonl")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(entry) + "\n")
    with pytest.raises(TestbedError, match="line 1 of the journal .* is damaged"):
        journal.read(host)


def test_a_plan_that_was_cut_off_is_none(tmp_path):
    """Hosts are worked on only after it, so nothing was done."""
    journal = Journal(str(tmp_path))
    plan.accept(journal, plan.begin(journal, "one", [["a"]], {}), "rollout")
    os.truncate(journal.path(), 30)
    found = plan.begin(journal, "one", [["a"]], {})
    assert (found["new"], found["torn"]) == (True, ["rollout.jsonl"])
    plan.accept(journal, found, "rollout")
    assert [entry["event"] for entry in journal.read()] == ["planned", "run"]


@given(some.lists(some.text(min_size=1, max_size=12), unique=True, max_size=8))
def test_no_two_hosts_share_a_file(names):
    paths = [Journal("/j").path(name) for name in names]
    assert len(set(paths)) == len(names) and all(os.path.dirname(path) == "/j/hosts" for path in paths)


@pytest.mark.parametrize("events, state", [
    ((), "planned"), (("begun",), "interrupted"), (("begun", "snapshot", "begun", "done"), "done"), (("begun", "failed", "rollback_begun"), "interrupted"),
    (("begun", "failed", "rollback_begun", "rolled_back"), "rolled_back"), (("begun", "done", "verified"), "done"),
    (("begun", "done", "rollback_begun", "undone"), "rolled_back"),
    (("begun", "failed", "rollback_begun", "rollback_failed"), "interrupted"), (("begun", "done", "rollback_begun", "undone", "begun"), "interrupted"),
])
def test_states(events, state):
    assert states.state(entries(*events)) == state


def test_the_state_before_is_that_of_this_attempt():
    assert states.before(entries("begun", "snapshot", "begun", "done")) == {"x": 1}
    assert states.before(entries("begun", "snapshot", "begun", "failed", "rolled_back", "begun")) is None


@pytest.mark.parametrize("events, in_service", [
    ([], True), ([("begun", "snapshot")], True), ([("begun", "drain")], False), ([("begun", "drain"), ("begun", "kernel"), ("failed", None)], False),
    ([("begun", "drain"), ("begun", "undrain")], True), ([("begun", "drain"), ("done", None)], True),
    ([("begun", "drain"), ("done", None), ("rollback_begun", None)], True), ([("done", None), ("rollback_begun", None), ("drained", None)], False),
    ([("done", None), ("drained", None), ("undone", None)], True),
])
def test_whether_a_host_is_to_be_drained_before_it_goes_back(events, in_service):
    assert states.in_service([{"event": event, "step": step} for event, step in events]) == in_service


def test_only_what_the_journal_calls_good_is_good():
    told = {"a": entries("begun", "done"), "b": entries("begun", "snapshot", "begun"), "c": entries("failed", "rolled_back"), "e": entries("undone", "begun"),
            "f": entries("drifted")}
    found = gate.judge(["a", "b", "c", "d", "e", "f"], told, 1)
    assert (found["good"], found["unreachable"], found["rolled_back"], found["failed"]) == (["a"], ["b", "d", "e"], ["c"], ["f"])
    assert not found["passed"] and gate.judge(["a", "c"], told, 1, limit=1)["passed"] and not gate.judge(["a", "c"], told, 1, limit=1, earlier=1)["passed"]
    assert gate.judge(["a"], told, 2)["unreachable"] == ["a"]


def test_a_plan_goes_on_or_is_refused(tmp_path):
    journal = Journal(str(tmp_path))
    first = plan.begin(journal, "one", [["a"], ["b"]], {"kernel": []})
    assert first["new"] and first["run"] == 1
    plan.accept(journal, first, "rollout")
    journal.append("begun", "a", run=1, step="kernel")
    again = plan.begin(journal, "one", [["a"], ["b"]], {"kernel": []})
    assert (again["new"], again["run"], again["id"], again["repair"]) == (False, 2, first["id"], ["a"])
    for name, waves, content, told in (("two", [["a"], ["b"]], {"kernel": []}, r"name \(one\)"), ("one", [["a", "b"]], {"kernel": []}, "waves"),
                                       ("one", [["a"], ["b"]], {"kernel": ["x"]}, "kernel")):
        with pytest.raises(TestbedError, match="is of another rollout: it differs in " + told):
            plan.begin(journal, name, waves, content)
    assert plan.back(journal, "one")["waves"] == [["a"]]
    journal.append("wave_closed", run=1, wave=2, passed=True, good_hosts=["a", "b"])
    with pytest.raises(TestbedError, match="has lost what it said of b: "):
        plan.begin(journal, "one", [["a"], ["b"]], {"kernel": []})
    os.truncate(journal.path(), 30)
    with pytest.raises(TestbedError, match="has lost its beginning"):
        plan.begin(journal, "one", [["a"], ["b"]], {"kernel": []})


def test_an_inventory_in_another_order_is_no_other_rollout(tmp_path):
    journal, content = Journal(str(tmp_path)), {"cut": {"canaries": 1, "waves": ["100%"]}}
    plan.accept(journal, plan.begin(journal, "one", [["a"], ["b", "c"]], content), "rollout")
    assert plan.begin(journal, "one", [["c"], ["b", "a"]], content)["waves"] == [["a"], ["b", "c"]]
    for waves, cut in (([["a"], ["b", "d"]], content["cut"]), ([["c"], ["b", "a"]], dict(content["cut"], canaries=["c"]))):
        with pytest.raises(TestbedError, match="is of another rollout: it differs in waves"):
            plan.begin(journal, "one", waves, {"cut": cut})
    # Said in other words, the same waves.
    assert plan.begin(journal, "one", [["a"], ["b", "c"]], {"cut": {"canaries": ["a"], "waves": [2]}})["new"] is False


def test_a_journal_of_another_format_and_one_of_another_host_are_refused(tmp_path):
    journal = Journal(str(tmp_path))
    journal.append("planned", format=99, name="one", id="x", what={"waves": [["a"]]})
    with pytest.raises(TestbedError, match="is of format 99, this version of the collection writes and reads format 1"):
        plan.begin(journal, "one", [["a"]], {})
    journal.append("begun", "a", run=1, step="kernel")
    os.rename(journal.path("a"), journal.path("b"))
    with pytest.raises(TestbedError, match=r"hosts/b\.jsonl holds an entry of host a: "):
        journal.read_hosts()


@pytest.mark.parametrize("waves", [[1], [["a", 2]], ["a"], {"a": []}])
def test_waves_that_are_none_are_a_damaged_line(tmp_path, waves):
    journal = Journal(str(tmp_path))
    journal.append("planned", format=1, name="one", id="x", what={"waves": waves})
    with pytest.raises(TestbedError, match="line 1 of the journal .* is damaged"):
        plan.back(journal, "one")


def test_a_kernel_is_told_from_another_one_of_its_name(tmp_path):
    (tmp_path / "a").mkdir()
    package = tmp_path / "a/linux-image.deb"
    package.write_bytes(b"one")
    first = kernel.identity([str(package)], "")
    package.write_bytes(b"another")
    assert kernel.identity([str(package)], "") != first
    package.unlink()
    assert kernel.identity([str(package)], "key") == ["linux-image.deb"]
    assert (kernel.identity([], "key"), kernel.identity([], None)) == (["key"], [])


def test_one_run_at_a_time(tmp_path):
    lock.take(str(tmp_path), os.getpid(), "it")
    lock.take(str(tmp_path), os.getpid(), "it")
    with pytest.raises(TestbedError, match="it is being worked on by another run"):
        lock.take(str(tmp_path), os.getppid(), "it")
    (tmp_path / "lock.json").write_text(json.dumps(dict(json.loads((tmp_path / "lock.json").read_text()), started=1)))
    lock.take(str(tmp_path), os.getppid(), "it")
    assert sorted(os.listdir(tmp_path)) == ["lock.json"]


def test_a_lock_that_cannot_be_taken_is_said(tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(TestbedError, match=r"cannot write .*/file/lock.json \(ENOTDIR\)"):
        lock.take(str(tmp_path / "file"), os.getpid(), "it")


def test_a_lock_is_given_back_by_its_holder(tmp_path):
    lock.take(str(tmp_path), os.getppid(), "it")
    lock.release(str(tmp_path), os.getpid())
    assert os.listdir(tmp_path) == ["lock.json"]
    lock.release(str(tmp_path), os.getppid())
    lock.release(str(tmp_path), os.getppid())
    assert os.listdir(tmp_path) == []


def test_another_controllers_lock_is_named(tmp_path):
    lock.take(str(tmp_path), os.getpid(), "it")
    path = tmp_path / "lock.json"
    path.write_text(json.dumps(dict(json.loads(path.read_text()), controller="elsewhere", pid=1)))
    with pytest.raises(TestbedError) as raised:
        lock.take(str(tmp_path), os.getpid(), "it")
    assert "process 1 on elsewhere" in raised.value.summary and "remove %s" % path in raised.value.remedy


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x", "started": 1, "boot": "", "controller": ""}'])
def test_a_damaged_lock_is_named(tmp_path, content):
    (tmp_path / "lock.json").write_text(content)
    with pytest.raises(TestbedError, match="the lock .*/lock.json is damaged"):
        lock.take(str(tmp_path), os.getpid(), "it")
    lock.release(str(tmp_path), os.getpid())


def test_a_host_belongs_to_one_rollout(tmp_path):
    host = Host(str(tmp_path))
    assert claim.take(host, "/var/claim", "one", "1", "here") and not claim.take(host, "/var/claim", "one", "1", "here")
    with pytest.raises(TestbedError, match="the host belongs to the rollout one, which here began to work on"):
        claim.take(host, "/var/claim", "two", "2", "there")
    assert not claim.release(host, "/var/claim", "2") and claim.release(host, "/var/claim", "1") and claim.look(host, "/var/claim") is None
