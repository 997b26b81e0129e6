# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a trial refuses before it changes anything, on a recorded host, where nothing can be changed."""
from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import packages, trial
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

PACKAGE = {"path": "/x/new.deb", "file": "new.deb", "package": "linux-image-6.2.0-new", "version": "1", "architecture": "amd64", "release": "6.2.0-new",
           "size": 1000, "boot_bytes": 1000, "other_bytes": 1000}
WANTED = trial.Wanted("6.2.0-new", [PACKAGE], None, ["panic=10"], 60, 900, False)
OLD = "6.1.0-56-amd64"
STATUS = "Package: linux-image-%s\nStatus: install ok installed\nVersion: 6.1.192-2\n\n"


@pytest.fixture(name="host")
def fixture_host(tree):
    """(directory, host) of a host on which no trial is under way."""
    directory, host = tree("grub-armed")
    (directory / "var/lib/dpkg").mkdir(parents=True)
    (directory / "var/lib/dpkg/status").write_text(STATUS % OLD, encoding="ascii")
    environment = (directory / "boot/grub/grubenv").read_text(encoding="ascii").replace("next_entry=memlab-trial\n", "")
    (directory / "boot/grub/grubenv").write_text(environment, encoding="ascii")
    return directory, host


def test_a_host_that_can(host):
    answer = trial.arm(host[1], WANTED, check_mode=True)
    assert (answer["changed"], answer["stage"], answer["release_before"], answer["watchdog"]) == (True, "armed", OLD, ["softdog"])
    assert answer["default_before"].endswith(">gnulinux-6.1.0-56-amd64-advanced-9f0608d1-dff2-46af-bca6-8ebc7dcd8312")


@pytest.mark.parametrize("changes, said", [
    ({"parameters": ["panic=10 quiet"]}, "is not one boot parameter"),
    ({"watchdog": 0}, "watchdog: 0 is not from 5 to 2046 seconds"),
    ({"deadline": 60}, "deadline: 60 s are not more than the watchdog's 60"),
    ({"kexec": True}, "the tool kexec is not installed: install kexec-tools"),
    ({"packages": [dict(PACKAGE, boot_bytes=1 << 60)]}, "no room for the kernel: /boot has"),
    ({"release": OLD}, "6.1.0-56-amd64 is the running kernel or the default, and new.deb differs .*: give the new kernel a release of its own"),
])
def test_what_is_asked_for_cannot_be(host, changes, said):
    with pytest.raises(TestbedError, match=said):
        trial.arm(host[1], WANTED._replace(**changes))


@pytest.mark.parametrize("place, text, said", [
    ("proc/sys/kernel/osrelease", "5.10.0\n", "kernel 5.10.0 runs, and 6.1.0-56-amd64 is the default: a failed trial would not come back to what runs"),
    ("proc/self/mountinfo", "24 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n", "a kernel cannot be tried for one boot: GRUB cannot write"),
    ("boot/grub/custom.cfg", "set superusers=\"root\"\n", "a failed trial would not come back by itself: GRUB has superusers .*: give it --unrestricted"),
    ("boot/grub/grub.cfg", "menuentry 'Other system' {\n\tchainloader /x\n}\n", "grub starts no kernel of this system by default"),
])
def test_the_host_cannot(host, place, text, said):
    (host[0] / place).write_text(text, encoding="ascii")
    with pytest.raises(TestbedError, match=said):
        trial.arm(host[1], WANTED)


def test_a_host_without_dpkg(host):
    (host[0] / "var/lib/dpkg/status").unlink()
    (host[0] / "etc/os-release").write_text('PRETTY_NAME="Fedora Linux 43 (Server Edition)"\n', encoding="ascii")
    with pytest.raises(TestbedError, match=r"no way is known to install a kernel on Fedora Linux 43 \(Server Edition\)"):
        trial.arm(host[1], WANTED)


def test_a_kernel_that_is_there_already(host):
    wanted = WANTED._replace(release=OLD, packages=[dict(PACKAGE, package="linux-image-" + OLD, version="6.1.192-2", release=OLD)])
    answer = trial.arm(host[1], wanted)
    assert (answer["changed"], answer["stage"]) == (False, "accepted")


