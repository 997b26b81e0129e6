# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest that starts as a host does: from a disk with a partition table, through UEFI firmware and a boot loader, by the initrd that Debian makes.

Everything is made without root and without a loop device: the partition table by sfdisk, the EFI system partition by mtools, the root file system by
``mke2fs -d`` at its offset. What the boot loader needs of it is in grub_start and systemd_boot_start. The guest owns its boot configuration from its first
start on.
"""
from __future__ import annotations

import os
import posixpath

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import guest_tree
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import K, M

# Bytes: where the EFI system partition and the root file system begin. The first has room for the kernels of systemd-boot, as installers give it.
ESP_START, ROOT_START = M, 512 * M
# Bytes at the disk's end that the second partition table takes, rounded up to a whole megabyte.
_TABLE = M

# The program that firmware starts where nothing tells it another one.
STARTED = "EFI/BOOT/BOOTX64.EFI"

_UNIT = """\
[Unit]
Description=Network and keys that QEMU gives this guest
DefaultDependencies=no
%sBefore=ssh.service sysinit.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/memlab-given
"""

_GIVEN = "usr/local/sbin/memlab-given"


def command_line():
    """Kernel parameters that the boot loader's configuration holds from the start."""
    return " ".join(("rw", "console=ttyS0", "net.ifnames=0") + guest_tree.KERNEL_PARAMETERS)


def early_overlay():
    """Path to content of the files that are there before the kernel's package is, which makes its initrd at once."""
    return {
        "etc/initramfs-tools/conf.d/memlab-testbed": "MODULES=list\nCOMPRESS=zstd\n",
        "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    }


def overlay(first_start, mount=None):
    """Path to content of the files beside :func:`guest_tree.overlay`.

    :arg first_start: shell lines that the guest runs at each start before its sshd. :arg mount: the unit of a mount that they need.
    """
    given = ["#!/bin/sh", "set -e", "modprobe -a virtio_net qemu_fw_cfg"] + ["ip %s" % words for words in guest_tree.network()]
    given += guest_tree.give("", "") + list(first_start)
    return {
        "etc/systemd/system/memlab-given.service": _UNIT % ("Requires=%s\nAfter=%s\n" % (mount, mount) if mount else ""),
        "etc/systemd/system/ssh.service.wants/memlab-given.service": "->/etc/systemd/system/memlab-given.service",
        _GIVEN: "\n".join(given) + "\n",
    }


def hooks():
    """mmdebstrap's customize hooks; ``$1`` is the new root."""
    yield "chmod 755 \"$1/%s\"" % _GIVEN


def make(host, tree, disk, size, fakeroot, files):
    """Write the disk: partition table, EFI system partition, root file system from ``tree``.

    :arg size: bytes of the disk. :arg fakeroot: words to put before a command that has to see the tree as root does.
    :arg files: path on the EFI system partition to path in the tree, links followed.
    Raises :class:`TestbedError`.
    """
    with open(disk, "wb") as stream:
        stream.truncate(size)
    host.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk], given=_table(size))
    esp = "%s@@%d" % (disk, ESP_START)
    host.run(["mformat", "-i", esp, "-F", "-T", str((ROOT_START - ESP_START) // 512), "-h", "255", "-s", "63", "::"])
    host.run(["mmd", "-i", esp] + ["::/" + path for path in sorted({above for path in files for above in _above(path)})])
    for target, source in files.items():
        host.run(["mcopy", "-i", esp, os.path.join(tree, source), "::/" + target])
    host.run(fakeroot + ["mke2fs", "-q", "-t", "ext4", "-F", "-L", "memlab", "-E", "lazy_itable_init=1,lazy_journal_init=1,offset=%d" % ROOT_START,
                         "-d", tree, disk, "%dk" % ((size - _TABLE - ROOT_START) // K)], timeout=600)


def _above(path):
    """The directories that a file is in, the outermost included."""
    while posixpath.dirname(path):
        path = posixpath.dirname(path)
        yield path


def _table(size):
    """The partitions in sfdisk's words; it counts sectors of 512 bytes."""
    sectors = (ESP_START // 512, (ROOT_START - ESP_START) // 512, ROOT_START // 512, (size - _TABLE - ROOT_START) // 512)
    return "label: gpt\nstart=%d, size=%d, type=uefi, name=esp\nstart=%d, size=%d, type=linux, name=root\n" % sectors
