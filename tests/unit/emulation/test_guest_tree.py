# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes into a tuned guest: checked by the programs that will read it."""
from __future__ import annotations

import io
import lzma
import posixpath
import subprocess
import tarfile

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import guest_tree
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from hypothesis import given, settings
from hypothesis import strategies as st

RELEASE = "6.12.107+deb13-amd64"

# Lines of that kernel's modules.dep, as depmod wrote them.
MODULES_DEP = """\
kernel/arch/x86/crypto/aesni-intel.ko.xz: kernel/crypto/crypto_simd.ko.xz kernel/crypto/cryptd.ko.xz kernel/crypto/gf128mul.ko.xz
kernel/fs/mbcache.ko.xz:
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/fs/jbd2/jbd2.ko.xz:
kernel/crypto/crc32c_generic.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/drivers/block/virtio_blk.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/drivers/firmware/qemu_fw_cfg.ko.xz:
kernel/net/core/failover.ko.xz:
"""
MODULES_BUILTIN = "kernel/drivers/virtio/virtio.ko\nkernel/drivers/virtio/virtio_pci.ko\n"


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """A root file system as far as the initrd's making reads it; a module's content is its path, compressed."""
    directory = tmp_path / "usr" / "lib" / "modules" / RELEASE
    directory.mkdir(parents=True)
    (directory / "modules.dep").write_text(MODULES_DEP, encoding="ascii")
    (directory / "modules.builtin").write_text(MODULES_BUILTIN, encoding="ascii")
    for line in MODULES_DEP.splitlines():
        path = directory / line.partition(":")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.compress(str(path.relative_to(directory)).encode("ascii")))
    (tmp_path / "usr" / "bin").mkdir()
    (tmp_path / "usr" / "bin" / "busybox").write_bytes(b"busybox")
    return tmp_path


def rewrite(tree, name, change):
    path = tree / "usr" / "lib" / "modules" / RELEASE / name
    path.write_text(change(path.read_text(encoding="ascii")), encoding="ascii")


def names(paths):
    return [posixpath.basename(path).partition(".")[0] for path in paths]


def unpacked(archive, directory):
    directory.mkdir()
    done = subprocess.run(["cpio", "--extract", "--no-absolute-filenames", "--quiet"], input=archive, cwd=directory, stderr=subprocess.PIPE, check=True)
    assert done.stderr == b""
    return {str(path.relative_to(directory)): path for path in directory.rglob("*")}


def test_modules_come_after_what_they_need(tree):
    order = names(guest_tree.module_order(str(tree), RELEASE))
    assert len(order) == len(set(order))
    needs = {names([line.partition(":")[0]])[0]: names(line.partition(":")[2].split()) for line in MODULES_DEP.splitlines()}
    for position, name in enumerate(order):
        assert set(needs[name]) <= set(order[:position])
    assert set(guest_tree.INITRD_MODULES) - {"virtio_pci"} <= set(order)  # built in here, a module in 6.1
    assert order.index("crc32c_generic") < order.index("ext4")
    assert "aesni-intel" not in order


def test_a_module_that_is_built_in_is_not_loaded(tree):
    for line in ("kernel/drivers/firmware/qemu_fw_cfg.ko.xz:\n", "kernel/crypto/crc32c_generic.ko.xz:\n"):
        rewrite(tree, "modules.dep", lambda text, line=line: text.replace(line, ""))
    rewrite(tree, "modules.builtin", lambda text: text + "kernel/drivers/firmware/qemu-fw-cfg.ko\n")
    order = names(guest_tree.module_order(str(tree), RELEASE))
    assert not {"qemu_fw_cfg", "crc32c_generic"} & set(order)


def test_a_kernel_without_a_module_we_need_is_refused(tree):
    rewrite(tree, "modules.dep", lambda text: text.replace("kernel/drivers/block/virtio_blk.ko.xz:\n", ""))
    with pytest.raises(TestbedError, match="kernel 6.12.107.deb13-amd64 of the image has no module virtio_blk: choose a kernel package"):
        guest_tree.module_order(str(tree), RELEASE)


