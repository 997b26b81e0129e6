# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ansible_facts.memmap``: where the memmap of this machine's memory lies, and how that is known.

Everything is read once, all proofs are put side by side, and alike neighbours are one range, so that tens of thousands of blocks stay a short list.
"""
from __future__ import annotations

import collections
import gc

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import ONLINE, block_size, blocks_of_range, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory.nodes import read_nodes
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import read_zones
from ansible_collections.memlab.testbed.plugins.module_utils.placement import capture, devices, kernel, page_flags, page_tables, zone_accounting
from ansible_collections.memlab.testbed.plugins.module_utils.placement.weigh import weigh

PROOFS = (page_tables.NAME, page_flags.NAME, zone_accounting.NAME)

# Physical runs listed per range; their number is given in full.
LISTED_RUNS = 8

NOT_ASKED = "not asked for"
NO_STRUCT_PAGE = "the size of struct page is not known (neither VMCOREINFO in /proc/kcore nor /sys/kernel/btf/vmlinux can be read)"


def collect(host, gather="ranges", proofs=PROOFS):
    """The facts as a dict of plain values.

    :arg gather: ``ranges``, or ``blocks`` for one entry per block as well. :arg proofs: names of the proofs to try.
    Raises :class:`TestbedError` where the machine has no memory blocks or a capture is damaged; a proof that cannot be had is a fact, not an error.
    """
    # Hundreds of thousands of small tuples are made here, none of them in a cycle: looking for cycles among them is a tenth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _collect(host, gather, proofs)
    finally:
        if collecting:
            gc.enable()


def _collect(host, gather, proofs):
    record = capture.load(host)
    size = block_size(host)
    blocks = read_blocks(host)
    dax = devices.read_dax_devices(host)
    owners = devices.owners(host, dax, blocks, size)
    geometry = kernel.read_geometry(host, size, record.struct_page if record else None)
    evidence = _Evidence(host, record, blocks, geometry, proofs)
    located = evidence.tables()
    flags = evidence.flags()
    nodes = _device_only(blocks, owners)
    accounts = evidence.accounts(nodes, dax)
    verdicts, conflicts = weigh(blocks, located, flags, accounts, geometry)
    ranges = _ranges(blocks, verdicts, owners, size)
    facts = {
        "kernel": kernel.describe(host, geometry),
        "ranges": ranges,
        "devices": _devices(host, dax, ranges, size),
        "regions": devices.read_regions(host),
        "namespaces": devices.read_namespaces(host),
        "nodes": _nodes(host, blocks, nodes),
        "proofs": evidence.available,
        "conflicts": conflicts,
    }
    if gather == "blocks":
        facts["blocks"] = [_block(block, verdicts[number], owners, size) for number, block in blocks.items()]
    return facts


class _Evidence(object):
    """Tries the proofs; ``available`` says for each whether it could be had, and why not."""

    def __init__(self, host, record, blocks, geometry, wanted):
        self._host = host
        self._record = record
        self._blocks = blocks
        self._geometry = geometry
        self._wanted = wanted
        self.available = {}

    def tables(self):
        def prove():
            walk = self._record.leaves() if self._record else page_tables.read_leaves(self._host, list(self._blocks), self._geometry.block_size)
            return page_tables.locate(self._blocks, walk.leaves, self._geometry)
        return self._try(page_tables.NAME, prove)

    def flags(self):
        return self._try(page_flags.NAME, lambda: self._record.flags() if self._record else
                         page_flags.read_flags(self._host, self._blocks, self._geometry))

    def accounts(self, nodes, dax):
        def prove():
            if any(device.ranges is None for device in dax):
                raise TestbedError("which memory was hot-added needs root: the ranges of dax devices are not for all to read")
            found = zone_accounting.accounts(read_zones(self._host), self._blocks, nodes, self._geometry)
            if not found:
                raise TestbedError("no node has hot-added memory only, and some of it online")
            return found
        return self._try(zone_accounting.NAME, prove)

    def _try(self, name, prove):
        why_not, found = None, {}
        try:
            if name not in self._wanted:
                raise TestbedError(NOT_ASKED)
            if not self._geometry.struct_page:
                raise TestbedError(NO_STRUCT_PAGE)
            found = prove()
        except TestbedError as exc:
            why_not = str(exc)
        self.available[name] = {"available": why_not is None, "why_not": why_not}
        return found


def _device_only(blocks, owners):
    """Ids of the nodes all of whose blocks are dax devices' memory."""
    hot_added = {block.nodes for number, block in blocks.items() if number in owners}
    others = {block.nodes for number, block in blocks.items() if number not in owners}
    return sorted({node for nodes in hot_added for node in nodes} - {node for nodes in others for node in nodes})


