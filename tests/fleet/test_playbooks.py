# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbooks rollout and rollback, run by ansible-playbook on simulated hosts."""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

from ansible_collections.memlab.testbed.tests.simulated.fleet import SIMULATED

ONE = ["kernel", "parameters", "block 0", "block 1", "block 2", "block 3", "block 4", "block 5", "block 6", "devices"]
DEFAULTS = pathlib.Path(__file__).parents[2] / "roles/rollout/defaults/main.yml"
STEPS = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))["rollout_steps"]


def events(fleet, host):
    return [entry["event"] for entry in fleet.journal(host)]


def clean(fleet, host):
    """The host's machine, without what was done to get there."""
    return {key: value for key, value in fleet.machine(host).items() if key != "log"}


BEFORE = {"release": "6.12.1", "parameters": ["quiet"], "blocks": {}}
AFTER = {"release": "6.12.2", "parameters": ["quiet", "memory_hotplug.memmap_on_memory=1"], "blocks": {str(number): True for number in range(8)}}


def test_all_is_well_then_nothing_is_done_twice_then_all_is_brought_back(fleet):
    made = fleet(4)
    code, output = made.play()
    assert code == 0, output
    assert [made.machine(host)["log"] for host in made.hosts] == [ONE] * 4
    assert [entry["event"] for entry in made.journal()] == ["planned", "run", *["wave_begun", "wave_closed"] * 3, "finished"]
    assert [entry["hosts"] for entry in made.journal() if entry["event"] == "wave_begun"] == [1, 1, 2]
    assert "Traceback" not in output

    code, output = made.play()
    assert code == 0, output
    assert [made.machine(host)["log"] for host in made.hosts] == [ONE] * 4
    assert [events(made, host)[-1] for host in made.hosts] == ["verified"] * 4

    code, output = made.play("rollback")
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [BEFORE] * 4
    assert not list(made.directory.glob("hosts/*/claim.json"))


def test_without_a_name_all_plays_speak_of_one_journal(fleet):
    made = fleet(2, rollout_name=None)
    code, output = made.play()
    assert code == 0, output
    assert [path.name for path in (made.directory / "cache/rollouts").iterdir()] == [made.directory.name]
    code, output = made.play("rollback")
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [BEFORE] * 2
    assert not list(made.directory.glob("hosts/*/claim.json"))


def test_hosts_of_the_command_line_have_no_directory_to_name_a_rollout_after(fleet):
    made = fleet(2)
    made.overrides["ANSIBLE_INVENTORY_ENABLED"] = "host_list"
    variables = {key: value for key, value in json.loads(made.inventory.read_text())["all"]["vars"].items() if key != "rollout_name"}
    made.inventory = "host0000,host0001,"
    code, output = made.play("rollout", "--check", **variables)
    assert code == 0 and "Rollout hosts: 2 hosts in 2 waves" in output, output


@pytest.mark.parametrize("option", ["--check", "-e", ])
def test_a_plan_changes_nothing(fleet, option):
    made = fleet(3)
    made.write("host0002", "faults", {"survey": "refuse"})
    code, output = made.play("rollout", *([option, '{"rollout_plan": true}'] if option == "-e" else [option]))
    assert code == 0, output
    assert "host0001: kernel 6.12.1 -> 6.12.2; blocks 8 to be online; 1 reboot" in output
    assert "FORBIDDEN: data at risk" in output
    assert made.touched() == [] and not (made.directory / "cache").exists() and not list(made.directory.glob("hosts/*/claim.json"))


@pytest.mark.parametrize("step", ["kernel", "devices", "verify"])
def test_a_canary_that_fails_is_brought_back_and_stops_all(fleet, step):
    made = fleet(4)
    made.write("host0000", "faults", {step: "fail"})
    code, output = made.play()
    assert code == 2 and "1 bad hosts, at most 0 are allowed: no further wave starts" in output
    assert clean(made, "host0000") == BEFORE
    assert events(made, "host0000")[-3:] == ["failed", "rollback_begun", "rolled_back"]
    assert made.touched() == ["host0000"]


