# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What role kernel_install does in which order: the role itself, with modules that write down what they are asked and answer what a test says."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

OLD, NEW = "6.1.0-56-amd64", "6.2.0-new"
SIMPLE = "gnulinux-simple-9f0608d1"
ADVANCED = "gnulinux-advanced-9f0608d1>gnulinux-%s-advanced-9f0608d1"
KERNEL = {"release": NEW, "packages": [{"path": "/x/new.deb", "file": "new.deb", "package": "linux-image-" + NEW, "release": NEW}]}
PLAN = {"stage": "booted", "release": NEW, "release_before": OLD, "default_before": ADVANCED % OLD, "held_before": False}
ANSWERS = {"kernel_package_info": KERNEL, "kernel_trial armed": PLAN, "kernel_trial accepted": {"changed": True, "removed": []},
           "kernel_trial abandoned": {"changed": True, "removed": ["linux-image-" + NEW], "remembered": []},
           "kernel_gate": {"passed": True, "reasons": [], "running": NEW}, "memmap_facts": {"ansible_facts": {"memmap": {"conflicts": []}}},
           "ping": {"ping": "pong"},
           "boot_entry": {"default": ADVANCED % OLD, "default_release": OLD, "running": NEW, "fixed": None,
                          "entries": [{"release": OLD}, {"release": NEW}]}}
MODULE = """#!%s
# WANT_JSON
import json, os, sys
with open(sys.argv[1]) as stream:
    asked = json.load(stream)
place = os.environ["ROLE_TEST"]
name = asked["_ansible_module_name"].rpartition(".")[2] + (" " + asked["state"] if "state" in asked else "")
with open(place + "/log", "a") as stream:
    stream.write(json.dumps([name, {key: value for key, value in asked.items() if not key.startswith("_")}]) + "\\n")
with open(place + "/answers") as stream:
    answers = json.load(stream)
print(json.dumps(answers[name] if asked["_ansible_check_mode"] else answers.get(name + " for good", answers[name])))
"""
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.include_role:
            name: memlab.testbed.kernel_install
            tasks_from: "{{ tasks_from }}"
      always:
        - ansible.builtin.copy:
            content: "{{ kernel_install_result | default({}) | to_json }}"
            dest: "{{ lookup('ansible.builtin.env', 'ROLE_TEST') }}/result"
            mode: "0600"
"""


class Run:
    """What has come of a run: exit code, output, what the modules were asked in their order, and the fact."""

    def __init__(self, directory, done):
        self.code, self.output = done.returncode, " ".join(done.stdout.split())
        self.asked = [json.loads(line) for line in (directory / "log").read_text().splitlines()] if (directory / "log").exists() else []
        self.names = [name for name, unused in self.asked]
        self.result = json.loads((directory / "result").read_text()) if (directory / "result").exists() else None


@pytest.fixture(name="role")
def the_role(tmp_path, collection):
    """``role(answers, tasks_from, **variables)``: the answers are beside :data:`ANSWERS`, the variables the role's."""
    place = tmp_path / "collections/ansible_collections/memlab/testbed"
    for name in ("roles", "plugins/modules"):
        (place / name).mkdir(parents=True)
    for name in ("galaxy.yml", "meta", "plugins/filter", "plugins/module_utils", "roles/kernel_install"):
        (place / name).symlink_to(collection / name)
    for name in {name.split()[0] for name in ANSWERS} | {"rebooted"}:
        (place / "plugins/modules" / (name + ".py")).write_text(MODULE % sys.executable)
    # what wait_for_connection asks
    (tmp_path / "library").mkdir()
    (tmp_path / "library/ping.py").write_text(MODULE % sys.executable)
    (place / "roles/host_reboot/tasks").mkdir(parents=True)
    (place / "roles/host_reboot/tasks/main.yml").write_text("- name: Reboot the host\n  memlab.testbed.rebooted:\n")
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)

    def run(answers, tasks_from="main", options=(), **variables):
        (tmp_path / "answers").write_text(json.dumps({**ANSWERS, "rebooted": {"changed": True}, **answers}))
        given = {"kernel_install_packages": ["/x/new.deb"], "ansible_python_interpreter": sys.executable, "tasks_from": tasks_from, **variables}
        environment = dict(os.environ, ROLE_TEST=str(tmp_path), ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "collections"), LC_ALL="C.UTF-8",
                           ANSIBLE_CONFIG=str(collection / "ansible.cfg"), ANSIBLE_NOCOLOR="1", ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"),
                           ANSIBLE_REMOTE_TEMP=str(tmp_path / "remote"))
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", json.dumps(given),
                               *options, str(tmp_path / "playbook.yml")], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return Run(tmp_path, done)

    return run