@pytest.mark.parametrize("name, words", [
    ("usr/bin/busybox", "no readable busybox .No such file"),
    ("usr/lib/modules/%s/modules.dep" % RELEASE, "no readable modules.dep .No such file"),
    ("usr/lib/modules/%s/kernel/fs/ext4/ext4.ko.xz" % RELEASE, "no readable ext4.ko.xz .No such file"),
])
def test_what_an_image_lacks_is_named(tree, name, words):
    (tree / name).unlink()
    with pytest.raises(TestbedError, match=words):
        guest_tree.initrd(str(tree), RELEASE)


def test_a_damaged_module_is_named(tree):
    (tree / "usr" / "lib" / "modules" / RELEASE / "kernel/fs/ext4/ext4.ko.xz").write_bytes(b"\xfd7zXZ\0 damaged")
    with pytest.raises(TestbedError, match="no readable ext4.ko.xz"):
        guest_tree.initrd(str(tree), RELEASE)


def test_the_initrd_as_cpio_reads_it(tree, tmp_path):
    files = unpacked(guest_tree.initrd(str(tree), RELEASE), tmp_path / "out")
    assert {"init", "bin/busybox", "dev", "proc", "sys", "root", "lib/ext4.ko"} <= set(files)
    assert files["lib/ext4.ko"].read_bytes() == b"kernel/fs/ext4/ext4.ko.xz"
    assert (files["init"].stat().st_mode, files["bin/busybox"].stat().st_mode, files["lib/ext4.ko"].stat().st_mode) == (0o100755, 0o100755, 0o100644)
    loaded = [line.split()[-1] for line in files["init"].read_text(encoding="ascii").splitlines() if " insmod " in line]
    assert ["lib/" + posixpath.basename(path) for path in loaded] == [
        "lib/%s.ko" % name for name in names(guest_tree.module_order(str(tree), RELEASE))]
    assert all("lib/" + posixpath.basename(path) in files for path in loaded)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text("abc._-+", min_size=1, max_size=9).filter(lambda name: name.strip(".")), st.binary(max_size=9)),
                max_size=6, unique_by=lambda entry: entry[0]))
def test_archives_of_any_lengths(tmp_path_factory, entries):
    archive = guest_tree.cpio([(name, 0o100600, content) for name, content in entries])
    assert len(archive) % 4 == 0
    files = unpacked(archive, tmp_path_factory.mktemp("cpio") / "out")
    assert {name: path.read_bytes() for name, path in files.items()} == dict(entries)
    listed = subprocess.run(["busybox", "cpio", "-t"], input=archive, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode("ascii")
    assert listed.splitlines() == [name for name, content in entries]


def test_the_initrd_s_script_is_one_that_its_shell_can_read():
    script = guest_tree.initrd_script(["ext4.ko"])
    subprocess.run(["busybox", "sh", "-n"], input=script.encode("ascii"), check=True)
    assert script.startswith("#!/bin/busybox sh\n")


def test_the_overlay_as_tar_reads_it():
    archive = guest_tree.archive_of(guest_tree.overlay())
    assert archive == guest_tree.archive_of(guest_tree.overlay())
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        found = {member.name[2:]: member for member in members}
    assert set(found) == set(guest_tree.overlay())
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {(0, 0, "root", 0)}
    assert found["etc/systemd/system/getty.target"].linkname == "/dev/null"
    assert found["root/.ssh/authorized_keys"].mode == 0o600
    assert found["etc/fstab"].mode == 0o644


def test_nothing_that_concerns_memory_is_masked_or_blacklisted():
    concerned = ("cxl", "dax", "nd", "nfit", "kmem", "pmem", "libnvdimm", "udevd", "udev-trigger")
    for name in guest_tree.MASKED_UNITS + guest_tree.BLACKLISTED_MODULES + guest_tree.MASKED_GENERATORS:
        assert not [word for word in concerned if name.replace("systemd-", "").startswith(word)] or name == "ndctl-monitor.service"


def test_no_passwords():
    config = guest_tree.overlay()["etc/ssh/sshd_config.d/10-memlab-testbed.conf"].splitlines()
    assert {"PasswordAuthentication no", "PermitRootLogin prohibit-password"} <= set(config)