@pytest.mark.parametrize("tasks, reason", [
    ("- ansible.builtin.fail:\n    msg: |\n      2 of 17 statements do not hold:\n      block 7 is offline\n      block 8 is offline\n",
     "2 of 17 statements do not hold: block 7 is offline"),
    ("- ansible.builtin.include_tasks: nowhere.yml\n", "no reason given, as where a file cannot be included: see what Ansible says"),
    ("- ansible.builtin.assert:\n    that: item < 2\n    fail_msg: '{{ item }} is too many'\n  loop: [1, 2]\n", "2 is too many"),
])
def test_the_journal_says_why_a_host_failed(fleet, tmp_path, tasks, reason):
    steps = own_steps(tmp_path)
    (steps / "devices.yml").write_text(tasks)
    made = fleet(1, rollout_steps_from=str(steps))
    code, output = made.play()
    (failed,) = [entry for entry in made.journal("host0000") if entry["event"] == "failed"]
    assert code == 2 and failed["reason"].startswith(reason) and "(host0000: %s" % reason in output, output


def test_a_host_that_vanishes_stops_all_and_the_others_of_its_wave_finish(fleet):
    made = fleet(6, rollout_waves=[3, "100%"])
    made.write("host0002", "faults", {"devices": "vanish"})
    code, output = made.play()
    assert code != 0 and "unreachable: host0002" in output
    assert made.touched() == ["host0000", "host0001", "host0002", "host0003"]
    assert [events(made, host)[-1] for host in made.hosts[:4]] == ["done", "done", "begun", "done"]
    # It comes back: repaired first, then rolled out, and so are those that no wave had reached.
    made.write("host0002", "faults", {})
    code, output = made.play()
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [AFTER] * 6
    assert made.machine("host0000")["log"] == ONE
    assert "undone" in events(made, "host0002")


def claimed(fleet):
    return [path.parent.name for path in sorted(fleet.directory.glob("hosts/*/claim.json"))]


def half_rolled_out(fleet):
    """Four hosts, the third of which was lost for good in the middle of the second wave."""
    made = fleet(4, rollout_waves=[2, "100%"])
    made.write("host0002", "faults", {"devices": "vanish"})
    code, output = made.play()
    assert code != 0 and "unreachable: host0002" in output
    made.lose("host0002")
    return made


def test_a_host_that_is_gone_for_good_keeps_no_other_from_the_way_back(fleet):
    made = half_rolled_out(fleet)
    code, output = made.play("rollback")
    assert code != 0 and "1 of 3 hosts were not brought back" in output and "unreachable: host0002" in output, output
    assert [clean(made, host) for host in ("host0000", "host0001", "host0003")] == [BEFORE] * 3
    assert claimed(made) == ["host0002"]
    # The others are free for another rollout, which goes without it.
    code, output = made.play("rollout", rollout_name="next", rollout_hosts="all:!host0002", rollout_waves=["100%"])
    assert code == 0, output
    assert [clean(made, host) for host in ("host0000", "host0001", "host0003")] == [AFTER] * 3
    # One that is gone is all that is left to bring back.
    code, output = made.play("rollback")
    assert code != 0 and "1 of 1 hosts were not brought back" in output, output


def test_a_host_that_is_gone_for_good_is_borne_up_to_the_limit(fleet):
    made = half_rolled_out(fleet)
    code, output = made.play()
    assert code != 0 and "host0002: it did not answer" in output and "let rollout_limit bear them" in output, output
    assert made.touched() == ["host0000", "host0001", "host0002"]
    # Ansible's own exit code still tells of a host that did not answer.
    code, output = made.play("rollout", rollout_limit=1)
    assert code == 4 and made.journal()[-1]["event"] == "finished" and "unreachable: host0002" in output, output
    assert [clean(made, host) for host in ("host0000", "host0001", "host0003")] == [AFTER] * 3
    assert claimed(made) == ["host0002"]
    # And again, when it is the only one that is not done.
    code, output = made.play("rollout", rollout_limit=1)
    assert code == 4 and made.journal()[-1]["event"] == "finished", output


def test_a_host_that_cannot_be_repaired_is_not_rolled_out_to(fleet):
    made = fleet(3, rollout_waves=["100%"], rollout_limit=1)
    made.write("host0001", "faults", {"devices": "die", "rollback": "fail always"})
    assert made.play()[0] == -9
    code, output = made.play()
    assert code == 0, output
    assert events(made, "host0001")[-1] == "rollback_failed" and events(made, "host0001").count("snapshot") == 1
    assert [clean(made, host) for host in ("host0000", "host0002")] == [AFTER] * 2