@pytest.mark.parametrize("saved, wanted", [
    # what the menu's first entry starts changes with each kernel that comes: it is found again by its release
    ({"default": SIMPLE, "default_release": OLD, "entries": [{"id": SIMPLE, "release": OLD}], "running": OLD}, OLD),
    ({"release": NEW, "default_before": ADVANCED % OLD, "release_before": OLD}, ADVANCED % OLD),
])
def test_the_way_back_leads_to_the_kernel_of_before(role, saved, wanted):
    done = role({}, "rollback", kernel_install_rollback_to=saved)
    assert done.code == 0, done.output
    assert done.asked == [["boot_entry", {"default": wanted}], ["rebooted", {}], ["kernel_trial abandoned", {"state": "abandoned", "release": NEW}]]
    assert "and do not come back: " not in done.output


@pytest.mark.parametrize("saved, abandoned, gone", [
    ({"release": NEW, "default_before": ADVANCED % OLD, "held_before": False, "removed": ["5.10"]}, {"release": NEW}, "5.10"),
    # nothing has come but what was begun
    ({"default_release": OLD, "held": False, "entries": [{"release": OLD}, {"release": NEW}, {"release": "5.10"}]}, {}, "5.10"),
])
def test_the_boot_loader_finds_its_default_again_and_what_is_gone_is_named(role, saved, abandoned, gone):
    done = role({}, "rollback", kernel_install_rollback_to=saved)
    assert done.code == 0, done.output
    assert done.asked[2:] == [["kernel_trial abandoned", dict(abandoned, state="abandoned")], ["boot_entry", {"hold": False}]]
    assert "and do not come back: %s" % gone in done.output


def test_without_a_default_there_is_no_way_back(role):
    done = role({}, "rollback", kernel_install_rollback_to={})
    assert (done.code, done.asked) == (2, []) and "kernel_install_rollback_to names no default entry" in done.output


GATE = ["kernel_package_info", "kernel_trial armed", "kernel_gate"]
BACK = ["ping", "boot_entry", "rebooted", "kernel_trial abandoned"]


@pytest.mark.parametrize("packages, asked", [([], []), (["/x/new.deb"], GATE[:2])])
def test_a_preview_before_the_kernel_is_built_has_nothing_to_say_of_it(role, packages, asked):
    done = role({}, options=["--check"], kernel_install_packages=packages, kernel_install_artifact={})
    assert (done.code, done.names) == (0, asked), done.output


def test_a_kernel_that_passes_is_kept(role):
    done = role({})
    assert (done.code, done.names) == (0, GATE + ["kernel_trial accepted"]), done.output
    assert (done.result["outcome"], done.result["release_before"]) == ("installed", OLD)


