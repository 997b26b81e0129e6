# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What holds a default entry comes with a trial and goes with it, on the recorded host, where GRUB's and dpkg's tools do what these tests need of them."""
from __future__ import annotations

import json
import os
import pathlib

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import grub, loader, trial
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

OLD, NEW, NEWEST = "6.1.0-56-amd64", "6.2.0-new", "6.3.0-newest"
PACKAGE = {"path": "/x/new.deb", "file": "new.deb", "package": "linux-image-" + NEW, "version": "1", "architecture": "amd64", "release": NEW,
           "size": 1000, "boot_bytes": 1000, "other_bytes": 1000}
WANTED = trial.Wanted(NEW, [PACKAGE], None, ["panic=10"], 60, 900, False)
STATUS = "Package: linux-image-%s\nStatus: install ok installed\nVersion: 1\n\n"
ENTRY = "menuentry '%s' --id %s {\n\tlinux /boot/vmlinuz-%s root=/dev/vda\n}\n"


class Tools(Host):
    """A tree on which update-grub, grub-editenv and dpkg work; ``failing`` is the first word of what they refuse."""

    failing = None

    def put(self, name, text):
        path = pathlib.Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")

    def runs(self, release):
        self.put("/proc/sys/kernel/osrelease", release + "\n")

    def comes(self, release):
        for name in ("vmlinuz", "initrd.img"):
            self.put("/boot/%s-%s" % (name, release), "x")
        self.put("/var/lib/dpkg/status", (self.read_optional("/var/lib/dpkg/status") or "").strip("\n") + "\n\n" + STATUS % release)
        self.put("/var/lib/dpkg/info/linux-image-%s.list" % release, "/boot/vmlinuz-%s\n" % release)
        self.run(["update-grub"])

    def goes(self, package):
        release = package[len("linux-image-"):]
        for name in ("vmlinuz", "initrd.img"):
            pathlib.Path(self.path("/boot/%s-%s" % (name, release))).unlink()
        self.put("/var/lib/dpkg/status", self.read("/var/lib/dpkg/status").replace((STATUS % release).strip("\n"), ""))
        self.run(["update-grub"])

    def run(self, argv, timeout=120, given=None):
        words = [word for word in argv if word != "env" and not word.startswith(("--force", "DEBIAN", "DPKG_"))]
        if self.failing and words[0] == self.failing:
            raise TestbedError("%s failed with exit code 1" % words[0])
        if words[:2] == ["dpkg", "--install"]:
            self.comes(NEW)
        elif words[:2] == ["dpkg", "--purge"]:
            for package in words[2:]:
                self.goes(package)
        elif words[0] == "update-grub":
            releases = sorted((name[8:] for name in self.listdir("/boot") if name.startswith("vmlinuz-")), reverse=True)
            submenu = "submenu 'Advanced' --id advanced {\n" + "".join(ENTRY % (3 * (name,)) for name in releases) + "}\n"
            said = 'set default="%s"\n' % ("${saved_entry}" if self.exists(grub.PIN) else "0")
            self.put(grub.CONFIGURATION, said + ENTRY % ("Debian", "simple", releases[0]) + submenu)
        elif words[0] == "grub-editenv":
            lines = [line for line in self.read(words[1]).splitlines() if not line.startswith(words[-1].partition("=")[0] + "=")]
            self.put(words[1], "\n".join(lines + (words[3:] if words[2] == "set" else [])) + "\n")
        return ""


@pytest.fixture(name="host")
def fixture_host(tree, monkeypatch):
    """Stock: the only kernel is the menu's first and the default."""
    monkeypatch.setattr(os, "sync", lambda: None)  # of all that this machine writes
    host = Tools(str(tree("grub-armed")[0]))
    for name in (grub.TRIAL, grub.HOOK, grub.PIN):
        pathlib.Path(host.path(name)).unlink()
    host.put(grub.ENVIRONMENT, "# GRUB Environment Block\n")
    host.put("/dev/kmsg", "")
    host.put(PACKAGE["path"], "")
    host.comes(OLD)
    return host


def stock(host):
    """Whether the boot loader is told nothing, and would start ``OLD`` because it is the newest."""
    entry = loader.find(host).default()
    said = [host.exists(name) for name in (grub.PIN, grub.HOOK, grub.TRIAL, trial.RECORD)]
    return not any(said) and host.read(grub.ENVIRONMENT) == "# GRUB Environment Block" and (entry.id, entry.release) == ("simple", OLD)


