# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest's disk that GRUB starts, whose core the guest's own ``grub-mkimage`` makes."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import own_disk

PACKAGES = ("grub-common", "grub-efi-amd64-bin", "grub2-common", "initramfs-tools")

_CORE = "boot/grub/core.efi"

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


def overlay():
    """Path to content of the files beside :func:`guest_tree.overlay`."""
    found = own_disk.overlay(["if grep -q '^# The guest.s first start' /boot/grub/grub.cfg; then update-grub; fi"])
    found.update({
        "boot/grub/early.cfg": _EARLY,
        "boot/grub/grub.cfg": _FIRST % own_disk.command_line(),
        "etc/default/grub": _DEFAULTS % own_disk.command_line(),
    })
    return found


def hooks():
    """mmdebstrap's customize hooks, in order; ``$1`` is the new root."""
    yield from own_disk.hooks()
    yield "cp -r \"$1/usr/lib/grub/x86_64-efi\" \"$1/boot/grub/\""
    yield "chroot \"$1\" grub-mkimage -O x86_64-efi -p /boot/grub -c /boot/grub/early.cfg -o /%s %s" % (_CORE, " ".join(_MODULES))
    yield "chroot \"$1\" grub-editenv /boot/grub/grubenv create"


def partition():
    """Path on the EFI system partition to path in the tree."""
    return {own_disk.STARTED: _CORE}
