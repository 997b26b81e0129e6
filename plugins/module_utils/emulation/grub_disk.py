# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest that starts as a host does: from a disk with a partition table, through UEFI firmware and GRUB, by the initrd that Debian makes.

Everything is made without root and without a loop device: the partition table by sfdisk, the EFI system partition by mtools, the root file system
by ``mke2fs -d`` at its offset, GRUB's core by the guest's own ``grub-mkimage``. The guest owns its boot configuration from its first start on.
"""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import guest_tree
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.sizes import K, M
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

PACKAGES = ("grub-common", "grub-efi-amd64-bin", "grub2-common", "initramfs-tools")

# Code and variable store of the firmware, where Debian and others keep them.
FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
)

# Bytes: where the EFI system partition and the root file system begin.
ESP_START, ROOT_START = M, 64 * M
# Bytes at the disk's end that the second partition table takes, rounded up to a whole megabyte.
_TABLE = M

_EFI = "boot/grub/core.efi"

# Built into GRUB's core: what it takes to find the rest of GRUB.
_MODULES = ("part_gpt", "fat", "ext2", "search", "search_label", "normal", "configfile")

_EARLY = "search --no-floppy --label --set=root memlab\nset prefix=($root)/boot/grub\n"

# Of the first start alone: after it, update-grub has written what it writes on any host.
_FIRST = "# The guest's first start.\nlinux /vmlinuz root=LABEL=memlab %s\ninitrd /initrd.img\nboot\n"

_DEFAULTS = """\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="%s"
GRUB_TERMINAL=console
GRUB_DISABLE_OS_PROBER=true
"""

_UNIT = """\
[Unit]
Description=Network and keys that QEMU gives this guest
DefaultDependencies=no
Before=ssh.service sysinit.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/memlab-given
"""

_GIVEN = "usr/local/sbin/memlab-given"


def command_line():
    """Kernel parameters that GRUB's configuration holds from the start."""
    return " ".join(("rw", "console=ttyS0", "net.ifnames=0") + guest_tree.KERNEL_PARAMETERS)


def early_overlay():
    """Path to content of the files that are there before the kernel's package is, which makes its initrd at once."""
    return {
        "etc/initramfs-tools/conf.d/memlab-testbed": "MODULES=list\nCOMPRESS=zstd\n",
        "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    }


def overlay():
    """Path to content of the files beside :func:`guest_tree.overlay`."""
    given = ["#!/bin/sh", "set -e", "modprobe -a virtio_net qemu_fw_cfg"] + ["ip %s" % words for words in guest_tree.network()]
    given += guest_tree.give("", "")
    given += ["if grep -q '^# The guest.s first start' /boot/grub/grub.cfg; then update-grub; fi"]
    return {
        "boot/grub/early.cfg": _EARLY,
        "boot/grub/grub.cfg": _FIRST % command_line(),
        "etc/default/grub": _DEFAULTS % command_line(),
        "etc/systemd/system/memlab-given.service": _UNIT,
        "etc/systemd/system/ssh.service.wants/memlab-given.service": "->/etc/systemd/system/memlab-given.service",
        _GIVEN: "\n".join(given) + "\n",
    }


def hooks():
    """mmdebstrap's customize hooks, in order; ``$1`` is the new root."""
    yield "chmod 755 \"$1/%s\"" % _GIVEN
    yield "cp -r \"$1/usr/lib/grub/x86_64-efi\" \"$1/boot/grub/\""
    yield "chroot \"$1\" grub-mkimage -O x86_64-efi -p /boot/grub -c /boot/grub/early.cfg -o /%s %s" % (_EFI, " ".join(_MODULES))
    yield "chroot \"$1\" grub-editenv /boot/grub/grubenv create"


def make(host, tree, disk, size, fakeroot):
    """Write the disk: partition table, EFI system partition, root file system from ``tree``.

    :arg size: bytes of the disk. :arg fakeroot: words to put before a command that has to see the tree as root does.
    Raises :class:`TestbedError`.
    """
    with open(disk, "wb") as stream:
        stream.truncate(size)
    host.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk], given=_table(size))
    esp = "%s@@%d" % (disk, ESP_START)
    host.run(["mformat", "-i", esp, "-F", "-T", str((ROOT_START - ESP_START) // 512), "-h", "255", "-s", "63", "::"])
    host.run(["mmd", "-i", esp, "::/EFI", "::/EFI/BOOT"])
    host.run(["mcopy", "-i", esp, os.path.join(tree, _EFI), "::/EFI/BOOT/BOOTX64.EFI"])
    host.run(fakeroot + ["mke2fs", "-q", "-t", "ext4", "-F", "-L", "memlab", "-E", "lazy_itable_init=1,lazy_journal_init=1,offset=%d" % ROOT_START,
                         "-d", tree, disk, "%dk" % ((size - _TABLE - ROOT_START) // K)], timeout=600)


def _table(size):
    """The partitions in sfdisk's words; it counts sectors of 512 bytes."""
    sectors = (ESP_START // 512, (ROOT_START - ESP_START) // 512, ROOT_START // 512, (size - _TABLE - ROOT_START) // 512)
    return "label: gpt\nstart=%d, size=%d, type=uefi, name=esp\nstart=%d, size=%d, type=linux, name=root\n" % sectors


def has_firmware():
    return any(os.path.exists(code) and os.path.exists(variables) for code, variables in FIRMWARE)


def firmware():
    """Paths of the firmware's code and of its empty variable store. Raises :class:`TestbedError` where there is none."""
    for code, variables in FIRMWARE:
        if os.path.exists(code) and os.path.exists(variables):
            return code, variables
    raise TestbedError("no UEFI firmware for a guest that boots by GRUB is installed", remedy="install OVMF (Debian's package ovmf)")


def arguments(code, variables):
    """QEMU's arguments for the firmware. :arg variables: the guest's own copy of the variable store."""
    drives = (("0", "on", code), ("1", "off", variables))
    return [word for unit, only, path in drives
            for word in ("-drive", "if=pflash,format=raw,unit=%s,readonly=%s,file=%s" % (unit, only, path.replace(",", ",,")))]