@pytest.mark.parametrize("answers, asked, reason", [
    ({"kernel_gate": {"passed": False, "reasons": ["kernel log: Oops", "check: x"], "running": NEW}}, GATE + BACK, "kernel log: Oops; check: x"),
    ({"kernel_gate": {"failed": True, "msg": "cannot read /proc/modules: do\nmore", "summary": "cannot read /proc/modules"}}, GATE + BACK,
     "Look at the running kernel: cannot read /proc/modules"),
    ({"memmap_facts": {"failed": True, "msg": "no such thing"}}, GATE + ["memmap_facts"] + BACK, "Look at the memmap facts: no such thing"),
    # the default is the new kernel already when accepting it fails
    ({"kernel_trial accepted": {"failed": True, "msg": "update-grub failed"}, "boot_entry": dict(ANSWERS["boot_entry"], default_release=NEW)},
     GATE + ["memmap_facts", "kernel_trial accepted", "ping", "boot_entry"] + BACK[1:], "Make it the default: update-grub failed"),
    # under a kernel that cannot tell the boot loader, accepting has not either: the reboot comes first
    ({"kernel_trial accepted": {"failed": True, "msg": "no EFI variables"},
      "boot_entry": dict(ANSWERS["boot_entry"], default_release=NEW, fixed="this kernel offers no EFI variables")},
     GATE + ["memmap_facts", "kernel_trial accepted"] + BACK, "Make it the default: no EFI variables"),
])
def test_whatever_fails_after_the_boot_brings_the_earlier_kernel_back(role, answers, asked, reason):
    done = role(answers, kernel_install_assertions=[{"expression": "`true`"}])
    assert (done.code, done.names) == (2, asked), done.output
    assert (done.result["outcome"], done.result["reason"]) == ("rolled_back", reason)
    assert "kernel %s is not kept: %s. %s runs and is the default." % (NEW, reason, OLD) in done.output
    assert [given for name, given in done.asked if name == "boot_entry"] == [{}, {"default": ADVANCED % OLD}][:asked.count("boot_entry")]


GONE = {"unreachable": True, "msg": "no route"}
RETURNED = dict(ANSWERS["boot_entry"], running=OLD)


@pytest.mark.parametrize("answers, asked, reason", [
    # it dies under the gate
    ({"kernel_gate": GONE, "boot_entry": RETURNED}, GATE + BACK, "the host was lost while its kernel was looked at; the host returned to %s by itself" % OLD),
    ({"kernel_gate": GONE}, GATE + BACK, "the host was lost while its kernel was looked at"),
    ({"memmap_facts": GONE}, GATE + ["memmap_facts"] + BACK, "the host was lost while its kernel was looked at"),
    ({"kernel_trial accepted": GONE}, GATE + ["memmap_facts", "kernel_trial accepted"] + BACK,
     "the host was lost while its kernel was being made the default"),
    # the gate has seen why, and then it dies
    ({"kernel_gate": {"passed": False, "reasons": ["kernel log: Oops"], "running": NEW}, "boot_entry": RETURNED}, GATE + BACK,
     "kernel log: Oops; the host returned to %s by itself" % OLD),
    ({"kernel_gate": {"passed": False, "reasons": ["running release: x", "module y: z"], "running": OLD}, "boot_entry": RETURNED}, GATE + BACK,
     "it did not come up: the host returned to %s by itself" % OLD),
])
def test_a_host_that_is_lost_under_the_gate_is_waited_for_and_the_reason_kept(role, answers, asked, reason):
    done = role(answers, kernel_install_assertions=[{"expression": "`true`"}])
    asked = [name for name in asked if name != "rebooted" or answers.get("boot_entry") != RETURNED]
    assert (done.code, done.names) == (2, asked), done.output
    assert (done.result["outcome"], done.result["reason"]) == ("rolled_back", reason)
    # where accepting may have come to its end, nothing else says what there is to remove
    assert ("release" in done.asked[-1][1]) == ("kernel_trial accepted" in answers)


ARMED = {"kernel_trial armed": dict(PLAN, stage="armed", changed=True)}
AWAY = {"failed": True, "msg": "Timed out waiting for last boot time check (timeout=1)\nmore"}