def test_a_kernel_of_the_same_name_with_another_version_is_another_one(host, tmp_path):
    """The same release built from other inputs: dpkg has the one, the other is to come in its place while it runs."""
    described = []
    for version in ("6.1.192-1+memlab.00000000", "6.1.192-1+memlab.11111111"):
        tree = tmp_path / version
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text("Package: linux-image-%s\nVersion: %s\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n"
                                             % (OLD, version), encoding="ascii")
        (tree / "boot").mkdir()
        (tree / ("boot/vmlinuz-" + OLD)).write_text(version, encoding="ascii")
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(tree) + ".deb"], check=True, stdout=subprocess.DEVNULL)
        described.append(packages.describe(Host(), str(tree) + ".deb"))
    (host[0] / "var/lib/dpkg/status").write_text(STATUS.replace("6.1.192-2", described[0]["version"]) % OLD, encoding="ascii")
    first, second = (WANTED._replace(release=OLD, packages=[entry]) for entry in described)
    assert trial.arm(host[1], first)["stage"] == "accepted"
    with pytest.raises(TestbedError, match="%s is the running kernel or the default, and .* differs .*: give the new kernel a release of its own" % OLD):
        trial.arm(host[1], second)


@pytest.mark.parametrize("record", [{"release": "6.2.0-new", "release_before": OLD}, None])
def test_a_kernel_that_runs_and_is_not_accepted_yet(host, record):
    """The controller was lost after the boot, or somebody has booted it by hand: the run goes on at the gate, and what comes back is the default."""
    (host[0] / "proc/sys/kernel/osrelease").write_text("6.2.0-new\n", encoding="ascii")
    (host[0] / "var/lib/dpkg/status").write_text(STATUS % OLD + STATUS.replace("6.1.192-2", "1") % "6.2.0-new", encoding="ascii")
    (host[0] / "var/lib/memlab").mkdir(parents=True)
    (host[0] / "var/lib/memlab/kernel-trial.json").write_text(json.dumps(record), encoding="ascii")
    answer = trial.arm(host[1], WANTED)
    assert (answer["changed"], answer["stage"], answer["release_before"]) == (False, "booted", OLD)
    assert answer["default_before"].endswith(">gnulinux-6.1.0-56-amd64-advanced-9f0608d1-dff2-46af-bca6-8ebc7dcd8312")


def test_a_kernel_that_was_being_accepted_is_not_accepted_yet(host):
    """It is the default, but its trial is still written down: what it has brought for the boot on trial is to be taken away, or all of it."""
    new, place = "6.1.0-56-panics", host[0] / "boot/grub/grubenv"
    place.write_text(place.read_text(encoding="ascii").replace(OLD, new), encoding="ascii")
    (host[0] / "proc/sys/kernel/osrelease").write_text(new + "\n", encoding="ascii")
    (host[0] / "var/lib/dpkg/status").write_text(STATUS.replace("6.1.192-2", "1") % new, encoding="ascii")
    (host[0] / "var/lib/memlab").mkdir(parents=True)
    written = {"release": new, "release_before": OLD, "default_before": "the old one's"}
    (host[0] / "var/lib/memlab/kernel-trial.json").write_text(json.dumps(written), encoding="ascii")
    wanted = WANTED._replace(release=new, packages=[dict(PACKAGE, package="linux-image-" + new, release=new)])
    answer = trial.arm(host[1], wanted)
    assert (answer["stage"], answer["release_before"], answer["default_before"]) == ("booted", OLD, "the old one's")


def test_what_an_earlier_run_left_half_done_is_named(host):
    (host[0] / "var/lib/dpkg/status").write_text(STATUS % OLD + STATUS.replace("ok installed", "ok half-configured") % "6.2.0-old", encoding="ascii")
    (host[0] / "var/lib/memlab").mkdir(parents=True)
    (host[0] / "var/lib/memlab/kernel-trial.json").write_text(json.dumps({"release": "6.2.0-old"}), encoding="ascii")
    assert trial.arm(host[1], WANTED, check_mode=True)["repaired"] == [
        "dpkg had been interrupted at linux-image-6.2.0-old", "a trial of 6.2.0-old had not come to its end"]


@pytest.mark.parametrize("text", ["", "[]", "{", "{\"release\": 5}", "null"])
def test_a_damaged_record_is_none(host, text):
    (host[0] / "var/lib/memlab").mkdir(parents=True)
    (host[0] / "var/lib/memlab/kernel-trial.json").write_text(text, encoding="ascii")
    assert trial.record(host[1]) is None


def test_neither_what_runs_nor_the_default_is_taken_away(host):
    with pytest.raises(TestbedError, match="kernel 6.1.0-56-amd64 cannot be taken away: it runs"):
        trial.abandon(host[1], OLD)
    assert trial.abandon(host[1]) == {"changed": False, "removed": [], "remembered": []}


def test_a_kernel_that_does_not_run_is_not_accepted(host):
    with pytest.raises(TestbedError, match="6.2.0-new cannot be made the default: 6.1.0-56-amd64 runs"):
        trial.accept(host[1], "6.2.0-new")
