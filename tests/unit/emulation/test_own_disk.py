# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The disk that firmware and a boot loader start from, read by other tools than those that write it."""
from __future__ import annotations

import json
import os
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import firmware, grub_start, guest_tree, image, own_disk, systemd_boot_start, warm
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.topology import read_guest
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, M

SIZE = 768 * M
STARTS = {"grub": grub_start, "systemd-boot": systemd_boot_start}


@pytest.fixture(name="disk", scope="module")
def fixture_disk(tmp_path_factory):
    """A disk made of a small tree."""
    directory = tmp_path_factory.mktemp("disk")
    core = directory / "tree" / "boot" / "grub" / "core.efi"
    core.parent.mkdir(parents=True)
    core.write_bytes(b"core" * 1000)
    (directory / "tree" / "vmlinuz").symlink_to("boot/grub/core.efi")
    files = dict(grub_start.partition(), **{"first/vmlinuz": "vmlinuz"})
    own_disk.make(Host(), str(directory / "tree"), str(directory / "disk.img"), SIZE, [], files)
    return directory / "disk.img"


def said(*argv, **options):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, env=dict(os.environ, PATH=path), **options).stdout


def test_two_partitions_of_the_right_kinds(disk):
    table = json.loads(said("sfdisk", "--json", str(disk)))["partitiontable"]
    assert table["label"] == "gpt"
    assert [(entry["name"], entry["start"] * 512, entry["size"] * 512, entry["type"]) for entry in table["partitions"]] == [
        ("esp", M, 511 * M, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), ("root", 512 * M, SIZE - 513 * M, "0FC63DAF-8483-4772-8E79-3D69D8477DE4")]
    said("sfdisk", "--verify", "--quiet", str(disk))
    assert disk.stat().st_size == SIZE


def test_firmware_finds_grub_at_the_place_for_removable_media(disk):
    for path in ("EFI/BOOT/BOOTX64.EFI", "first/vmlinuz"):
        assert said("mtype", "-i", "%s@@%d" % (disk, own_disk.ESP_START), "::/" + path) == b"core" * 1000


def test_the_root_file_system_is_whole_and_known_by_its_label(disk, tmp_path):
    root = tmp_path / "root.img"
    said("dd", "if=%s" % disk, "of=%s" % root, "bs=1M", "skip=512", "count=%d" % (SIZE // M - 513), "status=none")
    said("e2fsck", "-f", "-n", str(root), stderr=subprocess.STDOUT)
    assert said("e2label", str(root)) == b"memlab\n"
    assert said("debugfs", "-R", "cat /boot/grub/core.efi", str(root), stderr=subprocess.DEVNULL) == b"core" * 1000


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_its_files_are_ones_that_their_readers_can_read(start):
    files = start.overlay()
    for path in ("usr/local/sbin/memlab-given", "etc/default/grub"):
        subprocess.run(["sh", "-n"], input=files.get(path, "").encode("ascii"), check=True)
    for hook in start.hooks():
        subprocess.run(["sh", "-n", "-c", hook], check=True)
    for source, path, mode in guest_tree.GIVEN_FILES:
        assert "%s/raw > %s; chmod %o %s;" % (source, path, mode, path) in files["usr/local/sbin/memlab-given"]
    assert all(own_disk.command_line() in text for name, text in files.items() if name in ("etc/kernel/cmdline", "boot/grub/grub.cfg", "etc/default/grub"))


@pytest.mark.parametrize("loader", STARTS)
def test_the_loader_makes_another_image(loader):
    plain, other = image.inputs("trixie"), image.inputs("trixie", loader=loader)
    assert image.digest(plain) != image.digest(other)
    assert set(other["packages"]) - set(plain["packages"]) == set(STARTS[loader].PACKAGES)
    assert plain["tuning"] != other["tuning"]


@pytest.mark.parametrize("loader", STARTS)
def test_a_disk_has_room_for_its_first_partition(loader):
    image.inputs("trixie", disk_size=G, loader=loader)
    with pytest.raises(TestbedError, match="disk_size: 512M is too small"):
        image.inputs("trixie", disk_size=512 * M, loader=loader)


def test_debian_makes_the_initrd_of_a_disk_only(tmp_path):
    for loader in ("qemu", "grub", "systemd-boot"):
        argv = image._mmdebstrap(image.inputs("trixie", loader=loader), str(tmp_path), str(tmp_path / "root.tar"))
        assert any("update_initramfs=no" in word for word in argv) == (loader == "qemu")
        assert any("early.tar" in word for word in argv) == (loader != "qemu")


@pytest.mark.parametrize("loader", STARTS)
def test_firmware_starts_such_a_guest_and_qemu_does_not(monkeypatch, tmp_path, loader):
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path))
    guest = read_guest("host", {"image": {"loader": loader}})
    argv = Machine("lab", guest, str(tmp_path)).arguments("/disk", "tcg")
    assert not {"-kernel", "-initrd", "-append"} & set(argv)
    drives = [argv[place + 1] for place, word in enumerate(argv) if word == "-drive"]
    code = firmware.find()[0]
    assert drives[0] == "if=pflash,format=raw,unit=0,readonly=on,file=" + code
    assert drives[1].startswith("if=pflash,format=raw,unit=1,readonly=off,file=%s/" % tmp_path)
    assert warm.why_not(guest) is not None


def test_no_firmware_is_said(monkeypatch):
    monkeypatch.setattr(firmware, "FIRMWARE", (("/nonesuch", "/nonesuch"),))
    assert not firmware.is_there()
    with pytest.raises(TestbedError, match="no UEFI firmware for a guest that starts from its own disk is installed: install OVMF"):
        firmware.find()
