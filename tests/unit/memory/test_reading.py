# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How Host reads many small files, and parts of large ones."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def test_many_small_files(tmp_path):
    for name, content in (("a", b"online\n"), ("b", b""), ("c", b"x" * 100)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "directory").mkdir()
    host = Host(str(tmp_path))
    assert host.read_each("/", ["c", "a", "absent", "b", "directory"], limit=8) == [b"x" * 8, b"online", None, b"", None]
    assert host.read_each("/nowhere", ["a", "b"]) == [None, None]


def test_parts_of_a_large_file(tmp_path):
    with open(tmp_path / "large", "wb") as stream:
        stream.seek(1 << 40)
        stream.write(b"0123456789")
    with Host(str(tmp_path)).open_binary("/large") as stream:
        assert stream.read_at(1 << 40, 4) == b"0123"
        assert stream.read_at((1 << 40) + 8, 4) == b"89"
        assert stream.read_at(1 << 41, 4) == b""
        assert stream.read_at(0, 3) == bytes(3)
    with pytest.raises(FileNotFoundError):
        Host(str(tmp_path)).open_binary("/absent")


def test_names_in_a_directory(tmp_path):
    for name in "cab":
        (tmp_path / name).touch()
    host = Host(str(tmp_path))
    assert host.listdir("/") == ["a", "b", "c"]
    assert sorted(host.listdir("/", ordered=False)) == ["a", "b", "c"]
    assert host.listdir("/absent") == host.listdir("/a") == []