def test_a_wave_that_vanishes_whole_stops_all_and_its_gate_says_so(fleet):
    made = fleet(4)
    made.write("host0000", "faults", {"kernel": "vanish"})
    code, output = made.play()
    assert code != 0 and "wave 1: 0 good; unreachable: host0000" in output
    assert made.touched() == []
    assert made.journal()[-1]["event"] == "wave_closed" and not made.journal()[-1]["passed"]


def test_bad_hosts_up_to_the_limit_are_borne(fleet):
    made = fleet(4, rollout_limit=1)
    made.write("host0000", "faults", {"kernel": "fail"})
    code, output = made.play()
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [BEFORE, AFTER, AFTER, AFTER]


def test_the_limit_that_was_planned_with_counts_in_all_waves(fleet):
    made = fleet(2, rollout_hosts="host*")
    made.give("localhost", rollout_limit=1)
    made.write("host0000", "faults", {"kernel": "fail"})
    code, output = made.play()
    assert code == 0 and [clean(made, host) for host in made.hosts] == [BEFORE, AFTER], output


@pytest.mark.parametrize("step", STEPS)
def test_a_controller_killed_in_a_step_is_resumed(fleet, step):
    """The fault table: no host is lost, none is done twice, no block is left half added."""
    made = fleet(3, rollout_waves=["100%"])
    made.write("host0001", "faults", {step: "die"})
    code, output = made.play()
    assert code == -9, output
    assert made.machine("host0000")["log"] == ONE
    code, output = made.play()
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [AFTER] * 3
    assert made.machine("host0000")["log"] == ONE
    assert {events(made, host)[-1] for host in made.hosts} <= {"done", "verified"}


@pytest.mark.parametrize("settings, told", [
    ({"rollout_waves": [{"hosts": ["host0001", "host0002"]}, {"hosts": ["host0002"]}]}, "overlapping waves: host0002 is in wave 2 and in wave 3"),
    ({"rollout_waves": [1]}, "2 of 4 hosts are in no wave: host0002, host0003"),
    ({"rollout_hosts": "nobody"}, "there is no host to roll out to"),
    ({"rollout_waves": ["100%"], "rollout_domain": "rack"}, "is larger than the failure domains allow"),
    ({"rollout_drain": "/nowhere/drain.yml"}, "rollout_drain: there is no hook file /nowhere/drain.yml"),
    ({"rollout_gates": [{"expression": "devices[?"}]}, "rollout_gates[1]: not a JMESPath expression"),
    ({"rollout_steps": ["kernel"]}, "it is a list, the first step is snapshot"),
    ({"rollout_soak": 60, "rollout_soak_interval": 0}, "rollout_soak_interval: 0 is not a whole number from 1 up"),
    ({"rollout_reboots": -1}, "rollout_reboots: -1 is not a whole number from 0 up"),
    ({"rollout_domain": "rakc"}, "rollout_domain: no host has the variable rakc"),
    ({"rollout_domain": "rack", "rack": ["a"]}, "rollout_domain: rack of host0000 is ['a'], not a name"),
    ({"rollout_waves": [{"group": ["all"]}]}, "rollout_waves[1]: group is ['all'], not a name"),
    ({"rollout_gates": [{"expression": "no_such(devices)"}]}, "rollout_gates[1]: not a JMESPath expression: no_such(devices) (there is no function no_such)"),
    ({"rollout_steps_from": "/nowhere/steps"}, "rollout_steps_from: there is no directory /nowhere/steps"),
])
def test_bad_input_is_refused_before_anything(fleet, settings, told):
    made = fleet(4)
    code, output = made.play("rollout", **settings)
    assert code == 2 and told in output and "Traceback" not in output, output
    assert made.touched() == [] and made.journal() == []


@pytest.mark.parametrize("playbook, told", [("rollout", "name the hosts with rollout_hosts"), ("rollback", "run the rollback without it"),
                                            ("rehearse", "name the hosts with rehearse_hosts")])
