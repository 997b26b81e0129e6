# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said while a rollout goes on, and at its end."""
from __future__ import annotations

import json
import types

import pytest
from ansible import constants

from ansible_collections.memlab.testbed.plugins.callback.rollout import CallbackModule
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.progress import Progress

PLAN = {"name": "lab", "waves": [["a"], ["b", "c", "d"]]}


class Clock:
    """Seconds that pass when the test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


def verdict(passed=True, **words):
    found = dict({"good": [], "failed": [], "unreachable": [], "rolled_back": []}, **words)
    return dict(found, passed=passed, message="counted")


@pytest.fixture(name="clock")
def make_clock():
    return Clock()


@pytest.fixture(name="progress")
def begun(clock):
    made = Progress(clock)
    made.opened(PLAN)
    return made


def test_a_line_for_each_host_and_wave_with_what_is_left(progress, clock):
    assert progress.event("a", "begun") is None and progress.event("a", "snapshot") is None
    clock.now += 100
    assert progress.event("a", "done") == "a: good, 0:01:40; 1 of 4 hosts, about 0:05:00 to go"
    assert progress.closed(1, verdict(good=["a"])) == "wave 1 passed: counted, about 0:05:00 to go"
    for host in "bc":
        progress.event(host, "begun")
    clock.now += 200
    assert progress.event("b", "done") == "b: good, 0:03:20; 2 of 4 hosts, about 0:05:00 to go"
    assert progress.event("c", "rolled_back") == "c: rolled back, 0:03:20; 3 of 4 hosts, about 0:01:40 to go"
    assert progress.closed(2, verdict(False, good=["b"], rolled_back=["c"], unreachable=["d"])) == "wave 2 did not pass: counted"
    assert progress.summary() == {
        "name": "lab", "hosts": 4, "outcomes": {"good": 2, "rolled back": 1, "unreachable": 1}, "untouched": 0, "bad": {"c": "rolled back", "d": "unreachable"},
        "seconds": 300.0, "waves": [
            {"wave": 1, "passed": True, "good": 1, "failed": [], "unreachable": [], "rolled_back": []},
            {"wave": 2, "passed": False, "good": 1, "failed": [], "unreachable": ["d"], "rolled_back": ["c"]}]}


def test_hosts_of_other_controllers_are_in_the_summary(progress):
    """Only the gate speaks of them."""
    progress.closed(1, verdict(good=["a"]))
    progress.closed(2, verdict(False, good=["b"], failed=["c"], rolled_back=["d"]))
    found = progress.summary()
    assert (found["outcomes"], found["untouched"]) == ({"failed": 1, "good": 2, "rolled back": 1}, 0)
    assert found["bad"] == {"c": "failed", "d": "rolled back"}


def test_what_was_repaired_and_then_done_is_good(progress):
    assert progress.event("a", "undone") == "a: brought back, 0:00:00; 0 of 4 hosts"
    progress.closed(0, verdict(good=["a"]), "undone")
    assert progress.summary()["outcomes"] == {"brought back": 1} and progress.summary()["bad"] == {}
    progress.closed(1, verdict(good=["a"]), "done")
    assert progress.summary()["outcomes"] == {"good": 1}


def test_what_is_brought_back_took_its_time_and_is_no_host_less_to_go(progress, clock):
    for host in "ab":
        progress.event(host, "rollback_begun")
    clock.now += 30
    assert progress.event("a", "undone") == "a: brought back, 0:00:30; 0 of 4 hosts"
    progress.event("a", "begun")
    clock.now += 30
    assert progress.event("a", "done") == "a: good, 0:00:30; 1 of 4 hosts, about 0:03:00 to go"


def test_on_the_way_back_it_is(progress, clock):
    progress.opened(PLAN, back=True)
    progress.event("a", "rollback_begun")
    clock.now += 30
    assert progress.event("a", "undone") == "a: brought back, 0:00:30; 1 of 4 hosts, about 0:01:30 to go"


def test_when_no_further_wave_starts_there_is_no_time_to_go(progress, clock):
    clock.now += 30
    assert progress.closed(1, verdict(False, failed=["a"])) == "wave 1 did not pass: counted"


def test_hosts_of_another_clock(progress, clock):
    progress.event("a", "begun", 5.0)
    clock.now += 60
    assert progress.event("a", "done", 47.0) == "a: good, 0:00:42; 1 of 4 hosts, about 0:03:00 to go"


def test_without_a_rollout_nothing_is_said():
    assert Progress(Clock()).summary() is None


def result(action, host="a", **found):
    task = types.SimpleNamespace(action=action, args={"state": "opened"})
    return types.SimpleNamespace(_task=task, _result=found, _host=types.SimpleNamespace(get_name=lambda: host))


@pytest.fixture(name="callback")
def with_display(monkeypatch, tmp_path):
    made, said = CallbackModule(), []
    monkeypatch.setattr(made, "_display", types.SimpleNamespace(display=said.append))
    monkeypatch.setattr(made, "get_option", {"summary": str(tmp_path / "summary.json")}.get)
    made.said = said
    return made


def test_the_callback_speaks_of_rollouts_only(callback, tmp_path):
    callback.v2_runner_on_ok(result("ansible.builtin.debug", plan=PLAN, entry={"host": "a", "event": "done"}))
    callback.v2_runner_on_unreachable(result("ansible.builtin.ping"))
    callback.v2_playbook_on_stats(None)
    assert callback.said == [] and not (tmp_path / "summary.json").exists()


def test_the_callback_says_hosts_waves_and_the_summary(callback, tmp_path):
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_plan", plan=PLAN))
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_journal", entry={"event": "run", "run": 1}))
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_journal", entry={"event": "begun", "host": "a"}))
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_journal", entry={"event": "done", "host": "a"}))
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_gate", wave=1, verdict=verdict(good=["a"]), wanted="done"))
    callback.v2_runner_on_unreachable(result("memlab.testbed.memmap_facts", host="b"))
    callback.v2_playbook_on_stats(None)
    assert [line.partition(",")[0] for line in callback.said[:3]] == ["rollout: a: good", "rollout: wave 1 passed: counted", "rollout: b: unreachable"]
    assert len(callback.said) == 4 and json.loads(callback.said[3].partition(": ")[2]) == json.loads((tmp_path / "summary.json").read_text())
    assert json.loads((tmp_path / "summary.json").read_text())["outcomes"] == {"good": 1}


def test_alone_the_callback_prints_the_plan_and_errors(callback, monkeypatch):
    plan = result("memlab.testbed.rollout_plan", text=["Rollout lab: 4 hosts", "a: nothing changes"])
    callback.v2_runner_on_ok(plan)
    assert callback.said == []
    monkeypatch.setattr(constants, "DEFAULT_STDOUT_CALLBACK", "memlab.testbed.rollout")
    callback.v2_runner_on_ok(plan)
    callback.v2_runner_on_unreachable(result("ansible.builtin.ping", host="b"))
    assert callback.said == ["rollout: Rollout lab: 4 hosts", "rollout: a: nothing changes", "rollout: b: unreachable"]


def test_the_callback_says_hosts_of_other_controllers(callback):
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_plan", plan=PLAN))
    callback.v2_runner_on_ok(result("memlab.testbed.rollout_shards", shards=[], journal=[
        {"host": "b", "event": "begun", "time": 10.0}, {"host": "c", "event": "begun", "time": 10.0}, {"host": "b", "event": "done", "time": 15.0}]))
    assert [line.partition(";")[0] for line in callback.said] == ["rollout: b: good, 0:00:05"]
