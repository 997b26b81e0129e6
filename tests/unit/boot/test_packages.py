# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real packages that dpkg-deb made, a dpkg database, and which kernels go."""
from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import packages
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

STATUS = """Package: linux-image-6.1.0-56-amd64
Status: install ok installed
Version: 6.1.192-2
Description: a kernel
 .
 more

Package: linux-image-6.1.0-new
Status: install ok half-configured
Version: 1

Package: linux-image-6.1.0-gone
Status: deinstall ok config-files
Version: 1
"""


@pytest.fixture(name="make")
def fixture_make(tmp_path):
    def make(name, files):
        tree = tmp_path / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text("Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: test\n" % name, encoding="ascii")
        for place, size in files.items():
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            (tree / place).write_bytes(b"x" * size)
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(tmp_path / (name + ".deb"))], check=True, stdout=subprocess.DEVNULL)
        return str(tmp_path / (name + ".deb"))
    return make


@pytest.fixture(name="host")
def fixture_host(tmp_path):
    root = tmp_path / "host"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "boot").mkdir()
    (root / "var/lib/dpkg/status").write_text(STATUS, encoding="ascii")
    for release in ("6.1.0-56-amd64", "6.1.0-new", "6.1.0-gone"):
        (root / ("var/lib/dpkg/info/linux-image-%s.list" % release)).write_text("/.\n/boot\n/boot/vmlinuz-%s\n" % release, encoding="ascii")
    return Host(str(root))


def test_a_kernel_s_packages(make):
    image = make("linux-image-6.1.0-new", {"boot/vmlinuz-6.1.0-new": 5000, "boot/config-6.1.0-new": 100, "lib/modules/6.1.0-new/a b.ko": 300})
    headers = make("linux-headers-6.1.0-new", {"usr/src/linux-headers-6.1.0-new/Makefile": 10})
    release, found = packages.describe_all(Host(), [image, headers])
    assert release == "6.1.0-new"
    assert [(entry["package"], entry["release"], entry["boot_bytes"], entry["other_bytes"]) for entry in found] == [
        ("linux-image-6.1.0-new", "6.1.0-new", 5100, 300), ("linux-headers-6.1.0-new", None, 0, 10)]


def test_packages_that_are_none_or_of_no_kernel_or_of_two(make, tmp_path):
    (tmp_path / "text.deb").write_text("text", encoding="ascii")
    first, second = (make("linux-image-" + name, {"boot/vmlinuz-" + name: 1}) for name in ("6.1", "6.2"))
    for paths, said in (([str(tmp_path / "none.deb")], "there is no package"), ([str(tmp_path / "text.deb")], "not a Debian package that can be read"),
                        ([make("headers", {"usr/a": 1})], "the packages hold 0 kernels"), ([first, second], r"2 kernels \(6.1, 6.2\), not one")):
        with pytest.raises(TestbedError, match=said):
            packages.describe_all(Host(), paths)


def test_what_dpkg_has(host):
    assert packages.states(host)["linux-image-6.1.0-56-amd64"] == ("installed", "6.1.192-2")
    assert packages.kernels(host) == {"6.1.0-56-amd64": "linux-image-6.1.0-56-amd64", "6.1.0-new": "linux-image-6.1.0-new"}
    assert packages.interrupted(host) == ["linux-image-6.1.0-new"]


def test_a_host_without_dpkg(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('NAME=x\nPRETTY_NAME="Fedora Linux 43"\n', encoding="ascii")
    with pytest.raises(TestbedError, match="no way is known to install a kernel on Fedora Linux 43: Debian and its derivatives"):
        packages.check_distribution(Host(str(tmp_path)))


def test_room_is_counted_by_file_system(host):
    with open(host.path("/boot/initrd.img-6.1.0-56-amd64"), "wb") as stream:
        stream.truncate(1 << 20)
    packages.check_space(host, [{"boot_bytes": 1, "other_bytes": 1}])
    with pytest.raises(TestbedError, match=r"no room for the kernel: /boot has \d+ MiB free, and installing takes 1099511627810 MiB: remove kernels"):
        packages.check_space(host, [{"boot_bytes": 1 << 59, "other_bytes": 1 << 59}, {"boot_bytes": 0, "other_bytes": 0}])


def test_room_for_the_loader_s_copy(host):
    os.mkdir(host.path("/efi"))
    with open(host.path("/boot/initrd.img-6.1.0-56-amd64"), "wb") as stream:
        stream.truncate(1 << 20)
    with pytest.raises(TestbedError, match=r"and installing takes %d MiB" % (2 * (1 << 30) + 3 + 32)):
        packages.check_space(host, [{"boot_bytes": 1 << 50, "other_bytes": 0}], "/efi")


def test_room_where_the_packages_are_brought_to_and_where_the_modules_are(host, monkeypatch):
    """Each is a file system of its own here, as /usr and /var can be: so says what this test has os.stat answer."""
    os.makedirs(host.path("/lib/modules"))
    os.makedirs(host.path("/var/cache/apt/archives"))
    real = os.stat
    monkeypatch.setattr(packages.os, "stat", lambda path, **more: os.stat_result((0, 0, hash(path), *real(path, **more)[3:])))
    deb = {"file": "new.deb", "size": 0, "boot_bytes": 0, "other_bytes": 0}
    packages.check_space(host, [deb], directory="/var/cache/apt/archives")
    for changes, place in (({"other_bytes": 1 << 60}, "/lib/modules"), ({"size": 1 << 60}, "/var/cache/apt/archives"), ({"boot_bytes": 1 << 60}, "/boot")):
        with pytest.raises(TestbedError, match="no room for the kernel: %s has" % place):
            packages.check_space(host, [dict(deb, **changes)], directory="/var/cache/apt/archives")
    # what is there already has its room
    with open(host.path("/var/cache/apt/archives/new.deb"), "wb"):
        packages.check_space(host, [dict(deb, size=1 << 60)], directory="/var/cache/apt/archives")


@pytest.mark.parametrize("keep, gone", [(0, ["6.10.1", "6.9.0-2-amd64", "6.9.0-1-amd64", "6.1.0"]), (2, ["6.9.0-1-amd64", "6.1.0"]), (9, [])])
def test_the_newest_of_the_others_stay(keep, gone):
    installed = {name: name for name in ("6.1.0", "6.9.0-1-amd64", "6.9.0-2-amd64", "6.10.1", "5.10.0", "7.3.0")}
    assert packages.surplus(installed, {"5.10.0", "7.3.0"}, keep) == gone
