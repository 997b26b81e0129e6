# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which watchdog a machine has, what is written for a trial, and what a serial line tells of its end."""
from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import safeguards, serial
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

RELEASE = "6.1.0-56-amd64"


@pytest.fixture(name="machine")
def fixture_machine(tmp_path):
    modules = tmp_path / "lib/modules" / RELEASE
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("kernel/drivers/watchdog/i6300esb.ko: kernel/drivers/watchdog/watchdog.ko\nkernel/drivers/watchdog/iTCO_wdt.ko:\n"
                                         "kernel/drivers/virtio/virtio_pci.ko:\n", encoding="ascii")
    (modules / "modules.alias").write_text("# Aliases\nalias pci:v00008086d000025ABsv*sd*bc*sc*i* i6300esb\nalias platform:iTCO_wdt iTCO_wdt\n"
                                           "alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n", encoding="ascii")
    return tmp_path


def device(machine, alias):
    place = machine / "sys/bus/pci/devices/0000:00:05.0"
    place.mkdir(parents=True)
    (place / "modalias").write_text(alias + "\n", encoding="ascii")


def test_a_watchdog_that_has_its_driver(machine):
    place = machine / "sys/class/watchdog/watchdog0/device/driver"
    place.mkdir(parents=True)
    os.symlink("../../../../module/iTCO_wdt", place / "module")
    device(machine, "pci:v00008086d000025ABsv00000000sd00000000bc08sc80i00")
    assert safeguards.drivers(Host(str(machine)), RELEASE) == ["iTCO_wdt"]


def test_a_watchdog_whose_driver_is_not_loaded(machine):
    """As on Debian, which keeps udev from loading drivers of watchdogs."""
    device(machine, "pci:v00008086d000025ABsv00000000sd00000000bc08sc80i00")
    assert safeguards.drivers(Host(str(machine)), RELEASE) == ["i6300esb"]


def test_a_machine_without_a_watchdog_has_the_kernel_s_timers(machine):
    device(machine, "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00")
    assert safeguards.drivers(Host(str(machine)), RELEASE) == ["softdog"]


@pytest.mark.parametrize("dep, builtin, found", [
    ("kernel/drivers/watchdog/i6300esb.ko.xz: kernel/drivers/watchdog/watchdog.ko.xz\nkernel/drivers/watchdog/softdog.ko.xz:\n", "", (["i6300esb"], [])),
    ("", "kernel/drivers/watchdog/i6300esb.ko\n", (["i6300esb"], ["i6300esb"])),
    ("kernel/drivers/watchdog/softdog.ko:\n", "", (["softdog"], [])),
    ("", "kernel/drivers/watchdog/softdog.ko\n", (["softdog"], ["softdog"])),
    ("kernel/drivers/watchdog/iTCO_wdt.ko:\n", "kernel/fs/ext4/ext4.ko\n", ([], [])),
])
def test_the_driver_is_the_new_kernel_s(machine, dep, builtin, found):
    """Which may have it built in, not have it, or have none at all."""
    place = machine / "lib/modules/6.9-new"
    place.mkdir()
    (place / "modules.dep").write_text(dep, encoding="ascii")
    (place / "modules.builtin").write_text(builtin, encoding="ascii")
    assert safeguards.of_kernel(Host(str(machine)), ["i6300esb"], "6.9-new") == found


def test_what_there_is_not_is_said(machine):
    host = Host(str(machine))
    assert safeguards.of_kernel(host, ["i6300esb"], "6.9-none") == ([], [])
    assert safeguards.lacks(host, [], ["i6300esb"], "6.9-none") == [
        "kernel 6.9-none has no driver of a watchdog (i6300esb, softdog): what hangs in it does not come back by itself"]
    assert "no initramfs-tools here" in safeguards.lacks(host, ["softdog"], ["i6300esb"], "6.9-none")[0]
    (machine / "usr/share/initramfs-tools").mkdir(parents=True)
    (machine / "usr/share/initramfs-tools/hook-functions").write_text("", encoding="ascii")
    assert safeguards.lacks(host, ["softdog"], ["i6300esb"], "6.9-none") == []


