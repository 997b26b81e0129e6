# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One rollout's way: a canary that fails, a host that vanishes in wave two, a controller that is killed, all good, all brought back.

The tests build on each other, in their order. What they say of a host, its own /sys says.
"""
from __future__ import annotations

import json
import os
import pathlib
import signal
import time

import pytest

NODES = ["node1", "node2", "node3", "node4"]
HOOK = str(pathlib.Path(__file__).parents[1] / "tasks" / "vanish.yml")
SETTINGS = {"rollout_hosts": "node*", "rollout_name": "scenario", "rollout_waves": [{"hosts": ["node2", "node3"]}, "100%"], "rollout_drain": HOOK}
REFUSED = {"expression": "devices[0].memory_devices[0].serial != `1`", "message": "node1 is refused by its site"}

MACHINE = r"""
cd /sys/devices/system/memory
for block in memory[0-9]*; do printf '%s %s\n' "$block" "$(cat $block/state)"; done | sort > /tmp/blocks
echo "online $(grep -c ' online' /tmp/blocks)"
echo "devices $(ls /sys/bus/dax/devices | wc -l)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
"""


@pytest.fixture(scope="module", name="directory")
def own_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("rollout")


@pytest.fixture(name="rollout")
def roll_out(controller, directory):
    """A function that runs the playbook to its end."""
    def run(playbook="rollout", **variables):
        return controller.play("memlab.testbed." + playbook, seconds=900, rollout_directory=str(directory), **dict(SETTINGS, **variables))
    return run


@pytest.fixture(name="machines")
def all_machines(open_guest):
    """A function: node -> what its machine says."""
    def look(nodes=tuple(NODES)):
        return {node: dict(line.split() for line in open_guest(node).shell(MACHINE).splitlines()) for node in nodes}
    return look


@pytest.fixture(scope="module", name="first")
def first_look(open_guest):
    """As they were when nothing had been done."""
    return {node: dict(line.split() for line in open_guest(node).shell(MACHINE).splitlines()) for node in NODES}


def events(directory, node):
    path = directory / "hosts" / (node + ".jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def added(before, now):
    return int(now["online"]) - int(before["online"]), int(now["devices"])


def test_a_canary_that_its_site_refuses_is_brought_back_and_stops_all(rollout, machines, first, directory):
    done = rollout(rollout_gates=[REFUSED])
    assert done.code == 2 and "rolled back: node1" in done.output and "no further wave starts" in done.output, done.output
    assert machines() == first
    assert [entry["event"] for entry in events(directory, "node1")][-1] == "rolled_back"
    assert [events(directory, node) for node in NODES[1:]] == [[], [], []]


def test_a_host_that_vanishes_in_wave_two_stops_all_and_the_other_one_finishes(rollout, machines, first, directory):
    done = rollout(vanishing="node3")
    assert done.code != 0 and "unreachable: node3" in done.output, done.output
    found = machines(["node1", "node2", "node4"])
    assert added(first["node1"], found["node1"]) == added(first["node2"], found["node2"]) == (4, 1)
    assert found["node4"] == first["node4"] and events(directory, "node4") == []
    assert [entry["event"] for entry in events(directory, "node3")][-1] == "begun"


def test_a_controller_killed_in_the_middle_of_a_wave_is_resumed(controller, rollout, machines, first, directory):
    done = controller.play("memlab.testbed.testbed_up")
    assert done.code == 0, done.output
    variables = json.dumps(dict(SETTINGS, rollout_directory=str(directory)))
    process = controller.start("ansible-playbook", "-i", os.environ["MEMLAB_TESTBED"], "memlab.testbed.rollout", "-e", variables)
    deadline = time.monotonic() + 600
    while "devices" not in [entry.get("step") for entry in events(directory, "node3")]:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = rollout()
    assert done.code == 0, done.output
    found = machines()
    assert [added(first[node], found[node]) for node in NODES] == [(4, 1)] * 4
    assert [[entry["event"] for entry in events(directory, node)].count("done") for node in NODES] == [1, 1, 1, 1]
    assert "undone" in [entry["event"] for entry in events(directory, "node3")]


def test_all_of_it_is_brought_back(rollout, machines, first, open_guest):
    done = rollout("rollback")
    assert done.code == 0, done.output
    found = machines()
    assert [added(first[node], found[node]) for node in NODES] == [(0, 0)] * 4
    assert [open_guest(node).shell("ls /var/lib/memlab").split() for node in NODES] == [[]] * 4