@pytest.mark.parametrize("answers, outcome, said", [
    ({"rebooted": AWAY, "boot_entry": RETURNED}, "rolled_back", "is not kept: Reboot the host: Timed out waiting for last boot time check (timeout=1)."),
    ({"rebooted": AWAY, "ping": {"failed": True, "msg": "no"}}, "lost",
     "is not kept, and the host is away: Reboot the host: Timed out waiting for last boot time check (timeout=1). Reset it, and run again."),
    ({"kernel_gate": GONE, "ping": {"failed": True, "msg": "no"}}, "lost", "is away: the host was lost while its kernel was looked at."),
    # the reboot to the earlier kernel
    ({"kernel_gate": {"passed": False, "reasons": ["check: x"], "running": NEW}, "rebooted": AWAY, "kernel_trial armed": PLAN}, "lost", "is away: check: x."),
])
def test_a_host_that_stays_away_leaves_a_result_and_the_kernel_s_last_words(role, tmp_path, answers, outcome, said):
    # with what a line says while a machine resets
    (tmp_path / "serial").write_bytes(b"\xff\x80\nLoading Linux %s ...\nKernel panic - not syncing: why\n" % NEW.encode())
    (tmp_path / "new.deb").write_text("")
    (tmp_path / "brought").mkdir()
    given = dict(KERNEL, packages=[dict(KERNEL["packages"][0], path=str(tmp_path / "new.deb"))])
    done = role(dict(ARMED, kernel_package_info=given, **answers), kernel_install_serial_log=str(tmp_path / "serial"), kernel_install_reboot_timeout=1,
                __kernel_install_directory=str(tmp_path / "brought"), __kernel_install_patience=1)
    assert done.code == 2 and said in done.output, done.output
    assert (done.result["outcome"], done.result["tail"]) == (outcome, ["Kernel panic - not syncing: why"])
    assert done.result["tail"][0] in done.output and "DEPRECATION" not in done.output


@pytest.mark.parametrize("answer, files, reason", [
    ({"failed": True, "msg": "dpkg failed"}, ["new.deb", "more.deb"], "dpkg failed"),
    (GONE, ["new.deb", "more.deb"], "the host was lost while the packages were being installed"),
    # the second cannot be copied
    ({}, ["new.deb"], ""),
])
def test_what_fails_before_the_boot_leaves_no_package_on_the_host(role, tmp_path, answer, files, reason):
    (tmp_path / "brought").mkdir()
    for name in files:
        (tmp_path / name).write_text("")
    packages = [dict(KERNEL["packages"][0], path=str(tmp_path / name), file=name) for name in ("new.deb", "more.deb")]
    done = role({**ARMED, "kernel_package_info": dict(KERNEL, packages=packages), "kernel_trial armed for good": answer},
                __kernel_install_directory=str(tmp_path / "brought"))
    assert done.code == 2 and list((tmp_path / "brought").iterdir()) == [], done.output
    assert (done.result["outcome"], "rebooted" in done.names) == ("rolled_back", False)
    assert done.result["reason"].startswith(reason), done.result


@pytest.mark.parametrize("variables, said", [
    ({"kernel_install_checks": ["systemctl is-active ssh"]}, "kernel_install_checks: each is a list of words, all of them text"),
    ({"kernel_install_checks": [["sleep", 5]]}, "kernel_install_checks: each is a list of words, all of them text"),
    ({"kernel_install_kexec": True, "host_reboot_by": "qemu"}, "kernel_install_kexec: host_reboot_by is qemu"),
    ({"kernel_install_assertions": [{"expression": "devices[?"}]}, "not a JMESPath expression: devices[? "),
])
def test_what_the_gate_could_not_ask_is_refused_before_anything_else(role, variables, said):
    done = role({}, **variables)
    assert (done.code, done.asked) == (2, []) and said in done.output, done.output


@pytest.mark.parametrize("command, by", [("systemctl reboot", "qemu"), ("systemctl kexec", "host")])
def test_a_kexec_is_the_host_s_own_even_where_qemu_has_its_memory(collection, tmp_path, command, by):
    guest = {"memlab_guest": "node", "memlab_guest_definition": {"image": {"loader": "grub"}, "cxl": {"memory_devices": [{}]}}, "host_reboot_command": command}
    defaults = "@%s" % (collection / "roles/host_reboot/defaults/main.yml")
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "ansible"), "localhost", "-m", "ansible.builtin.debug", "-a", "var=host_reboot_by",
                           "-e", defaults, "-e", json.dumps(guest)], text=True, check=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8", ANSIBLE_NOCOLOR="1", ANSIBLE_LOCAL_TEMP=str(tmp_path)), stdout=subprocess.PIPE)
    assert "host_reboot_by: %s" % by in done.stdout.replace('"', "")