def test_the_seconds_reach_a_driver_that_is_built_in():
    assert safeguards.parameters(["panic=10"], 40) == ["panic=10", "memlab.trial=40"]
    assert "i6300esb.heartbeat=40" in safeguards.parameters(["panic=10"], 40, ["i6300esb"])


def test_softdog_comes_along_for_a_kernel_without_the_machine_s_driver(tmp_path):
    host = Host(str(tmp_path))
    safeguards.put(host, ["i6300esb"], 30, 900)
    assert "manual_add_modules i6300esb softdog\n" in host.read(safeguards.HOOK) + "\n"
    assert "[ -c /dev/watchdog ] || modprobe -q softdog" in host.read(safeguards.SCRIPT)


def test_the_files_of_a_trial_are_scripts_and_units_and_are_written_once(tmp_path):
    host = Host(str(tmp_path))
    assert safeguards.put(host, ["i6300esb"], 30, 900)
    assert not safeguards.put(host, ["i6300esb"], 30, 900)
    for place in (safeguards.HOOK, safeguards.SCRIPT):
        assert os.access(host.path(place), os.X_OK)
        subprocess.run(["sh", "-n", host.path(place)], check=True)
    link = host.path(safeguards.UNITS + "/sysinit.target.wants/memlab-trial.timer")
    assert os.path.samefile(os.path.join(os.path.dirname(link), os.readlink(link)), host.path(safeguards.UNITS + "/memlab-trial.timer"))
    assert safeguards.remove(host)
    assert not safeguards.remove(host)
    assert [name for directory, unused, names in os.walk(tmp_path) for name in names] == []


SERIAL = ("Loading Linux 6.1.0-bad ...\r\n[    1.0] Loading initial ramdisk\r\nold boot\r\n\x1b[2JBdsDxe: loading Boot0001\r\n"
          "Loading Linux 6.1.0-bad ...\r\n[    9.0] sysrq: Trigger a crash\r\n[    9.1] Kernel panic - not syncing: sysrq triggered crash\r\n"
          "[    9.1] RAX: ffffffffffffffda RBX: 0000000000000001\r\n[    9.1]  at ffff888012345678\r\n"
          "[    9.2] Kernel Offset: 0x35400000 from 0xffffffff81000000\r\nBdsDxe: loading Boot0001\r\nLoading Linux 6.1.0-good ...\r\nfine\r\n")


def test_the_end_of_a_kernel_s_last_boot():
    assert serial.tail(SERIAL, "6.1.0-bad") == [
        "[    9.0] sysrq: Trigger a crash", "[    9.1] Kernel panic - not syncing: sysrq triggered crash", "[    9.1]  at [address]"]
    assert serial.tail(SERIAL, "6.1.0-good") == ["fine"]
    assert serial.tail(SERIAL, "6.1.0-never", lines=1) == ["fine"]
    assert serial.tail("", "6.1.0") == []


def test_the_words_of_a_kernel_that_systemd_boot_started_are_those_before_the_host_came_back():
    boots = ["BdsDxe: loading Boot0001\nBdsDxe: starting Boot0001\n%s\n" % said for said in ("old", "[ 1.0] Kernel panic - not syncing: why", "old again")]
    assert serial.tail("".join(boots), "6.1.0-bad", lines=1) == ["[ 1.0] Kernel panic - not syncing: why"]
    assert serial.tail(boots[0], "6.1.0-bad", lines=1) == ["old"]


def test_why_a_kernel_died_is_said_however_long_its_trace():
    text = "Loading Linux 6 ...\nKernel panic - not syncing: why\n" + "".join("[ 1.0]  ? guess+0x1/0x2\n[ 1.0]  call%d+0x1/0x2\n" % place for place in range(9))
    assert serial.tail(text, "6", lines=2) == ["Kernel panic - not syncing: why", "[ 1.0]  call7+0x1/0x2", "[ 1.0]  call8+0x1/0x2"]
