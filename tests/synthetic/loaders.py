# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts whose boot loader's tools answer as the real ones do, and whose dpkg is the real one, at work below the host's root.

``GrubHost`` is the recorded tree ``grub-armed`` with nothing on trial. ``SystemdHost`` has the files that kernel-install and bootctl of systemd 252 write:
what bootctl does to EFI variables was seen of 252.39 and read of 257.13; the menu's order is what its ``list`` says of this tree.
"""
from __future__ import annotations

import os
import pathlib
import re
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.boot import grub, systemd_boot
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

TREE = pathlib.Path(__file__).parents[1] / "unit/boot/trees/grub-armed"
STATUS = "Package: linux-image-%s\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: amd64\nVersion: 6.1.192-2\nDescription: a kernel\n\n"
OLD = "6.1.0-56-amd64"
UUID = "9f0608d1-dff2-46af-bca6-8ebc7dcd8312"
MACHINE = "8ddff2c4b2f94ea8a9a6a1bc6bb34a9e"


class LoaderHost(Host):
    """``log`` has the commands that were run, by their first words; ``faults`` maps one of them to what is done just before it fails."""

    def __init__(self, root):
        super().__init__(str(root))
        self.log, self.faults = [], {}

    def put(self, name, content):
        path = pathlib.Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("ascii"))

    def kernel(self, release):
        """A kernel that dpkg has installed."""
        self.put("/boot/vmlinuz-" + release, "kernel")
        self.put("/boot/initrd.img-" + release, "initrd")
        known = (self.read_optional("/var/lib/dpkg/status") or "").rstrip("\n")
        self.put("/var/lib/dpkg/status", (known and known + "\n\n") + STATUS % release)
        self.put("/var/lib/dpkg/info/linux-image-%s.list" % release, "/.\n/boot\n/boot/vmlinuz-%s\n/boot/initrd.img-%s\n" % (release, release))

    def releases(self):
        return sorted((name[len("vmlinuz-"):] for name in self.listdir("/boot") if name.startswith("vmlinuz-")), key=_order, reverse=True)

    def run(self, argv, timeout=120, given=None):
        variables = [word for word in argv if argv[0] == "env" and "=" in word and not word.startswith("-")]
        tool, *words = argv[len(variables) + 1:] if variables else argv
        self.log.append(tool)
        if tool in self.faults:
            self.faults.pop(tool)()
            raise TestbedError("%s failed with exit code 1" % tool, details=["no more"])
        if tool == "dpkg":
            words = [self.path(word) if word.startswith("/") and self.exists(word) else word for word in words]
            said = Host().run(["env", *variables, "dpkg", "--root=" + self.root, "--force-not-root", "--force-script-chrootless",
                               "--force-bad-path", "--log=/dev/null", *words], timeout)
            self.hooks()
            return said
        return getattr(self, tool.replace("-", "_"))(*words)

    def hooks(self):
        """What a kernel's package runs in /etc/kernel when it comes and when it goes."""

    def state(self):
        """Name -> (mode, content) of every file and link, what only locks runs and dpkg's own copies left out."""
        found = {}
        for top, unused, names in os.walk(self.root):
            for name in names:
                path = os.path.join(top, name)
                place = path[len(self.root):]
                if not place.startswith(("/run/memlab", "/var/lib/dpkg/")):
                    found[place] = os.readlink(path) if os.path.islink(path) else (os.stat(path).st_mode, pathlib.Path(path).read_bytes())
        return found


def _order(release):
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|[a-z]+", release)]


