# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which memory blocks a task means, and how many of them."""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import KEYS, Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_nodes, block_size, blocks_of_range, numbered
from ansible_collections.memlab.testbed.plugins.module_utils.memory.sizes import format_size, parse_size

# what it is called; {key: value} as the task named it; bytes in a block; ids of its blocks in address order; their nodes;
# True when they are not there yet (check mode)
Place = collections.namedtuple("Place", "who named unit ids nodes missing")

# where; memory.blocks.Block in address order; how many are to be online; in which zone; True when blocks that are to be online are not there yet
Target = collections.namedtuple("Target", "place blocks amount zone missing")


def parse_count(text, available, unit, who):
    """``all``, a number of blocks (``4``) or of bytes with a unit (``512M``) -> number of blocks.

    :arg available: blocks there are.
    :arg unit: bytes in a block.
    Raises :class:`TestbedError`.
    """
    word = str(text).strip()
    if word.lower() == "all":
        return available
    if re.fullmatch("[0-9]{1,18}", word):
        count = int(word)
    else:
        size = parse_size(word, "%s: count" % who)
        if size % unit:
            raise TestbedError("%s: %s is not a multiple of this host's memory block, %s" % (who, word, format_size(unit)))
        count = size // unit
    if count > available:
        raise TestbedError("%s: %d blocks are wanted, and it has %d of %s each" % (who, count, available, format_size(unit)),
                           remedy="a bare number counts blocks; write bytes with a unit, as 512M")
    return count


def places(host, entries, check_mode=False):
    """Where the blocks of each entry are. Raises :class:`TestbedError`."""
    unit, inventory = block_size(host), Inventory(host)
    found, owners = [], {}
    for entry in entries:
        place = _place(host, inventory, entry, unit, check_mode)
        for number in place.ids:
            if number in owners:
                raise TestbedError("memory block %d is meant twice, by %s and by %s" % (number, owners[number], place.who))
            owners[number] = place.who
        found.append(place)
    return found


def targets(host, entries, found):
    """Entries of the task and their :func:`places` -> list of :class:`Target`. Raises :class:`TestbedError` before anything has changed."""
    wanted = []
    for entry, place in zip(entries, found):
        blocks = online.look(host, place.ids)
        gone = [block.id for block in blocks if block.state is None]
        if gone and not place.missing:
            raise TestbedError("%s: there is no memory block %d" % (place.who, gone[0]))
        awake = entry.get("state", "online") == "online"
        count = "all" if entry.get("count") is None else entry["count"]
        if not awake and str(count).lower() != "all":
            raise TestbedError("%s: count goes with state: online: it says how many blocks are to be online" % place.who)
        amount = parse_count(count, len(place.ids), place.unit, place.who) if awake and (place.ids or not place.missing) else 0
        wanted.append(Target(place, [block for block in blocks if block.state is not None], amount, entry.get("zone") or "movable", place.missing and awake))
    _keep_boot_memory(host, wanted)
    return wanted


def _place(host, inventory, entry, unit, check_mode):
    """Where one entry's blocks are. Raises :class:`TestbedError`."""
    ways = [key for key in KEYS + ("node", "start") if entry.get(key) is not None]
    if len(ways) != 1:
        raise TestbedError("name blocks in one way: %s, or node, or start and size; found %s" % (", ".join(KEYS), ", ".join(ways) or "none of them"))
    if (entry.get("size") is not None) != (ways[0] == "start"):
        raise TestbedError("start and size go together, and with nothing else")
    if ways[0] in KEYS:
        return _device_blocks(inventory.dax_region(entry, check_mode), unit, check_mode)
    if ways[0] == "node":
        base = "/sys/devices/system/node/node%d" % entry["node"]
        if not host.exists(base):
            raise TestbedError("there is no memory node %d" % entry["node"])
        return Place("node %d" % entry["node"], {"node": entry["node"]}, unit, numbered(host.listdir(base), "memory"), [entry["node"]], False)
    try:
        start = int(str(entry["start"]), 0)
    except ValueError:
        raise TestbedError("start: %.60r is not an address, such as 0x180000000" % (entry["start"],))
    size = parse_size(entry["size"], "size")
    if start < 0 or start % unit or size % unit or size == 0:
        raise TestbedError("range %#x+%s does not begin and end at memory blocks, which are %s each" % (start, format_size(size), format_size(unit)))
    if size // unit > 1 << 24:
        raise TestbedError("range %#x+%s is more memory than any machine has" % (start, format_size(size)))
    ids = list(blocks_of_range(start, size, unit))
    owners = block_nodes(host)
    nodes = sorted({node for number in ids for node in owners.get(number, ())})
    return Place("range %#x+%s" % (start, format_size(size)), {"start": "%#x" % start, "size": size}, unit, ids, nodes, False)


