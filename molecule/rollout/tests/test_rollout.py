# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One rollout's way: a canary that panics, one whose kernel cannot have its memory, one that its site refuses, a host that vanishes in wave two,
a controller that is killed, all good, all brought back. What is good brings the canary another kernel and a memmap that its old one cannot have.

The tests build on each other, in their order. What they say of a host, its own /sys says.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

NODES = ["node1", "node2", "node3", "node4"]
HOOK = str(pathlib.Path(__file__).parents[1] / "tasks" / "vanish.yml")
SETTINGS = {"rollout_hosts": "node*", "rollout_name": "scenario", "rollout_waves": [{"hosts": ["node2", "node3"]}, "100%"], "rollout_drain": HOOK}
# Only node1 runs Debian 12.
REFUSED = {"expression": "!starts_with(kernel.release, '6.1.')", "message": "node1 is refused by its site"}
NAMESPACE = {"nvdimms": ["0x1"], "name": "store", "mode": "devdax"}
ADDED = {"node1": (3, 1), "node2": (4, 1), "node3": (4, 1), "node4": (4, 1)}

MACHINE = r"""
cd /sys/devices/system/memory
for block in memory[0-9]*; do printf '%s %s\n' "$block" "$(cat $block/state)"; done | sort > /tmp/blocks
echo "online $(grep -c ' online' /tmp/blocks)"
echo "devices $(ls /sys/bus/dax/devices | wc -l)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
echo "kernel $(uname -r)"
"""


@pytest.fixture(scope="module", name="directory")
def own_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("rollout")


@pytest.fixture(scope="module", name="kernels")
def the_kernels(tmp_path_factory):
    """Name to (path, release) of kernels for node1, good and bad."""
    place = tmp_path_factory.mktemp("kernels")
    subprocess.run([sys.executable, str(pathlib.Path(__file__).parents[2] / "rollback" / "kernels.py"), str(place), "good", "panics", "newer"],
                   check=True)
    releases = json.loads((place / "kernels.json").read_text(encoding="ascii"))
    return {name: (str(place / (name + ".deb")), release) for name, release in releases.items()}


@pytest.fixture(name="rollout")
def roll_out(controller, directory):
    """A function that runs the playbook to its end."""
    def run(playbook="rollout", **variables):
        return controller.play("memlab.testbed." + playbook, seconds=3600, rollout_directory=str(directory), **dict(SETTINGS, **variables))
    return run


@pytest.fixture(name="machines")
def all_machines(open_guest):
    """A function: node -> what its machine says."""
    def look(nodes=tuple(NODES)):
        return {node: dict(line.split() for line in open_guest(node).shell(MACHINE).splitlines()) for node in nodes}
    return look


@pytest.fixture(scope="module", name="first")
def first_look(open_guest):
    """As they were when nothing had been done. node1's namespace was there: what a namespace held does not come back with it."""
    done = open_guest("node1").module("pmem_namespace", namespaces=[NAMESPACE])
    assert done.code == 0, done.output
    return {node: dict(line.split() for line in open_guest(node).shell(MACHINE).splitlines()) for node in NODES}