class GrubHost(LoaderHost):
    """``update-grub`` writes the recorded menu anew, for the kernels in /boot."""

    def __init__(self, root):
        shutil.copytree(TREE, root, symlinks=True, dirs_exist_ok=True)
        super().__init__(root)
        for name in (grub.TRIAL, grub.HOOK, grub.PIN):
            os.unlink(self.path(name))
        self.put(grub.ENVIRONMENT, _block([]))
        self.kernel(OLD)
        self.update_grub()

    def hooks(self):
        self.update_grub()

    def grub_editenv(self, place, verb, word=""):
        lines = [] if verb == "create" else [line for line in self.read(place).splitlines() if not line.startswith("#")]
        lines = [line for line in lines if not line.startswith(word.partition("=")[0] + "=")] + ([word.replace("\\", "\\\\")] if verb == "set" else [])
        self.put(place, _block(lines))
        return ""

    def update_grub(self):
        names = ["/etc/default/grub"] + ["/etc/default/grub.d/" + name for name in self.listdir("/etc/default/grub.d") if name.endswith(".cfg")]
        said = re.findall(r"^GRUB_DEFAULT=(\S+)$", "\n".join(map(self.read, names)), re.MULTILINE)[-1]
        text = (TREE / "boot/grub/grub.cfg").read_text(encoding="ascii").replace('set default="${saved_entry}"', 'set default="%s"' % (
            "${saved_entry}" if said == "saved" else said))
        head, first, rest = text.partition("menuentry 'Debian GNU/Linux'")
        simple, submenu, rest = (first + rest).partition("submenu ")
        title, brace, rest = (submenu + rest).partition("{\n")
        entry, unused, rest = rest.partition("\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-56-amd64'")
        tail = rest[rest.index("\n}\n"):]
        entry = entry.partition("\tmenuentry 'Debian GNU/Linux, with Linux 6.1.0-56-panics (recovery mode)'")[0]
        releases = self.releases()
        menu = [simple.replace("6.1.0-56-panics", releases[0]), title + brace] + [entry.replace("6.1.0-56-panics", release) for release in releases]
        text = head + "".join(menu).rstrip("\n") + tail
        if not self.exists(grub.HOOK):
            text = text.partition("### BEGIN /etc/grub.d/44_memlab-trial ###")[0]
        self.put(grub.CONFIGURATION, text)
        return ""


def _block(lines):
    text = "# GRUB Environment Block\n" + "".join(line + "\n" for line in lines)
    return text + "#" * (1024 - len(text))


class SystemdHost(LoaderHost):
    """The EFI system partition on /efi; ``variables`` are the loader's."""

    def __init__(self, root, place="/efi"):
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(root)
        self.place = place
        self.put(place + "/loader/loader.conf", "#timeout 3\n#console-mode keep\n")
        self.put("/proc/sys/kernel/osrelease", OLD + "\n")
        self.put("/proc/self/comm", "pytest\n")
        self.set("LoaderInfo", "systemd-boot 252.39-1~deb12u2", attributes=6)
        self.kernel(OLD)
        self.hooks()

    def set(self, name, text, attributes=7):
        self.put("%s/%s-%s" % (systemd_boot.VARIABLES, name, systemd_boot.VENDOR), bytes([attributes, 0, 0, 0]) + (text + "\0").encode("utf-16-le"))

    def get(self, name):
        """The variable's bytes, ``None`` for none."""
        place = "%s/%s-%s" % (systemd_boot.VARIABLES, name, systemd_boot.VENDOR)
        return self.read_bytes(place) if self.exists(place) else None

    def entry(self, name, text, place=None):
        """An entry, and what it starts. :arg name: the file's."""
        place = place or self.place
        self.put("%s/loader/entries/%s" % (place, name), text)
        for path in re.findall(r"^(?:linux|efi)\s+(\S+)", text, re.MULTILINE):
            self.put(place + path, "kernel")

    def hooks(self):
        """kernel-install add and remove, layout bls, as its 90-loaderentry.install of 252 writes an entry."""
        for name in self.listdir(self.place + "/loader/entries"):
            if name.startswith(MACHINE):
                os.unlink(self.path("%s/loader/entries/%s" % (self.place, name)))
        directories.remove(self.path("%s/%s" % (self.place, MACHINE)))
        for release in self.releases():
            where = "/%s/%s" % (MACHINE, release)
            self.put("%s%s/initrd.img-%s" % (self.place, where, release), "initrd")
            self.entry("%s-%s.conf" % (MACHINE, release), "# Boot Loader Specification type#1 entry\ntitle      Debian GNU/Linux 12 (bookworm)\nversion    %s\n"
                       "machine-id %s\nsort-key   debian\noptions    root=UUID=%s ro quiet systemd.machine_id=%s\nlinux      %s/linux\n"
                       "initrd     %s/initrd.img-%s\n" % (release, MACHINE, UUID, MACHINE, where, where, release))

    def bootctl(self, verb, value):
        name = {"set-default": "LoaderEntryDefault", "set-oneshot": "LoaderEntryOneShot"}[verb]
        if self.get("LoaderInfo") is None:
            raise TestbedError("bootctl %s failed with exit code 1" % verb, details=["Not booted with a supported boot loader."])
        if value:
            self.set(name, value)
        elif self.get(name) is not None:
            os.unlink(self.path("%s/%s-%s" % (systemd_boot.VARIABLES, name, systemd_boot.VENDOR)))
        return ""
