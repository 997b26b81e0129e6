# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host is recorded, its twin made and rehearsed on, the twin recorded: it is the same machine, and the host was not touched."""
from __future__ import annotations

import json
import subprocess

import pytest
import testinfra
import yaml

from ansible_collections.memlab.testbed.plugins.module_utils.twin import archive, observe, observed

HOST = "server1.example.org"
NAME = "twin-rehearsal"


def outline(path):
    with archive.opened(str(path)) as recorded:
        return observed.outline(observe.observe(recorded))


@pytest.fixture(name="place", scope="module")
def make_place(tmp_path_factory):
    return tmp_path_factory.mktemp("rehearsal")


@pytest.fixture(name="rehearsal", scope="module")
def rehearse(controller, place):
    """What `ansible-playbook memlab.testbed.rehearse` said; the twin goes on running until the end of this module."""
    try:
        yield controller.play("memlab.testbed.rehearse", seconds=3600, rehearse_testbed=NAME, rehearse_directory=str(place),
                              rehearse_capture_directory=str(place / "captures"), capture_directory=str(place / "captures"), rehearse_keep=True)
    finally:
        if (place / "twins.qemu.yml").exists():
            controller.play("memlab.testbed.testbed_down", inventory=place / "twins.qemu.yml")


@pytest.fixture(name="twin", scope="module")
def open_twin(controller, rehearsal, place):
    """The twin's own shell: testinfra asks the inventory anew, with the twin's port in it."""
    assert rehearsal.code == 0, rehearsal.output
    values = json.loads(subprocess.run(["ansible-inventory", "-i", str(place / "twins.qemu.yml"), "--list"], env=controller.environment,
                                       stdout=subprocess.PIPE, check=True).stdout)
    assert list(values["_meta"]["hostvars"]) == [HOST]
    return testinfra.get_host("ansible://" + HOST, ansible_inventory=str(place / "twins.qemu.yml"))


def test_the_rehearsal_says_what_it_proved(rehearsal):
    assert rehearsal.code == 0, rehearsal.output
    for fact in ("Rehearsal of memlab.testbed.rollout on 1 twin: went well", "3 nodes, 2 host bridges, 1 switch, 3 memory devices, 2 empty ports, "
                 "2 memory windows, 2 NVDIMMs", "2 declared memory devices (inventory) were accepted"):
        assert fact in rehearsal.output, rehearsal.output


def test_the_twin_is_what_its_own_kernel_says(twin):
    serials = twin.check_output("cat /sys/bus/cxl/devices/mem*/serial").split()
    assert sorted(serials) == ["0x1", "0x3", "0x4"]
    # four of eight blocks of the first device, as declared, and they are the twin's
    assert twin.check_output("cat /sys/bus/dax/devices/dax*/memmap_on_memory").split() == ["1"]
    assert twin.check_output("grep -l Movable /sys/devices/system/memory/memory*/valid_zones | xargs -n1 dirname | xargs -I{} cat {}/state").split().count(
        "online") == 4
    assert "store" in twin.check_output("ndctl list -N")


def test_the_rehearsed_rollout_was_carried_out_and_written_down(rehearsal, twin, place):
    assert rehearsal.code == 0, rehearsal.output
    lines = (place / "journal/hosts" / (HOST + ".jsonl")).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["event"] for line in lines].count("done") == 1
    # the twin was the rollout's, and is given back
    assert twin.check_output("ls /var/lib/memlab") == ""


def test_the_host_was_recorded_and_left_alone(host):
    assert not host.file("/var/lib/memlab").exists
    assert host.check_output("ls /sys/bus/dax/devices | wc -l") == "0"
    assert not host.file("/root/.memlab-capture.tgz").exists


def test_a_capture_of_the_twin_is_the_hosts(controller, twin, place):
    assert twin.check_output("uname -s") == "Linux"
    done = controller.play("memlab.testbed.capture", inventory=place / "twins.qemu.yml", capture_directory=str(place / "twins"))
    assert done.code == 0, done.output
    first, second = outline(place / "captures" / (HOST + ".tgz")), outline(place / "twins" / (HOST + ".tgz"))
    assert first == second
    # and it is what the testbed file declares
    assert first["bridges"] == [["0x1", None], ["0x3", ["0x4", None]]]
    assert first["windows"][1][:3] == [[1, 0], 4 << 30, 512]
    assert first["figures"]["0 to 2"] == [300, 5 << 30]


def test_a_second_rehearsal_would_write_the_same_file(controller, rehearsal, place):
    assert rehearsal.code == 0, rehearsal.output
    declared = yaml.safe_load((place / "twins.qemu.yml").read_text())["guests"][HOST]
    done = controller.module("localhost", "testbed_twin", testbed_file=str(place / "twins.qemu.yml"), testbed=NAME, hosts=[
        {"name": HOST, "capture": str(place / "captures" / (HOST + ".tgz")), "vars": declared["vars"], "groups": declared.get("groups", [])}])
    assert done.code == 0 and not done.result["changed"], done.output
