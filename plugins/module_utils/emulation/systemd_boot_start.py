# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest's disk that systemd-boot starts: its kernels are on the EFI system partition, where kernel-install(8) puts them."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import own_disk

PACKAGES = ("systemd-boot", "initramfs-tools")

_MOUNT = "efi.mount"

# The guest has no fstab, and nothing that looks for partitions.
_UNIT = """\
[Unit]
Description=EFI system partition
Before=local-fs.target

[Mount]
What=/dev/vda1
Where=/efi
Type=vfat
Options=umask=0077
"""

# What the first start needs, below the tree's root; after it, bootctl and kernel-install have written what they write on any host.
_FIRST = "usr/local/share/memlab-first"
_ENTRY = "title First start\nlinux /first/vmlinuz\ninitrd /first/initrd.img\noptions root=LABEL=memlab %s\n"

_INSTALL = (
    "if [ -e /efi/loader/entries/first.conf ]; then",
    "  bootctl --quiet --no-variables --make-entry-directory=yes install",
    "  kernel-install add \"$(uname -r)\" \"/boot/vmlinuz-$(uname -r)\" \"/boot/initrd.img-$(uname -r)\"",
    "  rm -r /efi/first /efi/loader/entries/first.conf",
    "fi",
)


def overlay():
    """Path to content of the files beside :func:`guest_tree.overlay`."""
    found = own_disk.overlay(_INSTALL, _MOUNT)
    found.update({
        "etc/kernel/cmdline": "root=LABEL=memlab %s\n" % own_disk.command_line(),
        "etc/systemd/system/" + _MOUNT: _UNIT,
        "etc/systemd/system/local-fs.target.wants/" + _MOUNT: "->/etc/systemd/system/" + _MOUNT,
        _FIRST + "/loader.conf": "timeout 0\n",
        _FIRST + "/first.conf": _ENTRY % own_disk.command_line(),
    })
    return found


def hooks():
    """mmdebstrap's customize hooks, in order; ``$1`` is the new root."""
    yield from own_disk.hooks()
    yield "mkdir \"$1/efi\""


def partition():
    """Path on the EFI system partition to path in the tree."""
    return {
        own_disk.STARTED: "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
        "loader/loader.conf": _FIRST + "/loader.conf",
        "loader/entries/first.conf": _FIRST + "/first.conf",
        "first/vmlinuz": "vmlinuz",
        "first/initrd.img": "initrd.img",
    }
