# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Debian package of a built kernel, the same bytes for the same kernel: image, modules, and what tells the host's boot loader."""
from __future__ import annotations

import os
import re
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Debian's name of the machine's architecture, by the kernel's own.
ARCHITECTURE = {"x86": "amd64", "arm64": "arm64"}

# Debian Kernel Handbook, section 5.2 (maintainer scripts): the hooks in /etc/kernel, their parameters and DEB_MAINT_PARAMS.
_SCRIPT = """\
#!/bin/sh
set -e
export DEB_MAINT_PARAMS="$*"
export INITRD=Yes
if [ -d /etc/kernel/%(stage)s.d ]; then
    run-parts --report --exit-on-error --arg=%(release)s --arg=/boot/vmlinuz-%(release)s /etc/kernel/%(stage)s.d
fi
exit 0
"""


def image(kbuild, built, release, version, work):
    """Build ``linux-image-<release>`` around the image ``built``. Returns the package's path in ``work``. Raises :class:`TestbedError`."""
    tree = os.path.join(work, "image")
    boot, control = os.path.join(tree, "boot"), os.path.join(tree, "DEBIAN")
    os.makedirs(boot)
    os.makedirs(control)
    for path, name in ((built, "vmlinuz"), (os.path.join(kbuild.objects, "System.map"), "System.map"), (os.path.join(kbuild.objects, ".config"), "config")):
        shutil.copyfile(path, os.path.join(boot, "%s-%s" % (name, release)))
    with open(os.path.join(kbuild.objects, ".config"), encoding="utf-8") as stream:
        modular = "CONFIG_MODULES=y\n" in stream.read()
    if modular:
        kbuild.run(["INSTALL_MOD_PATH=" + tree, "INSTALL_MOD_STRIP=1", "modules_install"], what="make modules_install")
        # links into this builder's directories
        for name in ("build", "source"):
            link = os.path.join(tree, "lib/modules", release, name)
            if os.path.islink(link):
                os.unlink(link)
    size = sum(os.path.getsize(os.path.join(top, name)) for top, unused, names in os.walk(tree) for name in names)
    architecture = ARCHITECTURE.get(kbuild.srcarch)
    if architecture is None:
        raise TestbedError("no Debian architecture is known for %s" % kbuild.srcarch)
    fields = (("Package", "linux-image-" + release), ("Version", version), ("Architecture", architecture), ("Section", "kernel"), ("Priority", "optional"),
              ("Maintainer", "memlab.testbed <root@localhost>"), ("Installed-Size", "%d" % (size // 1024)), ("Depends", "kmod"),
              ("Recommends", "initramfs-tools | linux-initramfs-tool"), ("Provides", "linux-image"),
              ("Description", "Linux kernel %s, built by memlab.testbed" % release))
    _write(os.path.join(control, "control"), "".join("%s: %s\n" % field for field in fields))
    for stage in ("preinst", "postinst", "prerm", "postrm"):
        _write(os.path.join(control, stage), _SCRIPT % {"stage": stage, "release": release}, 0o755)
    _settle(tree, kbuild.options["epoch"])
    path = os.path.join(work, "linux-image-%s_%s_%s.deb" % (release, version, architecture))
    code_lines = []
    if kbuild.host.stream(["dpkg-deb", "--root-owner-group", "-Zzstd" if _zstd(kbuild.host) else "-Zxz", "--build", tree, path], code_lines.append,
                          kbuild.environment()) != 0:
        raise TestbedError("dpkg-deb could not make %s" % os.path.basename(path), details=code_lines[-5:])
    shutil.rmtree(tree)
    return path


def _zstd(host):
    """Debian's dpkg reads zstd since 1.21.18 (bookworm); an older one neither writes nor reads it."""
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", host.run(["dpkg-deb", "--version"]))
    return found is not None and tuple(map(int, found.groups())) >= (1, 21, 18)


def _write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, mode)


def _settle(tree, epoch):
    """Permissions and times that do not depend on who builds when."""
    for top, directories, names in os.walk(tree, topdown=False):
        for name in names:
            path = os.path.join(top, name)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
        os.chmod(top, 0o755)
        os.utime(top, (epoch, epoch))