def events(directory, node):
    path = directory / "hosts" / (node + ".jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def added(before, now):
    return int(now["online"]) - int(before["online"]), int(now["devices"])


def on_canary(path):
    """Kernel packages for node1 only: the others do not boot from disks of their own."""
    return "{{ [%r] if inventory_hostname == 'node1' else [] }}" % path


def wanted(kernels):
    """What the rollout brings, from wave two on: it is good then."""
    return {"rollout_kernel_packages": on_canary(kernels["newer"][0]), "canary_memmap": "device"}


def boot_loader(open_guest):
    """node1's GRUB: its choice of an entry, which is Debian's own until a kernel of ours was accepted, and what it has saved."""
    return open_guest("node1").shell("grep -m 1 'set default=\"[^$]' /boot/grub/grub.cfg || :; grub-editenv list | grep '=.' || :; ls /etc/default/grub.d")


@pytest.fixture(scope="module", name="untouched")
def first_boot_loader(open_guest):
    return boot_loader(open_guest)


def test_a_canary_whose_kernel_panics_is_back_on_its_own_and_stops_all(rollout, machines, first, untouched, directory, kernels, open_guest):
    path, release = kernels["panics"]
    done = rollout(rollout_kernel_packages=on_canary(path))
    assert done.code == 2 and "rolled back: node1" in done.output and "no further wave starts" in done.output, done.output
    assert "the host returned to %s by itself" % first["node1"]["kernel"] in re.sub(r"\s+", " ", done.output)
    found = machines()
    assert found["node1"].pop("boot") != first["node1"]["boot"]
    assert found == dict(first, node1={key: value for key, value in first["node1"].items() if key != "boot"})
    assert boot_loader(open_guest) == untouched
    assert release not in open_guest("node1").shell("ls /boot /lib/modules")
    assert [entry["event"] for entry in events(directory, "node1")][-1] == "rolled_back"
    assert [events(directory, node) for node in NODES[1:]] == [[], [], []]
    first["node1"] = machines(["node1"])["node1"]


def test_a_kernel_that_cannot_have_the_hosts_memory_is_brought_back_after_it_was_accepted(rollout, machines, first, untouched, directory, kernels, open_guest):
    """Debian's real-time kernel boots well, and has no device dax."""
    path, release = kernels["good"]
    done = rollout(rollout_kernel_packages=on_canary(path))
    assert done.code == 2 and "rolled back: node1" in done.output, done.output
    assert [entry["step"] for entry in events(directory, "node1") if entry["event"] == "begun"][-1] == "devices"
    found = machines()
    assert found["node1"].pop("boot") != first["node1"]["boot"]
    assert found == dict(first, node1={key: value for key, value in first["node1"].items() if key != "boot"})
    assert boot_loader(open_guest) == untouched and release not in open_guest("node1").shell("ls /boot /lib/modules")
    first["node1"] = machines(["node1"])["node1"]


def test_a_canary_that_its_site_refuses_is_brought_back_and_stops_all(rollout, machines, first, directory):
    done = rollout(rollout_gates=[REFUSED])
    assert done.code == 2 and "rolled back: node1" in done.output and "no further wave starts" in done.output, done.output
    assert machines() == first
    assert [entry["event"] for entry in events(directory, "node1")][-1] == "rolled_back"
    assert [events(directory, node) for node in NODES[1:]] == [[], [], []]


def test_a_host_that_vanishes_in_wave_two_stops_all_and_the_other_one_finishes(rollout, machines, first, directory, kernels):
    done = rollout(vanishing="node3", **wanted(kernels))
    assert done.code != 0 and "unreachable: node3" in done.output, done.output
    found = machines(["node1", "node2", "node4"])
    assert [added(first[node], found[node]) for node in ("node1", "node2")] == [ADDED["node1"], ADDED["node2"]]
    assert (found["node1"]["kernel"], found["node2"]["kernel"]) == (kernels["newer"][1], first["node2"]["kernel"])
    assert found["node4"] == first["node4"] and events(directory, "node4") == []
    assert [entry["event"] for entry in events(directory, "node3")][-1] == "begun"


def test_a_controller_killed_in_the_middle_of_a_wave_is_resumed(controller, rollout, machines, first, directory, kernels):
    done = controller.play("memlab.testbed.testbed_up")
    assert done.code == 0, done.output
    variables = json.dumps(dict(SETTINGS, rollout_directory=str(directory), **wanted(kernels)))
    process = controller.start("ansible-playbook", "-i", os.environ["MEMLAB_TESTBED"], "memlab.testbed.rollout", "-e", variables)
    deadline = time.monotonic() + 1800
    while "devices" not in [entry.get("step") for entry in events(directory, "node3")]:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = rollout(**wanted(kernels))
    assert done.code == 0, done.output
    found = machines()
    assert {node: added(first[node], found[node]) for node in NODES} == ADDED
    assert [[entry["event"] for entry in events(directory, node)].count("done") for node in NODES] == [1, 1, 1, 1]
    assert "undone" in [entry["event"] for entry in events(directory, "node3")]


def test_the_canary_has_its_memmap_where_its_old_kernel_cannot_put_it(controller, kernels, machines):
    assert machines(["node1"])["node1"]["kernel"] == kernels["newer"][1]
    state = controller.state("node1")
    pages = state["block_size"] // state["page_size"]
    hosted = [block["self_hosted"][0] for block in state["blocks"].values() if block["state"] == "online" and block["nodes"] == [1]]
    assert hosted == [pages // 64] * ADDED["node1"][0]


def test_all_of_it_is_brought_back(rollout, machines, first, open_guest, untouched, kernels):
    done = rollout("rollback")
    assert done.code == 0, done.output
    found = machines()
    # the namespace was there before, as a device and not as memory
    assert [added(first[node], found[node]) for node in NODES] == [(0, 1), (0, 0), (0, 0), (0, 0)]
    assert [found[node]["kernel"] for node in NODES] == [first[node]["kernel"] for node in NODES]
    assert boot_loader(open_guest) == untouched and kernels["newer"][1] not in open_guest("node1").shell("ls /boot /lib/modules")
    assert "memmap_on_memory" not in open_guest("node1").shell("cat /proc/cmdline")
    assert [open_guest(node).shell("ls /var/lib/memlab").split() for node in NODES] == [[]] * 4
