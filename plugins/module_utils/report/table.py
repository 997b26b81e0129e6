# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report as text for a terminal: one line per device, below a line per host."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.report import words
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

HEAD = ("device", "size", "online", "zone", "node", "memmap wanted", "found", "proven by", "memmap lies")
GAP = "  "
SHORT = {"page_tables": "tables", "page_flags": "flags", "zone_accounting": "zones"}


def table(report):
    """Text of several lines without a newline at the end; no line begins or ends with a space.

    :arg report: what :func:`rows.report` returns.
    """
    lines = {name: [_cells(device) for device in entry["devices"]] if entry else [] for name, entry in report["hosts"].items()}
    widths = [max(len(cells[column]) for cells in [HEAD] + [cells for host in lines.values() for cells in host]) for column in range(len(HEAD))]
    text = [_aligned(HEAD, widths)]
    for name, entry in report["hosts"].items():
        text.append("")
        if entry is None:
            text.append("%s: no facts" % name)
            continue
        text.append("%s: Linux %s, memory blocks of %s" % (name, entry["kernel"]["release"], format_size(entry["kernel"]["block_size"])))
        text += [_aligned(cells, widths) for cells in lines[name]] or ["no dax device"]
        text += ["! " + note for note in _warnings(entry)] + _namespaces(entry)
    return "\n".join(text)


def _aligned(cells, widths):
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()


def _cells(device):
    memmap, blocks = device["memmap"], device["blocks"]
    return (" ".join(device["device"] + ([device["name"]] if device["name"] else [])),
            "-" if device["size"] is None else format_size(device["size"]),
            (device["mode"] or "-") if device["mode"] != "system-ram" else "%d/%d" % (blocks["online"], blocks["total"]) if blocks else "unknown",
            ", ".join(device["zones"]) or "-",
            "-" if device["node"] is None else str(device["node"]),
            memmap["wanted"] or "-",
            memmap["found"] or "-",
            ", ".join(SHORT.get(name, name) for name in memmap["proofs"]) or "-",
            words.on_nodes(memmap["nodes"]) or "-")


def _warnings(entry):
    """What a reader has to know beside the table."""
    if entry["mistake"]:
        yield entry["mistake"]
    for device in entry["devices"]:
        slow = [node for node in device["memmap"]["nodes"] if node.isdecimal() and int(node) in entry["slow_nodes"] and int(node) != device["node"]]
        for node in slow:
            yield "the memmap of %s lies on node %s, whose memory is all on dax devices" % (" ".join(device["device"]) or device["name"], node)
    for name, proof in sorted(entry["proofs"].items()):
        if not proof["available"]:
            yield "no proof by %s: %s" % (name, proof["why_not"])
    for conflict in entry["conflicts"]:
        yield words.conflict(conflict)


def _namespaces(entry):
    """Namespaces have a memmap of their own, of their data, wherever the one of their memory blocks is."""
    places = {"dev": "on the device", "mem": "in RAM"}
    return ["%s, %s, %s: memmap of the namespace %s%s"
            % (namespace["name"], namespace["mode"], format_size(namespace["size"]), places[namespace["map"]],
               ", overhead %s" % format_size(namespace["overhead_bytes"]) if namespace.get("overhead_bytes") else "")
            for namespace in entry["namespaces"] if namespace["map"] in places]