def test_a_limit_is_refused(fleet, playbook, told):
    """Whatever it cuts out. localhost, on which the other plays begin, is cut out by each, and no host is asked, whether it answers or not."""
    made = fleet(2)
    made.lose("host0000")
    for limit in ("host0000", "localhost,host0001", "all"):
        code, output = made.play(playbook, "--limit", limit)
        assert code == 2 and "--limit would " in output and told in output and "unreachable=1" not in output, output
    assert made.touched() == [] and not (made.directory / "cache").exists()


@pytest.mark.parametrize("variable, value, told", [
    ("rollout_drain", "/nowhere/drain.yml", "rollout_drain: there is no hook file /nowhere/drain.yml"),
    ("rollout_gates", [{"expression": "devices[?"}], "rollout_gates[1]: not a JMESPath expression"),
    ("rollout_soak", "1h", "rollout_soak: '1h' is not a whole number from 0 up"),
    ("rollout_undrain", "{{ not_defined }}/undrain.yml", "rollout_undrain of host0003 does not resolve ('not_defined' is undefined)"),
])
def test_what_one_host_has_for_itself_is_checked_before_anything(fleet, variable, value, told):
    made = fleet(4)
    made.give("host0003", **{variable: value})
    code, output = made.play()
    assert code == 2 and told in output and "Traceback" not in output and ("It is so for host0003." in output or "of host0003" in output), output
    assert made.touched() == [] and made.journal() == []


# What Ansible's parser ends a run for, whatever would rescue the task that includes it.
UNREADABLE = {"not YAML": "- name: [\n", "no such module": "- no.such.module:\n", "a playbook": "- hosts: all\n  tasks: []\n",
              "no list": "ansible.builtin.ping:\n", "two actions": "- ansible.builtin.ping:\n  ansible.builtin.debug:\n",
              "no attribute": "- ansible.builtin.ping:\n  whenn: true\n", "in a block": "- block:\n    - no.such.module:\n",
              "in an include": "- ansible.builtin.include_tasks: other.yml\n"}


@pytest.mark.parametrize("what", sorted(UNREADABLE))
def test_a_hook_that_cannot_be_read_is_refused_before_anything(fleet, tmp_path, what):
    (tmp_path / "good.yml").write_text("- ansible.builtin.import_tasks: also_good.yml\n- ansible.builtin.include_tasks: '{{ nobody_knows }}'\n")
    (tmp_path / "also_good.yml").write_text("- ansible.builtin.debug:\n")
    (tmp_path / "other.yml").write_text(UNREADABLE["no such module"])
    (tmp_path / "bad.yml").write_text(UNREADABLE[what])
    made = fleet(3, rollout_drain=str(tmp_path / "good.yml"))
    made.give("host0002", rollout_undrain=str(tmp_path / "bad.yml"))
    code, output = made.play()
    told = "rollout_undrain: %s is no file of tasks" % (tmp_path / ("other.yml" if what == "in an include" else "bad.yml"))
    assert code == 2 and told in output and "Traceback" not in output, output
    assert made.touched() == [] and made.journal() == [] and not list((made.directory / "cache").glob("**/lock.json*"))


@pytest.mark.parametrize("step", ["kernel", "survey", "rollback"])
def test_a_step_of_the_sites_own_that_cannot_be_read_is_refused_before_anything(fleet, tmp_path, step):
    steps = own_steps(tmp_path)
    (steps / (step + ".yml")).write_text(UNREADABLE["no such module"])
    made = fleet(2, rollout_steps_from=str(steps))
    code, output = made.play()
    assert code == 2 and "rollout_steps: %s: %s/%s.yml is no file of tasks" % (step, steps, step) in output and "no.such.module" in output, output
    assert made.touched() == [] and made.journal() == []


@pytest.mark.parametrize("settings, told", [({"rollout_undrain": "{{ inventory_dir }}/bad.yml"}, "/bad.yml is no file of tasks"),
                                            ({"rollout_steps_from": "/nowhere"}, "rollout_steps_from: there is no directory /nowhere")])
