# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NUMA nodes: how much memory each has (kernel: drivers/base/node.c, Documentation/ABI/stable/sysfs-devices-node)."""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import NODES, numbered

# memory and free in bytes, or None where the kernel does not say; cpus is a list in the kernel's notation ("0-3,8"), "" for none.
Node = collections.namedtuple("Node", ("id", "memory", "free", "cpus"))

_LINE = re.compile(r"^Node \d+ (\w+): +(\d+) kB$", re.MULTILINE)


def read_nodes(host):
    """``{id: Node}`` of all nodes that are online, ascending."""
    nodes = {}
    for number in numbered(host.listdir(NODES), "node"):
        directory = "%s/node%d" % (NODES, number)
        known = {name: int(count) * 1024 for name, count in _LINE.findall(host.read_optional(directory + "/meminfo") or "")}
        nodes[number] = Node(number, known.get("MemTotal"), known.get("MemFree"), host.read_optional(directory + "/cpulist") or "")
    return nodes