def test_a_trial_that_is_taken_back_leaves_the_boot_loader_as_it_was(host):
    assert trial.arm(host, WANTED)["held_before"] is False
    assert loader.find(host).held() and loader.find(host).default().id == "advanced>" + OLD
    # a run that is gone on with knows what was before the first
    assert trial.arm(host, WANTED)["held_before"] is False
    assert trial.abandon(host)["removed"] == ["linux-image-" + NEW]
    assert stock(host)


def test_one_that_failed_half_way_does_too(host):
    def refuse(argv, timeout=120, given=None):
        if "--install" in argv:
            raise TestbedError("dpkg failed with exit code 1")
        return Tools.run(host, argv, timeout, given)
    host.run = refuse
    with pytest.raises(TestbedError, match="dpkg failed") as failure:
        trial.arm(host, WANTED)
    assert "undone" in failure.value.details[-1] and stock(host)


def test_what_was_held_before_is_held_after(host):
    loader.apply(host, default=OLD)
    before = host.read(grub.ENVIRONMENT)
    assert trial.arm(host, WANTED)["held_before"] is True
    trial.abandon(host)
    assert loader.find(host).held() and loader.find(host).pinned() and host.read(grub.ENVIRONMENT) == before


def test_it_is_held_where_a_kernel_came_meanwhile(host):
    """Which nobody has tried: as long as it was held it was not the default."""
    trial.arm(host, WANTED)
    host.comes(NEWEST)
    trial.abandon(host)
    assert loader.find(host).held() and loader.find(host).default().id == "advanced>" + OLD


def test_accepted_and_later_let_go(host):
    trial.arm(host, WANTED)
    host.runs(NEW)
    trial.accept(host, NEW)
    host.comes(NEWEST)
    assert loader.look(host, loader.find(host))["held"] and loader.find(host).default().release == NEW
    assert [loader.apply(host, hold=False, check_mode=check)[0] for check in (True, False, True, False)] == [True, True, False, False]
    seen = loader.look(host, loader.find(host))
    assert (seen["held"], seen["default_release"]) == (False, NEWEST)
    assert [loader.apply(host, hold=True, check_mode=check)[0] for check in (True, False, True, False)] == [True, True, False, False]
    assert loader.find(host).default().id == "advanced>" + NEWEST
    with pytest.raises(TestbedError, match="a default that is chosen is held: leave out hold, or default"):
        loader.apply(host, default=OLD, hold=False)


def test_a_default_that_cannot_be_let_go_stays_held(host):
    loader.apply(host, default=OLD)
    host.failing = "update-grub"
    with pytest.raises(TestbedError, match="update-grub failed"):
        loader.apply(host, hold=False)
    assert loader.find(host).held()
    host.failing = None
    assert loader.apply(host, hold=False)[0] and stock(host)


def test_a_default_that_cannot_be_chosen_leaves_all_as_it_was(host):
    host.comes(NEWEST)
    host.failing = "update-grub"
    before = loader.look(host, loader.find(host))
    with pytest.raises(TestbedError, match="update-grub failed"):
        loader.apply(host, default=OLD)
    assert loader.look(host, loader.find(host)) == before and not before["held"]
    assert [host.exists(name) for name in (grub.PIN, grub.HOOK)] == [False, False] and "saved_entry" not in host.read(grub.ENVIRONMENT)
    # one that was chosen before stays chosen, and what has the menu read the entry on trial is there with it
    host.failing = None
    loader.apply(host, default=OLD)
    chosen = [host.read(name) for name in (grub.PIN, grub.HOOK, grub.ENVIRONMENT)]
    host.failing = "update-grub"
    with pytest.raises(TestbedError, match="update-grub failed"):
        loader.apply(host, hold=False)
    assert [host.read(name) for name in (grub.PIN, grub.HOOK, grub.ENVIRONMENT)] == chosen and os.access(host.path(grub.HOOK), os.X_OK)


def test_a_kernel_that_cannot_be_removed_does_not_undo_that_another_is_accepted(host):
    host.comes("5.10.0-1")
    trial.arm(host, WANTED)
    host.runs(NEW)
    host.failing = "dpkg"
    answer = trial.accept(host, NEW, keep=0)
    assert answer == {"changed": True, "removed": [], "release": NEW,
                      "warnings": ["kernels that are not to be kept could not be removed: dpkg failed with exit code 1"]}
    assert loader.find(host).default().release == NEW and trial.record(host) is None


def test_the_earlier_default_is_kept_whatever_its_entry_is_called_meanwhile(host):
    trial.arm(host, WANTED)
    host.runs(NEW)
    written = trial.record(host)
    host.put(trial.RECORD, json.dumps(dict(written, default_before="advanced-of-another-root>" + OLD)))
    assert trial.accept(host, NEW, keep=0)["removed"] == []