def test_the_way_back_begins_with_files_that_can_be_read(fleet, tmp_path, settings, told):
    (tmp_path / "bad.yml").write_text(UNREADABLE["no such module"])
    made = fleet(2)
    assert made.play()[0] == 0
    code, output = made.play("rollback", **settings)
    assert code == 2 and told in output and "Traceback" not in output, output
    assert [clean(made, host) for host in made.hosts] == [AFTER] * 2 and not list((made.directory / "cache").glob("**/lock.json*"))
    # What a gate asks is not asked on the way back.
    code, output = made.play("rollback", rollout_gates=[{"expression": "devices[?"}])
    assert code == 0 and [clean(made, host) for host in made.hosts] == [BEFORE] * 2, output


def own_steps(tmp_path):
    """Steps of simulated hosts but for drain and undrain, which are the role's."""
    steps = tmp_path / "steps"
    steps.mkdir()
    for path in (SIMULATED / "steps").glob("*.yml"):
        if path.stem not in ("drain", "undrain"):
            (steps / path.name).write_text(path.read_text())
    return steps


def test_hooks_gates_and_a_soak(fleet, tmp_path):
    """The site's own task files run around the change and around the way back, the gates are looked at as long as a host soaks."""
    for name in ("drain", "undrain"):
        (tmp_path / (name + ".yml")).write_text("- ansible.legacy.simulated_host: {step: %s, log: true, directory: '{{ simulated_directory }}'}\n" % name)
    made = fleet(2, rollout_steps_from=str(own_steps(tmp_path)), rollout_drain=str(tmp_path / "drain.yml"), rollout_undrain=str(tmp_path / "undrain.yml"),
                 rollout_soak=2, rollout_soak_interval=1)
    code, output = made.play()
    assert code == 0, output
    assert output.count("TASK [memlab.testbed.rollout : Let it run for a while]") == 4
    around = [["drain", *ONE, "undrain"]] * 2
    assert [made.machine(host)["log"] for host in made.hosts] == around
    code, output = made.play("rollback")
    assert code == 0, output
    assert [made.machine(host)["log"] for host in made.hosts] == [log + ["drain", "rollback", "undrain"] for log in around]


def test_a_host_that_fails_is_drained_once(fleet, tmp_path):
    """The inventory's directory is one that localhost does not have."""
    hooks = {}
    for name in ("drain", "undrain"):
        (tmp_path / (name + ".yml")).write_text("- ansible.legacy.simulated_host: {step: %s, log: true, directory: '{{ simulated_directory }}'}\n" % name)
        hooks["rollout_" + name] = "{{ inventory_dir }}/%s.yml" % name
    made = fleet(1, rollout_steps_from=str(own_steps(tmp_path)), **hooks)
    made.write("host0000", "faults", {"kernel": "fail"})
    assert made.play()[0] == 2
    assert made.machine("host0000")["log"] == ["drain", "kernel", "rollback", "undrain"]


def test_the_plan_asks_the_modules_in_check_mode(fleet, tmp_path):
    """The role's own survey, on the machine that the test runs on: what the packages hold, and what kernel_trial and the devices' modules refuse."""
    tree = tmp_path / "package"
    for place, content in (("DEBIAN/control", "Package: linux-image-6.99.0-plan\nVersion: 1\nArchitecture: m68k\nMaintainer: nobody\nDescription: test\n"),
                           ("boot/vmlinuz-6.99.0-plan", "x")):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).write_text(content)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(tmp_path / "image.deb")], check=True, stdout=subprocess.DEVNULL)
    made = fleet(1, rollout_steps_from=None, rollout_boot_parameters=[], rollout_kernel_packages=[str(tmp_path / "image.deb")], rollout_devices=[])
    code, output = made.play("rollout", "--check")
    assert code == 0, output
    (line,) = [line for line in output.splitlines() if line.strip().startswith("host0000: ")]
    assert "kernel %s -> 6.99.0-plan; devices seen after the reboot; 1 reboot; FORBIDDEN: " % os.uname().release in line
    # What the running kernel has not may come with the other one.
    code, output = made.play("rollout", "--check", rollout_devices=[{"serial": "0x99", "memmap": "dram"}])
    assert code == 0 and output.count("FORBIDDEN") == 1, output
    # Without a change of the kernel the same host has nothing that forbids it; a memory device that is not there does.
    code, output = made.play("rollout", "--check", rollout_kernel_packages=[])
    assert code == 0 and "host0000: nothing changes" in output, output
    code, output = made.play("rollout", "--check", rollout_kernel_packages=[], rollout_devices=[{"serial": "0x99", "memmap": "dram"}])
    assert code == 0 and output.count("FORBIDDEN") == 1, output


