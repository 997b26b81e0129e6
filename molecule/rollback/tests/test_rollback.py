# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each time the host ends on its old kernel, which is still the default, and the play fails for that host and says why."""
from __future__ import annotations

import base64
import json
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import paths
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

HERE = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module", name="kernels")
def the_kernels(tmp_path_factory):
    """Name to (path, release) of good and bad kernels."""
    directory = tmp_path_factory.mktemp("kernels")
    subprocess.run([sys.executable, str(HERE / "kernels.py"), str(directory), "good", "panics", "hangs", "other", "newer"], check=True)
    releases = json.loads((directory / "kernels.json").read_text(encoding="ascii"))
    return {name: (str(directory / (name + ".deb")), release) for name, release in releases.items()}


@pytest.fixture(scope="module", name="guests")
def the_guests(open_guest):
    """All guests, each with the kernel it came with."""
    found = {name: open_guest(name) for name in ("first", "second", "third")}
    for guest in found.values():
        guest.old = guest.shell("uname -r").strip()
        guest.boot = files(guest)
    return found


def files(guest):
    """What of kernels there is on the disk, and of systemd-boot's on the EFI system partition."""
    return guest.shell("ls /boot /lib/modules; ls -d /efi/loader/entries/* /efi/*/*/* 2>/dev/null || :").split()


def started(guest):
    return guest.shell("cat /proc/sys/kernel/random/boot_id").strip()


def start(controller, kernels, chosen, **variables):
    given = dict(variables, kernels={guest: kernels[name][0] for guest, name in chosen.items()})
    return controller.start("ansible-playbook", "-i", HERE / "testbed.qemu.yml", HERE / "install.yml", "-e", json.dumps(given))


def install(controller, kernels, chosen, **variables):
    return controller.finish(start(controller, kernels, chosen, **variables), 3600)


def said(done, guest):
    """What the play said of a guest: kernel_install_result, and whether it failed there."""
    found = re.search(r"result %s ([A-Za-z0-9+/=\s]+);" % guest, done.output)
    failed = re.search(r"^%s +: .*failed=(\d+)" % guest, done.output, re.MULTILINE)
    return json.loads(base64.b64decode(found.group(1))), int(failed.group(1))


def stands(guest):
    """The old kernel runs, is the default, and nothing of another one is left."""
    guest.connect()
    assert guest.shell("uname -r").strip() == guest.old
    assert "Linux version %s " % guest.old in guest.shell("cat /proc/version")
    # it is found by itself again: a later kernel of the distribution would be the default
    if by_grub(guest):
        environment = guest.shell("grub-editenv list")
        assert "saved_entry" not in environment
        assert "next_entry" not in environment or "next_entry=\n" in environment
        assert 'set default="0"' in guest.shell("cat /boot/grub/grub.cfg")
        assert guest.shell("ls /etc/default/grub.d/60-memlab* /etc/grub.d/44_memlab* 2>/dev/null || :") == ""
    else:
        assert chosen(guest) == {}
    assert files(guest) == guest.boot
    assert guest.shell("dpkg --audit; ls /var/lib/memlab /etc/systemd/system.conf.d 2>/dev/null || :").split() in (
        [], ["/etc/systemd/system.conf.d:", "/var/lib/memlab:"])


def by_grub(guest):
    return guest.shell("ls -d /sys/firmware/efi/efivars/LoaderInfo-* 2>/dev/null || :") == ""


def chosen(guest):
    """systemd-boot's default and its entry for one boot, as far as they are set: variables of the firmware, four bytes of attributes before the text."""
    found = {name: guest.shell("cat /sys/firmware/efi/efivars/LoaderEntry%s-* 2>/dev/null | tail -c +5 | tr -d '\\000'" % name)
             for name in ("Default", "OneShot")}
    return {name: value for name, value in found.items() if value}


def serial(guest):
    return (pathlib.Path(paths.guest_directory("rollback", guest)) / "serial.log").read_text(encoding="utf-8", errors="replace")


def test_a_full_disk_is_seen_before_anything_is_changed(controller, guests, kernels):
    guest = guests["first"]
    before = guest.shell("sha256sum /boot/grub/grub.cfg /boot/grub/grubenv; ls /etc/default/grub.d /etc/grub.d /var/cache/apt/archives")
    try:
        guest.shell("fallocate -l $(( $(df --output=avail -B1 / | tail -1) - 20000000 )) /var/full")
        done = install(controller, kernels, {"first": "good"})
    finally:
        guest.shell("rm -f /var/full")
    assert done.code == 2 and "no room for the kernel: /boot has" in done.output, done.output
    assert "remove kernels that are not needed any more" in re.sub(r"\s+", " ", done.output)
    assert guest.shell("sha256sum /boot/grub/grub.cfg /boot/grub/grubenv; ls /etc/default/grub.d /etc/grub.d /var/cache/apt/archives") == before


