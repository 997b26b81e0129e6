# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rollout whose waves are worked on by two other controllers, which are reached by ssh."""
from __future__ import annotations

import json
import os
import re
import sys

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import shards
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal

BIN = os.path.dirname(sys.executable)


@pytest.fixture(name="sharded")
def with_workers(fleet, ssh):
    """A fleet whose waves two workers share."""
    def make(hosts, **settings):
        made = fleet(hosts, **settings)
        command = ssh + ["env", "PATH=%s:%s" % (BIN, os.environ["PATH"]), "LC_ALL=C.UTF-8", os.path.join(BIN, "ansible-runner"), "worker"]
        environment = {key: value for key, value in made.environment().items() if key.startswith(("ANSIBLE_", "MEMLAB_")) and key != "ANSIBLE_LOCAL_TEMP"}
        return made, {"rollout_workers": [{"command": command}] * 2, "rollout_worker_environment": environment}
    return make


def test_two_workers_one_journal_one_gate(sharded):
    made, workers = sharded(5, rollout_waves=["100%"], unused="{{ not_defined_anywhere }}")
    made.write("host0002", "faults", {"devices": "fail"})
    code, output = made.play("rollout", **workers)
    for host, outcome in zip(made.hosts, ("good", "good", "rolled back", "good", "good")):
        assert re.search(r"^rollout: %s: %s, 0:00:\d\d; \d of 5 hosts" % (host, outcome), output, re.M), output
    assert code == 2 and "wave 2: 3 good; rolled back: host0002" in output, output
    assert [made.journal(host)[-1]["event"] for host in made.hosts] == ["done", "done", "rolled_back", "done", "done"]
    directories = list(made.directory.glob("cache/rollouts/simulated/shards/1-2-*"))
    assert len(directories) == 2 and [sorted(path.name for path in directory.iterdir()) for directory in directories] == [["log", "result"]] * 2
    code, output = made.play("rollout", **workers)
    assert code == 0, output
    assert [made.journal(host)[-1]["event"] for host in made.hosts] == ["verified", "verified", "done", "verified", "verified"]
    assert made.play("rollback")[0] == 0
    assert [made.machine(host)["release"] for host in made.hosts] == ["6.12.1"] * 5


def test_a_lost_worker_is_what_its_hosts_are(sharded):
    made, workers = sharded(4, rollout_waves=["100%"])
    made.write("host0002", "faults", {"devices": "die"})
    code, output = made.play("rollout", **workers)
    assert code == 2 and "unreachable: host0002" in output, output
    code, output = made.play("rollout", **workers)
    assert code == 0, output
    assert "undone" in [entry["event"] for entry in made.journal("host0002")]
    assert [len(made.machine(host)["blocks"]) for host in made.hosts] == [8] * 4


def test_workers_that_outlive_their_controller_are_waited_for(sharded):
    made, workers = sharded(2, rollout_waves=["100%"], rollout_canaries=0)
    made.write("host0001", "faults", {"devices": 90})
    with made.start("rollout", **workers) as run:
        Host().wait_until(lambda: made.machine("host0001")["log"] or run.poll() is not None, "host0001 at work", 300, 0.2)
        assert run.poll() is None
        run.kill()
    code, output = made.play("rollout", **workers)
    assert code == 2 and "workers of an earlier run are still at work on its hosts" in output and "Traceback" not in output, output
    # Its workers finish what they had begun, and the next run finds it done.
    Host().wait_until(lambda: not list(made.directory.glob("cache/rollouts/simulated/shards/*/processes.json")), "the workers' end", 300, 0.2)
    code, output = made.play("rollout", **workers)
    assert code == 0, output
    assert [made.journal(host)[-1]["event"] for host in made.hosts] == ["verified"] * 2
    assert not list(made.directory.glob("cache/rollouts/simulated/shards/*/data"))


def test_workers_that_cannot_be_started_are_refused_before_anything(fleet):
    made = fleet(2, rollout_workers=[{"command": ["no-such-program", "worker"]}])
    code, output = made.play()
    assert code == 2 and "cannot start no-such-program (ENOENT): install it on this controller" in output, output
    assert made.touched() == [] and made.journal() == [] and not list(made.directory.glob("hosts/*/claim.json"))


def test_processes_that_have_ended_or_are_of_another_controller(tmp_path):
    journal, directory = Journal(str(tmp_path)), tmp_path / "shards/1-1-0"
    (directory / "data").mkdir(parents=True)
    shards.note(str(directory), [os.getpid()])
    assert shards.alive(journal) == [os.getpid()]
    with pytest.raises(TestbedError, match="workers of an earlier run are still at work on its hosts .process %d" % os.getpid()):
        shards.take_over(journal)
    path = directory / "processes.json"
    (holder,) = json.loads(path.read_text())
    for other in ({"started": 1}, {"boot": "earlier"}, {"controller": "elsewhere"}):
        path.write_text(json.dumps([dict(holder, **other)]))
        assert shards.alive(journal) == []
    path.write_text("{")
    with pytest.raises(TestbedError, match="cannot read .*/processes.json"):
        shards.take_over(journal)
    path.unlink()
    shards.take_over(journal)
    assert list(directory.iterdir()) == []


def test_what_a_worker_is_given():
    kept = {"role_of_host": "db", "environment_name": "lab", "groups_of_mine": 1, "variables": 1, "inventory_number": 7, "rack": "r1", "ansible_host": "h"}
    own = {"role_path": "/r", "environment": [], "groups": {}, "vars": {}, "inventory_hostname": "h", "ansible_play_hosts": [], "hostvars": {}, "__x": 1}
    assert shards.variables(dict(kept, **own)) == kept


def test_what_comes_back_is_taken_over_once(tmp_path):
    events = tmp_path / "shard/result/artifacts/1/job_events"
    events.mkdir(parents=True)
    for number, event in enumerate(["begun", "done"], 1):
        entry = {"event": event, "time": float(number), "host": "a", "run": 1, "step": "record"}
        (events / ("%d-x.json" % number)).write_text(json.dumps({"event": "runner_on_ok", "event_data": {"res": {"entry": entry}}}))
    (events / "3-partial.json").write_text('{"event"')
    journal = Journal(str(tmp_path / "journal"))
    assert [entry["event"] for entry in shards.merge(str(tmp_path / "shard"), journal)] == ["begun", "done"]
    assert shards.merge(str(tmp_path / "shard"), journal) == []
    assert [(entry["event"], entry["time"]) for entry in journal.read("a")] == [("begun", 1.0), ("done", 2.0)]


def test_shards():
    assert shards.cut(list("abcde"), 2) == [["a", "c", "e"], ["b", "d"]]
    assert shards.cut(list("abcde"), 3, reboots=2) == [["a", "c", "e"], ["b", "d"]]
    assert shards.cut(["a"], 2) == [["a"]]
