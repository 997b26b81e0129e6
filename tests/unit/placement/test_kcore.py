# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""/proc/kcore as an ELF file, whole and damaged, and the reasons for its absence."""
from __future__ import annotations

import errno

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import page_tables
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import Kcore, refusal
from ansible_collections.memlab.testbed.tests.synthetic import kcore as synthetic


@pytest.fixture(name="root", scope="module")
def make_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("kcore")
    (root / "proc").mkdir()
    return root


def test_segments_note_and_reads(root):
    synthetic.write(str(root / "proc/kcore"), [(0, 1 << 21, 1 << 30)], ram=((1 << 20, 1 << 32), (1 << 33, 1 << 32)))
    with Kcore(Host(str(root))) as kcore:
        assert kcore.machine == 62
        assert kcore.vmcoreinfo.size("page") == 64
        assert [segment.physical for segment in kcore.segments] == [synthetic.TEXT_PHYSICAL, 1 << 20, None, 1 << 33, None]
        # The same table page, through the kernel's own mapping and through the direct map.
        assert kcore.read_virtual(synthetic.TEXT, 4096) == kcore.read_physical(synthetic.TABLES, 4096) != bytes(4096)
        for read in (lambda: kcore.read_virtual(0x1000, 8), lambda: kcore.read_physical(1 << 50, 8), lambda: kcore.read_physical(1 << 34, 8)):
            with pytest.raises(TestbedError):
                read()


def test_no_address_of_the_kernel_is_in_an_error(root):
    synthetic.write(str(root / "proc/kcore"), [])
    with Kcore(Host(str(root))) as kcore:
        with pytest.raises(TestbedError) as caught:
            kcore.read_virtual(0xFFFFFFFFDEADBEEF, 8)
    assert "dead" not in str(caught.value).lower()


@pytest.mark.parametrize("content, words", [
    (b"", "ended early"), (b"\x7fELF", "ended early"), (b"\x7fELF\x01\x01" + bytes(58), "not a 64-bit"), (bytes(64), "not a 64-bit")])
def test_what_is_no_core(content, words, root):
    (root / "proc/kcore").write_bytes(content)
    with pytest.raises(TestbedError, match=words):
        Kcore(Host(str(root)))


def test_without_the_note(root):
    synthetic.write(str(root / "proc/kcore"), [])
    with open(root / "proc/kcore", "r+b") as stream:
        data = stream.read(8192)
        stream.seek(data.index(b"VMCOREINFO"))
        stream.write(b"VMCOREOUTFO")
    with pytest.raises(TestbedError, match="no VMCOREINFO note.*CONFIG_VMCORE_INFO"):
        Kcore(Host(str(root)))


@given(strategies.integers(0, 4600), strategies.integers(0, 255))
def test_one_damaged_byte_is_an_error_or_does_no_harm(root, place, value):
    synthetic.write(str(root / "proc/kcore"), [(0, 1 << 21, 1 << 30)])
    with open(root / "proc/kcore", "r+b") as stream:
        stream.seek(place)
        stream.write(bytes([value]))
    try:
        page_tables.read_leaves(Host(str(root)), [0, 500], 128 << 20)
    except TestbedError:
        pass


@pytest.mark.parametrize("number, level, words", [
    (errno.ENOENT, None, "kernel without CONFIG_PROC_KCORE"),
    (errno.EACCES, None, "needs root"),
    (errno.EPERM, "none [integrity] confidentiality", "needs root"),
    (errno.EPERM, "none integrity [confidentiality]", "lockdown"),
    (errno.EIO, None, "EIO")])
def test_why_it_cannot_be_opened(number, level, words, tmp_path):
    if level:
        (tmp_path / "sys/kernel/security").mkdir(parents=True)
        (tmp_path / "sys/kernel/security/lockdown").write_text(level + "\n")
    assert words in refusal(Host(str(tmp_path)), "/proc/kcore", OSError(number, "no"), "CAP_SYS_RAWIO", "CONFIG_PROC_KCORE", "confidentiality")
