# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Packages of kernels, good and bad, without a compiler: Debian's own kernels with a few of their modules, under their names and under others.

Usage: kernels.py DIRECTORY [NAME...]. Writes NAME.deb for each name there, and kernels.json with the release of each. newer is the kernel of Debian's
backports, all others (good, panics, hangs, other; these four without a NAME) are the real-time kernel. apt fetches them, so the machine this runs on has to be
of the guests' suite.
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

# What a guest needs to boot from its disk, to be reached, and to be guarded.
NEEDED = (
    "drivers/block/virtio_blk", "drivers/virtio/", "drivers/net/virtio_net", "drivers/net/net_failover", "net/core/failover",
    "drivers/watchdog/i6300esb", "drivers/watchdog/watchdog", "drivers/watchdog/softdog", "drivers/firmware/qemu_fw_cfg", "drivers/char/hw_random/",
    "fs/ext4/", "fs/jbd2/", "fs/mbcache", "lib/crc", "crypto/crc32c_generic", "arch/x86/crypto/crc32c",
    # and to have an NVDIMM as memory
    "drivers/acpi/nfit/", "drivers/nvdimm/", "drivers/dax/",
    # and the partition that systemd-boot starts from, and the variables that tell it what
    "fs/fat/", "fs/nls/", "fs/efivarfs/",
)

SCRIPTS = {
    # As Debian's own do; what waits at the end is for a test that takes the power away.
    "postinst": """#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
[ ! -p /run/wait-here ] || { touch /run/waiting; cat /run/wait-here; }
depmod %(release)s
DEB_MAINT_PARAMS="$*" run-parts --exit-on-error --arg=%(release)s --arg=/boot/vmlinuz-%(release)s /etc/kernel/postinst.d
""",
    "postrm": """#!/bin/sh
set -e
[ "$1" = purge ] || [ "$1" = remove ] || exit 0
rm -f /boot/initrd.img-%(release)s
DEB_MAINT_PARAMS="$*" run-parts --exit-on-error --arg=%(release)s --arg=/boot/vmlinuz-%(release)s /etc/kernel/postrm.d
""",
}

# The kernel looks for its modules by its own release, whatever the package calls it; an initramfs has those of one package alone.
HOOK = """#!/bin/sh
[ "$1" != prereqs ] || exit 0
[ "$version" != %(release)s ] || ln -s %(release)s "$DESTDIR/lib/modules/%(real)s"
"""

FAULT = """#!/bin/sh
[ "$1" != prereqs ] || exit 0
[ -d /lib/modules/%(release)s ] || exit 0
%(fault)s
"""

CONTROL = "Package: linux-image-%s\nVersion: 1\nArchitecture: amd64\nMaintainer: memlab.testbed\nDescription: kernel for a test\n"

FAULTS = {"panics": "echo c > /proc/sysrq-trigger", "hangs": "while :; do :; done", "other": None}


def run(*argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def unpack(directory, kernel, backport):
    """Fetch and unpack the kernel that a package depends on. Returns its release. :arg backport: whether it is the backports' one, or the suite's own."""
    # The newest version comes first.
    name = next(re.search(r"^Depends: (linux-image-\S+)", record, re.MULTILINE).group(1) for record in run("apt-cache", "show", kernel).split("\n\n")
                if bool(re.search("^Version: .*~bpo", record, re.MULTILINE)) == backport)
    run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", name, cwd=directory)
    archive = next(directory.glob("*.deb"))
    run("dpkg-deb", "--extract", str(archive), str(directory / "all"))
    return name[len("linux-image-"):]


def unpack_at_last(directory, kernel, backport):
    """As :func:`unpack`. What fails while an ``apt-get update`` of somebody else's replaces apt's lists is done again."""
    for pause in (5, 10, 20, 40, 80):
        try:
            return unpack(directory, kernel, backport)
        except (StopIteration, subprocess.CalledProcessError):
            time.sleep(pause)
    return unpack(directory, kernel, backport)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    path.chmod(0o755)


def package(source, real, release, fault, target):
    """Write one package. :arg fault: a shell command for its initramfs, ``None`` for a kernel that boots."""
    with tempfile.TemporaryDirectory() as temporary:
        tree, values = pathlib.Path(temporary), {"real": real, "release": release, "fault": fault}
        (tree / "boot").mkdir()
        for name in ("vmlinuz", "config"):
            os.link(source / "boot" / ("%s-%s" % (name, real)), tree / "boot" / ("%s-%s" % (name, release)))
        old, new = source / "lib/modules" / real, tree / "lib/modules" / release
        for path in old.rglob("*"):
            place = str(path.relative_to(old))
            if path.is_file() and (place.startswith("modules.") or place.partition("kernel/")[2].startswith(NEEDED)):
                (new / place).parent.mkdir(parents=True, exist_ok=True)
                os.link(path, new / place)
        if release != real:
            os.symlink(release, tree / "lib/modules" / real)
            put(tree / "usr/share/initramfs-tools/hooks" / ("memlab-" + release), HOOK % values)
        if fault:
            put(tree / "usr/share/initramfs-tools/scripts/init-premount" / ("memlab-" + release), FAULT % values)
        for name, text in SCRIPTS.items():
            put(tree / "DEBIAN" / name, text % values)
        put(tree / "DEBIAN/control", CONTROL % release)
        run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(target))


def main():
    target, names = pathlib.Path(sys.argv[1]), sys.argv[2:] or ["good", *FAULTS]
    target.mkdir(parents=True, exist_ok=True)
    releases = {}
    for kernel, backport, those in (("linux-image-amd64", True, {"newer"}), ("linux-image-rt-amd64", False, {"good", *FAULTS})):
        wanted = those.intersection(names)
        with tempfile.TemporaryDirectory(dir=target) as temporary:
            source = pathlib.Path(temporary)
            real = unpack_at_last(source, kernel, backport) if wanted else None
            for name in wanted:
                releases[name] = "%s-%s" % (real.partition("-rt")[0], name) if name in FAULTS else real
                package(source / "all", real, releases[name], FAULTS.get(name), target / (name + ".deb"))
    (target / "kernels.json").write_text(json.dumps(releases), encoding="ascii")


if __name__ == "__main__":
    main()