def _ranges(blocks, verdicts, owners, size):
    found = []
    previous, members = None, []
    for number, (unused, state, zones, nodes) in blocks.items():
        placement, homes, unused, proofs = verdicts[number]
        # Bytes may differ within a range (shared pages); which nodes they are on may not.
        home = homes[0][0] if len(homes) == 1 else tuple([node for node, unused in homes])
        alike = (state, zones if state in ONLINE else None, nodes, owners.get(number), placement, proofs, home)
        if alike != previous or members[-1] + 1 != number:
            members = []
            found.append((members, alike))
            previous = alike
        members.append(number)
    return [_range(members, alike, blocks, verdicts, owners, size) for members, alike in found]


def _range(members, alike, blocks, verdicts, owners, size):
    device, placement, proofs = alike[3:6]
    block = blocks[members[0]]
    runs = page_tables.distinct([run for number in members for run in verdicts[number].runs])
    per_node = _bytes_per_node(verdicts[number] for number in members)
    return {"first_block": members[0], "last_block": members[-1], "blocks": len(members), "start": members[0] * size, "size": len(members) * size,
            "state": block.state, "zone": block.zone, "node": block.node, "device": device,
            "placement": placement, "memmap_bytes": sum(per_node.values()), "memmap_nodes": per_node,
            "memmap_devices": _bytes_per_device(runs, owners, size), "memmap": _listed(runs[:LISTED_RUNS]), "memmap_runs": len(runs), "proofs": list(proofs)}


def _block(block, verdict, owners, size):
    return {"id": block.id, "start": block.id * size, "size": size, "state": block.state, "zone": block.zone, "node": block.node,
            "device": owners.get(block.id), "placement": verdict.placement, "memmap_nodes": _bytes_per_node((verdict,)),
            "memmap_devices": _bytes_per_device(verdict.runs, owners, size), "memmap": _listed(verdict.runs), "proofs": list(verdict.proofs)}


def _listed(runs):
    return [{"start": start, "size": length} for start, length in runs]


def _bytes_per_node(verdicts):
    """``{"0": bytes, "unknown": bytes}``: JSON has no other keys than strings."""
    found = {}
    for verdict in verdicts:
        for node, count in verdict.nodes:
            found[node] = found.get(node, 0) + count
    return {"unknown" if node is None else str(node): count for node, count in found.items()}


def _bytes_per_device(runs, owners, size):
    """``{dax device's name: bytes of the runs on its memory}``.

    Node ids alone do not tell DRAM from other memory: an NVDIMM may share the node of the DRAM, and the node that is not a device's own may be
    another device's.
    """
    found = {}
    for start, length in runs:
        while length:
            part = min(length, size - start % size)
            owner = owners.get(start // size)
            if owner is not None:
                found[owner] = found.get(owner, 0) + part
            start += part
            length -= part
    return found


def _devices(host, dax, ranges, size):
    """The fact ``devices``, from the ranges that each device's blocks make up."""
    origins = devices.origins(host, dax)
    found = []
    for device in dax:
        own = [entry for entry in ranges if entry["device"] == device.name]
        hidden = device.driver == "kmem" and device.ranges is None  # which blocks are its own, only root may know
        room = sum(len(blocks_of_range(start, length, size)) for start, length in device.ranges or ())
        present = sum(entry["blocks"] for entry in own)
        online = sum(entry["blocks"] for entry in own if entry["state"] in ONLINE)
        entry = {"name": device.name, "mode": devices.MODES.get(device.driver), "driver": device.driver, "intent": device.intent,
                 "target_node": device.target_node, "size": device.size,
                 "ranges": None if device.ranges is None else _listed(device.ranges),
                 "blocks": None if hidden else {"online": online, "offline": present - online, "absent": room - present if device.driver == "kmem" else 0},
                 "zones": sorted({entry["zone"] for entry in own if entry["zone"]}),
                 "placement": page_tables.UNKNOWN if hidden else _together({entry["placement"] for entry in own}),
                 "memmap_bytes": sum(entry["memmap_bytes"] for entry in own),
                 "memmap_nodes": _sum(entry["memmap_nodes"] for entry in own),
                 "memmap_devices": _sum(entry["memmap_devices"] for entry in own),
                 "proofs": [name for name in PROOFS if own and all(name in entry["proofs"] for entry in own)]}
        entry.update(origins[device.name])
        found.append(entry)
    return found


def _sum(counts):
    """Dicts of numbers -> one dict of their sums."""
    total = {}
    for each in counts:
        for key, count in each.items():
            total[key] = total.get(key, 0) + count
    return total


def _together(placements):
    """One word for a whole device; ``None`` for a device without blocks. One block in the dark leaves the device in the dark."""
    if len(placements) <= 1:
        return next(iter(placements), None)
    return page_tables.UNKNOWN if page_tables.UNKNOWN in placements else page_tables.MIXED


def _nodes(host, blocks, device_only):
    online, offline = collections.Counter(), collections.Counter()
    for (nodes, state), count in collections.Counter([(block.nodes, block.state) for block in blocks.values()]).items():
        for node in nodes:
            (online if state in ONLINE else offline)[node] += count
    return [{"id": node.id, "memory": node.memory, "free": node.free, "cpus": node.cpus, "device_only": node.id in device_only,
             "blocks": {"online": online[node.id], "offline": offline[node.id]}}
            for node in read_nodes(host).values()]
