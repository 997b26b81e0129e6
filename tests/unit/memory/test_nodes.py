# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Nodes read from a tree."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.memory.nodes import Node, read_nodes


def test_nodes(tmp_path):
    nodes = tmp_path / "sys/devices/system/node"
    for name in ("node10", "node2", "power"):
        (nodes / name).mkdir(parents=True)
    (nodes / "node2/meminfo").write_text("Node 2 MemTotal:       1032192 kB\nNode 2 MemFree:        1024 kB\nNode 2 HugePages_Free:      0\n")
    (nodes / "node2/cpulist").write_text("0-3\n")
    assert list(read_nodes(Host(str(tmp_path))).items()) == [(2, Node(2, 1032192 << 10, 1024 << 10, "0-3")), (10, Node(10, None, None, ""))]


def test_no_nodes(tmp_path):
    assert read_nodes(Host(str(tmp_path))) == {}