def _device_blocks(region, unit, check_mode):
    """All blocks of the region's dax devices that kmem has."""
    memory = [device for device in region.devices if device.driver == "kmem"]
    if memory or check_mode:
        ids = [number for device in memory or region.devices for number in dax.whole_blocks(device, unit)[0]]
        return Place(region.who, region.named, unit, ids, [] if region.place is None else [region.node], not memory)
    drivers = [device.driver for device in region.devices if device.driver]
    raise TestbedError("%s is not system RAM: its dax device is with %s" % (region.who, drivers[0] if drivers else "no driver"),
                       remedy="give it to kmem with memlab.testbed.dax_device")


def _keep_boot_memory(host, found):
    """Memory that no dax device brought is not moved from zone to zone: that would take the running system's own memory offline."""
    hot = None
    for target in found:
        if set(KEYS).intersection(target.place.named) or not target.amount:
            continue
        if hot is None:
            hot = {number for device in dax.read_all(host) for number in dax.whole_blocks(device, target.place.unit)[0]}
        for block in target.blocks:
            if block.online and block.id not in hot and online.zone_kind(block.zone) != target.zone:
                raise TestbedError("%s: memory block %d is online in zone %s and no dax device brought it: it is not moved to the %s zone"
                                   % (target.place.who, block.id, block.zone, target.zone))


def apply(host, entries, check_mode=False, timeout=60.0):
    """The whole step, every target planned before the first block changes. Returns ``(changed, reports, before)``.

    Raises :class:`memory.online.StoppedAtBlock`, whose ``results`` are then one report per target with what was done.
    """
    return carry_out(host, entries, places(host, entries, check_mode), check_mode, timeout)


def carry_out(host, entries, found, check_mode=False, timeout=60.0):
    """As :func:`apply`, for :func:`places` found before."""
    wanted = targets(host, entries, found)
    plans = [online.plan(target.blocks, target.amount, target.zone) for target in wanted]
    before = [report(target, ()) for target in wanted]
    if check_mode:
        planned = [dict(entry, online=target.amount, bytes_online=target.amount * target.place.unit,
                        zones={target.zone: target.amount} if target.amount else {},
                        changed=bool(steps) or target.missing, results=[{"id": step.block, "action": step.word} for step in steps])
                   for target, steps, entry in zip(wanted, plans, before)]
        return any(entry["changed"] for entry in planned), planned, before
    after = []
    for target, steps in zip(wanted, plans):
        try:
            results = online.take(host, steps, timeout)
        except online.StoppedAtBlock as exc:
            after.append(dict(report(target, exc.results), changed=True, results=exc.results))
            exc.results = after
            exc.summary = "%s: %s" % (target.place.who, exc.summary)
            exc.details = ["%s has %d of %d blocks online now; blocks done before stay as they are"
                           % (target.place.who, after[-1]["online"], after[-1]["blocks"])]
            raise exc
        after.append(dict(report(target, results), changed=bool(steps), results=results))
    return any(entry["changed"] for entry in after), after, before


def report(target, results):
    """One target's state, in numbers that do not grow with it.

    :arg results: of :func:`online.take`, whose blocks were read since the target was.
    """
    kinds = {block.id: online.zone_kind(block.zone) if block.online else None for block in target.blocks}
    kinds.update((result["id"], result["zone"] if result["state"] == "online" else None) for result in results)
    zones = {}
    for kind in kinds.values():
        if kind is not None:
            zones[kind] = zones.get(kind, 0) + 1
    awake = sum(zones.values())
    return dict(target.place.named, blocks=len(kinds), online=awake, bytes_online=awake * target.place.unit, zones=zones, nodes=target.place.nodes)


def outline(entry):
    """The part of a report that is declared, for a diff."""
    return {key: entry[key] for key in KEYS + ("node", "start", "size", "online", "zones") if key in entry}