@pytest.mark.parametrize("reboots", [2, 0])
def test_no_more_hosts_reboot_at_once_than_are_allowed(fleet, tmp_path, reboots):
    """The role's own step, with a slow step of a simulated host in place of the role that reboots."""
    steps = own_steps(tmp_path)
    text = (DEFAULTS.parents[1] / "tasks/steps/kernel.yml").read_text(encoding="utf-8")
    include = "ansible.builtin.include_role:\n        name: memlab.testbed.kernel_install\n"
    assert include in text
    (steps / "kernel.yml").write_text(text.replace(include, "ansible.builtin.include_tasks: %s\n" % (SIMULATED / "steps/kernel.yml")))
    made = fleet(5, rollout_steps_from=str(steps), rollout_canaries=0, rollout_waves=["100%"], rollout_kernel_packages=["/tmp/linux-image-6.12.2.deb"])
    for host in made.hosts:
        made.write(host, "faults", {"kernel": 12 if reboots == 0 else 4})
    code, output = made.play("rollout", "--forks=5", rollout_reboots=reboots)
    assert code == 0, output
    spans = [json.loads((made.directory / "hosts" / host / "lasted.json").read_text()) for host in made.hosts]
    most = max(sum(begun <= moment < ended for begun, ended in spans) for moment, unused in spans)
    assert most <= 2 if reboots else most > 2


def test_a_wave_never_holds_all_of_a_failure_domain(fleet):
    made = fleet(8, racks=4, rollout_domain="rack", rollout_canaries=0, rollout_waves=["50%", "100%"])
    made.write("host0001", "faults", {"verify": "fail"})
    assert made.play()[0] == 2
    assert made.touched() == ["host0000", "host0001", "host0002", "host0003"]
    code, output = made.play("rollback")
    assert code == 0, output
    made = fleet(4, racks=2, directory="named", rollout_domain="rack", rollout_canaries=0, rollout_waves=[{"hosts": ["host0000", "host0002"]}, "100%"])
    code, output = made.play()
    assert code == 2 and "larger than the failure domain rack0 allows: 2 of its 2 hosts, at most 1" in output and made.touched() == []


def test_progress_is_told_to_people_files_and_whoever_started_it(fleet, monkeypatch):
    made = fleet(3, rollout_waves=["100%"])
    made.write("host0002", "faults", {"kernel": "fail"})
    monkeypatch.setenv("MEMLAB_ROLLOUT_SUMMARY", str(made.directory / "summary.json"))
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    code, output = made.play()
    assert code == 2, output
    lines = [line for line in output.splitlines() if line.startswith("rollout: ")]
    assert [re.sub("[0-9]+:[0-9]+:[0-9]+", "T", line) for line in lines[:2]] == [
        "rollout: host0000: good, T; 1 of 3 hosts, about T to go", "rollout: wave 1 passed: 1 good, about T to go"]
    assert [line.partition(",")[0] for line in sorted(lines[2:4])] == ["rollout: host0001: good", "rollout: host0002: rolled back"]
    assert lines[4].startswith("rollout: wave 2 did not pass: 1 good; rolled back: host0002")
    summary = json.loads(lines[5].partition(": ")[2])
    assert summary == json.loads((made.directory / "summary.json").read_text())
    assert (summary["outcomes"], summary["untouched"], summary["bad"]) == ({"good": 2, "rolled back": 1}, 0, {"host0002": "rolled back"})
    stats = output[output.index("CUSTOM STATS"):]
    for told in ("name: simulated", "wave: 2", "waves: 2", "passed: false", "good: 1", "rolled_back:"):
        assert told in stats


