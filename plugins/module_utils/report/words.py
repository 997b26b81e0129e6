# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How blocks, sizes on nodes and devices are written in messages and tables."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

# Runs of blocks named in one message; the number of blocks is given in full.
NAMED_RUNS = 6


def block_list(runs):
    """``[(338, 345), (346, 346), (350, 350)]``, ascending -> ``blocks 338-346, 350``; runs beyond the sixth are counted.

    :arg runs: first and last block id of each.
    """
    joined = []
    for first, last in runs:
        if joined and joined[-1][1] + 1 == first:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    count = sum(last - first + 1 for first, last in joined)
    text = ", ".join(str(first) if first == last else "%d-%d" % (first, last) for first, last in joined[:NAMED_RUNS])
    if len(joined) > NAMED_RUNS:
        rest = sum(last - first + 1 for first, last in joined[NAMED_RUNS:])
        text += " and %d more" % rest
    return "%s %s" % ("block" if count == 1 else "blocks", text or "none")


def add_nodes(several):
    """Sum of dicts of bytes per node."""
    total = {}
    for per_node in several:
        for node, count in per_node.items():
            total[node] = total.get(node, 0) + count
    return total


def on_nodes(per_node):
    """``{"0": 16777216}`` -> ``16M on node 0``; ``unknown`` as node last."""
    numbers = sorted(per_node, key=lambda node: (not node.isdecimal(), int(node) if node.isdecimal() else 0))
    return ", ".join("%s on %s" % (format_size(per_node[node]), "node %s" % node if node.isdecimal() else "an unknown node") for node in numbers)


def identities(device):
    """Names of a dax device that survive a reboot: that of its namespace, else serial numbers of CXL memory devices, else an address; or none."""
    namespace = device.get("namespace") or {}
    if namespace.get("label") or namespace.get("uuid"):
        return [namespace.get("label") or namespace["uuid"]]
    if device.get("soft_reserved") is not None:
        return ["%#x" % device["soft_reserved"]]
    return [member["pci"] if member.get("serial") is None else "%#x" % member["serial"] for member in device.get("memory_devices") or ()]


def conflict(entry):
    """One entry of the fact ``conflicts`` in a line."""
    said = "; ".join("%s: %s" % (proof, words) for proof, words in sorted(entry["statements"].items()))
    where = block_list([(entry["first_block"], entry["last_block"])])
    return "%s%s: the proofs contradict each other: %s" % (where, "" if entry.get("node") is None else " on node %d" % entry["node"], said)