def test_kernels_that_panic_and_that_hang(controller, guests, kernels):
    boots = {name: started(guest) for name, guest in guests.items()}
    done = install(controller, kernels, {"first": "panics", "second": "hangs", "third": "panics"}, watchdog=40)
    assert done.code == 2, done.output
    for name, kind in (("first", "panics"), ("second", "hangs"), ("third", "panics")):
        result, failed = said(done, name)
        assert failed == 1, done.output
        assert (result["outcome"], result["release"], result["release_before"]) == ("rolled_back", kernels[kind][1], guests[name].old)
        assert "it did not come up: the host returned to %s by itself" % guests[name].old == result["reason"]
        stands(guests[name])
        assert started(guests[name]) != boots[name]
        assert "Booting `Linux %s, on trial for one boot'" % kernels[kind][1] in serial(name) or not by_grub(guests[name])
    for name in ("first", "third"):
        assert any("Kernel panic - not syncing: sysrq triggered crash" in line for line in said(done, name)[0]["tail"])
    # nothing but the watchdog has ended it
    assert "Kernel panic" not in serial("second") and "watchdog did not stop" in serial("second")


def test_a_loss_of_power_during_the_installation_and_a_kernel_that_is_another(controller, guests, kernels):
    cut = guests["first"]
    known = cut.variables()
    cut.shell("mkfifo /run/wait-here")
    running = start(controller, kernels, {"first": "good", "second": "other", "third": "good"})
    try:
        Host().wait_until(lambda: running.poll() is not None or cut.shell("ls /run/waiting 2>/dev/null || :"), "the package's script waiting", 900, interval=2)
        assert "half-configured" in cut.shell("dpkg-query -W -f '${Status}' linux-image-%s" % kernels["good"][1])
        done = controller.module("localhost", "qemu_guest", testbed_file=known["memlab_testbed_file"], name="first", state="powercycled",
                                 ssh_port=known["ansible_port"])
        assert done.code == 0, done.output
    finally:
        done = controller.finish(running, 3600)
    assert done.code == 2, done.output
    result = said(done, "first")[0]
    assert (result["outcome"], result["reason"]) == ("rolled_back", "the host was lost while the packages were being installed")
    assert "It is back with %s, which is still the default" % cut.old in re.sub(r"\s+", " ", done.output)
    result, failed = said(done, "second")
    assert failed == 1
    assert result["reason"] == "running release: wanted %s, found %s" % (kernels["other"][1], kernels["good"][1])
    # A real-time kernel does without EFI runtime services, by which alone systemd-boot can be told its default.
    result, failed = said(done, "third")
    assert failed == 1 and sum("BdsDxe: loading" in line for line in result["tail"]) <= 1
    assert "Make it the default: systemd-boot cannot be told what to start: there are no EFI variables" in result["reason"]
    for guest in guests.values():
        stands(guest)


def test_a_good_kernel_goes_through_and_by_kexec_too(controller, guests, kernels):
    chosen_kernels = {"first": "good", "second": "good", "third": "newer"}
    release = kernels["good"][1]
    done = guests["first"].module("boot_parameters", name="reserved", parameters=["memmap=16M$512M"])
    assert done.code == 0 and done.result["reboot_needed"], done.output
    done = install(controller, kernels, chosen_kernels, kexec=["second"])
    assert done.code == 0, done.output
    for name, guest in guests.items():
        release = kernels[chosen_kernels[name]][1]
        result = said(done, name)[0]
        assert (result["outcome"], result["release"], result["reason"]) == ("installed", release, "")
        guest.connect()
        guest.result = result
        assert "Linux version %s " % release in guest.shell("cat /proc/version")
        if by_grub(guest):
            assert re.search(r"^saved_entry=\S+>gnulinux-%s-advanced-" % re.escape(release), guest.shell("grub-editenv list"), re.MULTILINE)
        else:
            machine = guest.shell("cat /etc/machine-id").strip()
            assert chosen(guest) == {"Default": "%s-%s.conf" % (machine, release)}
            assert guest.shell("cat /efi/loader/entries/%s-%s.conf" % (machine, guest.old))
        assert {"vmlinuz-" + release, "vmlinuz-" + guest.old} <= set(files(guest))
        left = "/boot/grub/memlab-trial.cfg /efi/loader/entries/*memlab* /etc/systemd/system/memlab-trial.timer"
        assert guest.shell("ls -d %s 2>/dev/null || :" % left) == ""
    release = kernels["good"][1]
    # through the shell, GRUB's scripts and GRUB itself, as it was written
    assert guests["first"].shell("cat /proc/cmdline").split().count("memmap=16M$512M") == 1
    assert re.search("^ *20000000-20ffffff : Reserved$", guests["first"].shell("cat /proc/iomem"), re.MULTILINE)
    done = guests["first"].module("boot_parameters", name="reserved", state="absent")
    assert done.code == 0 and done.result["reboot_needed"] and done.result["changed"], done.output
    assert "memmap=" not in guests["first"].shell("cat /boot/grub/grub.cfg; ls /etc/default/grub.d")
    assert "Booting `Linux %s, on trial for one boot'" % release in serial("first").rsplit("BdsDxe: loading", 1)[1]
    assert "Loading Linux %s" % release not in serial("second")


def test_the_same_again_changes_nothing(controller, guests, kernels):
    done = install(controller, kernels, {"first": "good"})
    assert done.code == 0 and done.changed == 0, done.output
    assert said(done, "first")[0]["outcome"] == "unchanged"


def test_back_to_the_kernel_of_before(controller, guests):
    to = {name: guests[name].result for name in ("second", "third")}
    done = controller.play(HERE / "back.yml", HERE / "testbed.qemu.yml", seconds=3600, to=to)
    assert done.code == 0, done.output
    for name in to:
        stands(guests[name])