def test_plans_refusals_and_the_way_back_are_told_to_whoever_started_them(fleet, monkeypatch):
    """As AWX reads it: what set_stats hands on."""
    def stats(output):
        (line,) = re.findall("RUN: +(.*)", output)
        return re.sub(" +", " ", line)
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    made = fleet(2)
    made.write("host0001", "faults", {"survey": "refuse"})
    code, output = made.play("rollout", "--check")
    assert code == 0 and "forbidden: host0001: - data at risk name: simulated plan: - 'Rollout simulated: 2 hosts in 2 waves" in stats(output), output
    made.write("host0001", "faults", {"survey": "refuse"})
    code, output = made.play()
    assert code == 2 and "passed: false refused: 1 of 2 hosts cannot be rolled out to, nothing was changed" in stats(output), output
    code, output = made.play("rollout", rollout_waves=["1%", "1%"], rollout_canaries=0, rollout_soak=-1)
    assert code == 2 and "refused: 'rollout_soak: -1 is not a whole number from 0 up'" in stats(output), output
    assert made.play()[0] == 0
    code, output = made.play("rollback")
    assert code == 0 and "good: 1 name: simulated passed: true" in stats(output) and "wanted: undone wave: 2 waves: 2" in stats(output), output
    assert made.play()[0] == 0
    made.write("host0001", "faults", {"rollback": "fail"})
    code, output = made.play("rollback")
    assert code == 2 and "passed: false refused: '1 of 2 hosts were not brought back: " in stats(output), output


def test_a_host_that_may_not_be_changed_stops_all_before_anything(fleet):
    made = fleet(3)
    made.write("host0002", "faults", {"survey": "refuse"})
    code, output = made.play()
    assert code == 2 and "1 of 3 hosts cannot be rolled out to, nothing was changed" in output and "host0002: data at risk" in output
    made.write("host0002", "faults", {"survey": "fail"})
    code, output = made.play()
    assert code == 2 and "host0002: simulated: survey fails" in output and "did not answer" not in output, output
    made.write("host0002", "faults", {"survey": "vanish"})
    code, output = made.play()
    assert code != 0 and "host0002: it did not answer" in output
    assert made.touched() == [] and made.journal() == []


def test_another_rollouts_journal_is_refused(fleet):
    made = fleet(2)
    assert made.play()[0] == 0
    code, output = made.play("rollout", rollout_waves=[1, 1, 1], rollout_kernel_packages=["/tmp/linux-image-6.12.3.deb"])
    assert code == 2 and "is of another rollout: it differs in kernel" in output, output


def test_a_journal_loses_at_most_its_last_line(fleet):
    made = fleet(2)
    assert made.play()[0] == 0
    path = made.directory / "cache/rollouts/simulated/hosts/host0001.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    code, output = made.play()
    assert code == 0 and "the last line of the journal was cut off and is left out: host0001.jsonl" in output, output
    assert events(made, "host0001")[-1] == "done" and clean(made, "host0001") == AFTER
    path.write_bytes(path.read_bytes().replace(b'"event"', b'"ev', 1))
    code, output = made.play()
    assert code == 2 and "line 1 of the journal" in output and "is damaged" in output


@pytest.mark.parametrize("faults, playbook", [({}, "rollout"), ({"verify": "fail"}, "rollout"), ({"survey": "refuse"}, "rollout"),
                                              ({"rollback": "fail"}, "rollback"), ({}, "rollback")])
def test_the_lock_goes_with_the_run(fleet, faults, playbook):
    """Also where it fails: the next run may be on a controller that cannot see whether this one has ended."""
    made = fleet(1)
    if playbook == "rollback":
        assert made.play()[0] == 0
    made.write("host0000", "faults", faults)
    code, output = made.play(playbook)
    assert (code == 0) == (not faults), output
    assert (made.directory / "cache/rollouts/simulated").is_dir() and not list((made.directory / "cache").glob("**/lock.json*"))


def test_another_controllers_host_is_refused(fleet):
    made = fleet(3)
    (made.directory / "hosts/host0002/claim.json").write_text(json.dumps({"rollout": "other", "id": "x", "controller": "elsewhere", "since": "today"}))
    code, output = made.play()
    assert code != 0 and "host0002: the host belongs to the rollout other, which elsewhere began to work on at today" in output, output
    assert made.touched() == []


