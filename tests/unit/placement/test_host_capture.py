# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""host_capture as Ansible runs it, on hosts that were recorded before: what it writes says of them what they say of themselves."""
from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
from ansible_collections.memlab.testbed.plugins.module_utils.twin import archive

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"


@pytest.fixture(name="host")
def recorded_host(monkeypatch, tmp_path_factory):
    """A recorded host, seen by root."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    directory = tmp_path_factory.mktemp("host")
    subprocess.run(["tar", "--extract", "--file", str(CAPTURES / "mixed-6.12.tgz"), "--directory", str(directory)], check=True)
    return Host(str(directory))


def files(directory):
    return {str(path): (path.read_bytes(), path.stat().st_mode & 0o777) for path in directory.rglob("*") if path.is_file()}


def test_a_capture_is_written_once_for_root_alone(host, four_steps, tmp_path):
    path = tmp_path / "new/memmap.tgz"
    planned, done = four_steps("host_capture", host, {"path": str(path)}, lambda: files(tmp_path))
    assert done["path"] == str(path) and done["size"] == planned["size"] == path.stat().st_size
    assert [(name, mode) for name, (content, mode) in files(tmp_path).items()] == [(str(path), 0o600)]
    with archive.opened(str(path)) as again:
        assert facts.collect(again) == facts.collect(host)


def test_the_same_host_at_another_time_is_the_same_capture(host, call, tmp_path):
    path = tmp_path / "memmap.tgz"
    assert call("host_capture", host, {"path": str(path)})[1]["changed"] is True
    # RFC 1952: the header's time
    assert path.read_bytes()[4:8] == bytes(4)


def test_another_host_s_capture_is_replaced(host, call, four_steps, tmp_path):
    path = tmp_path / "memmap.tgz"
    with archive.opened(str(CAPTURES / "offline-6.12.tgz")) as other:
        assert call("host_capture", other, {"path": str(path)})[0] == 0
    four_steps("host_capture", host, {"path": str(path)}, lambda: files(tmp_path))


def test_where_no_capture_can_be_written(host, call, refused, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    assert refused("host_capture", host, {"path": str(tmp_path)}) == "cannot write %s (EISDIR)" % tmp_path
    code, answer = call("host_capture", host, {"path": str(tmp_path / "file/memmap.tgz")})
    assert code == 1 and answer["msg"] in ["cannot write %s/file/memmap.tgz (%s)" % (tmp_path, name) for name in ("ENOTDIR", "EEXIST")]
    assert "missing required arguments: path" in refused("host_capture", host, {})
    assert files(tmp_path) == {str(tmp_path / "file"): (b"", (tmp_path / "file").stat().st_mode & 0o777)}


def test_a_host_without_memory_blocks(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "bare").mkdir()
    said = refused("host_capture", Host(str(tmp_path / "bare")), {"path": str(tmp_path / "memmap.tgz")})
    assert "/sys/devices/system/memory" in said and not (tmp_path / "memmap.tgz").exists()


def test_whoever_is_not_root_sees_zeros_and_is_told(host, refused, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = refused("host_capture", host, {"path": str(tmp_path / "memmap.tgz")})
    assert said.startswith("recording a host takes root") and said.endswith("say become: true") and files(tmp_path) == {}