def test_what_forbids_a_host_that_was_brought_back_counts_too(fleet):
    made = fleet(2)
    made.write("host0000", "faults", {"kernel": "fail"})
    assert made.play()[0] == 2
    log = made.machine("host0000")["log"]
    made.write("host0000", "faults", {"survey": "refuse"})
    code, output = made.play()
    assert code == 2 and "1 of 2 hosts cannot be rolled out to, nothing was changed" in output, output
    assert made.machine("host0000")["log"] == log and events(made, "host0000")[-1] == "rolled_back"


def test_another_kernel_of_the_same_name_is_another_rollout_where_one_is_done(fleet, tmp_path):
    """Each host names its own, as an inventory does where hosts have other distributions."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "linux-image.deb").write_text(name)
    made = fleet(2, rollout_kernel_packages=["%s/{{ kind }}/linux-image.deb" % tmp_path], kind="bad")
    made.write("host0000", "faults", {"kernel": "fail"})
    assert made.play()[0] == 2
    # What failed may be tried with a better one.
    code, output = made.play(kind="good")
    assert code == 0, output
    logs = [made.machine(host)["log"] for host in made.hosts]
    code, output = made.play(kind="bad")
    assert code == 2 and "is of another rollout: it differs in kernel, which host0000 has from it already" in output, output
    assert [made.machine(host)["log"] for host in made.hosts] == logs
    assert made.play(kind="good")[0] == 0


def test_a_host_that_fell_back_to_its_old_kernel_is_not_good(fleet):
    """What it runs is this machine's own kernel; what it was rolled out with is changed instead."""
    made = fleet(2)
    assert made.play()[0] == 0
    path = made.directory / "cache/rollouts/simulated/hosts/host0000.jsonl"
    path.write_text(path.read_text().replace('"release": "%s"' % os.uname().release, '"release": "6.99.0"'))
    code, output = made.play()
    assert code == 2 and "wave 1 did not pass: 0 good; failed: host0000" in output and "the host was rolled out with 6.99.0" in output, output
    assert events(made, "host0000")[-1] == "drifted" and events(made, "host0001")[-1] == "done"


def test_the_way_back_goes_on_without_a_host_that_left_the_inventory(fleet):
    made = fleet(3, rollout_waves=["100%"])
    assert made.play()[0] == 0
    made.forget("host0001")
    code, output = made.play()
    assert code == 2 and "it differs in waves" in output and "or rolled back" in output, output
    code, output = made.play("rollback")
    assert code == 2 and "not in the inventory, and left as they are: host0001" in output, output
    assert "1 of 3 hosts were not brought back" in output and "unreachable: host0001" in output
    assert [clean(made, host) for host in made.hosts] == [BEFORE, AFTER, BEFORE]


def test_a_host_whose_way_back_failed_stays_claimed(fleet):
    made = fleet(3, rollout_waves=["100%"], rollout_limit=1)
    made.write("host0001", "faults", {"kernel": "fail", "rollback": "fail"})
    code, output = made.play()
    assert code == 0, output
    assert events(made, "host0001")[-1] == "rollback_failed" and claimed(made) == ["host0001"]
    code, output = made.play("rollout", rollout_name="next")
    assert code == 2 and "host0001: the host belongs to the rollout simulated" in output, output


def test_the_order_of_the_inventory_is_not_the_rollouts(fleet):
    made = fleet(3)
    made.write("host0002", "faults", {"kernel": "fail"})
    assert made.play()[0] == 2
    made.reverse()
    code, output = made.play()
    assert code == 0, output
    assert [clean(made, host) for host in made.hosts] == [AFTER] * 3


def test_a_rollback_of_what_never_was_leaves_nothing(fleet):
    made = fleet(1)
    code, output = made.play("rollback", rollout_name="never")
    assert code == 2 and "there is no rollout in the journal" in output, output
    assert not (made.directory / "cache").exists()


def test_the_last_of_a_failure_domain_waits_for_the_one_that_was_lost(fleet):
    made = fleet(4, racks=2, rollout_domain="rack", rollout_canaries=0, rollout_waves=[2, "100%"], rollout_limit=1)
    made.write("host0000", "faults", {"devices": "vanish"})
    code, output = made.play()
    assert code != 0 and "wave 2 does not start: all of the failure domain rack0 would be out, as host0000 is not in service" in output, output
    assert made.touched() == ["host0000", "host0001"]
