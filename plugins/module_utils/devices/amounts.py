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
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

# what it is called; {key: value} as the task named it; bytes in a block; ids of its blocks in address order; their nodes;
# True when they are not there yet (check mode)
Place = collections.namedtuple("Place", "who named unit ids nodes missing")

# where; memory.blocks.Block in address order; state wanted; how many are to be in it; in which zone; True: from the highest address downwards;
# True when blocks that are to be online are not there yet
Target = collections.namedtuple("Target", "place blocks state amount zone descending missing")

_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")


def parse_count(text, available, unit, who):
    """``all``, a number of blocks (``4``), bytes with a unit (``512M``) or a share (``50%``) -> number of blocks.

    :arg available: blocks there are; ``None`` where that is not known yet: then only the wording is looked at, and 0 returned.
    :arg unit: bytes in a block.
    A share is rounded down to whole blocks; one of less than a block is an error, except 0%.
    Raises :class:`TestbedError`.
    """
    word = str(text).strip()
    share = _PERCENT.fullmatch(word)
    if word.lower() == "all":
        return available or 0
    if share:
        return _share(share.group(1), available, unit, who)
    if re.fullmatch("[0-9]{1,18}", word):
        count = int(word)
    elif word.endswith("%"):
        raise TestbedError("%s: count: %.60r is not a share, such as 50%%" % (who, word))
    else:
        size = parse_size(word, "%s: count" % who)
        if size % unit:
            raise TestbedError("%s: %s is not a multiple of this host's memory block, %s" % (who, word, format_size(unit)), lasting=True)
        count = size // unit
    if available is None:
        return 0
    if count > available:
        raise TestbedError("%s: %d blocks are wanted, and it has %d of %s each" % (who, count, available, format_size(unit)),
                           remedy="a bare number counts blocks; write bytes with a unit, as 512M")
    return count


def _share(number, available, unit, who):
    whole, dot, fraction = number.partition(".")
    scale = 10 ** len(fraction)
    parts = int(whole + fraction)
    if parts > 100 * scale:
        raise TestbedError("%s: count: %s%% is more than there is" % (who, number))
    count = (available or 0) * parts // (100 * scale)
    if parts and available and not count:
        raise TestbedError("%s: %s%% of its %d blocks of %s is less than one block" % (who, number, available, format_size(unit)),
                           remedy="a share is rounded down to whole blocks: ask for more, or for a number of blocks")
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
        state = entry.get("state") or "online"
        awake = state == "online"
        count = "all" if entry.get("count") is None else entry["count"]
        amount = parse_count(count, None if place.missing and not place.ids else len(place.ids), place.unit, place.who)
        descending = entry.get("order") == "descending" if entry.get("order") else not awake
        wanted.append(Target(place, [block for block in blocks if block.state is not None], state, amount, entry.get("zone") or "movable", descending,
                             place.missing and awake))
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
        return Place(region.who, region.named, unit, ids, [] if region.node is None else [region.node], not memory)
    drivers = [device.driver for device in region.devices if device.driver]
    raise TestbedError("%s is not system RAM: its dax device is with %s" % (region.who, drivers[0] if drivers else "no driver"),
                       remedy="give it to kmem with memlab.testbed.dax_device")


def keep_boot_memory(host, wanted, plans):
    """Memory that no dax device brought, the running system's own, goes offline only where state: offline says so. Raises :class:`TestbedError`.

    :arg wanted: list of :class:`Target`. :arg plans: the list of steps of each.
    """
    hot = None
    for target, steps in zip(wanted, plans):
        leaving = {step.block for step in steps if step.word == "offline"}
        if set(KEYS).intersection(target.place.named) or target.state == "offline" or not leaving:
            continue
        if hot is None:
            hot = dax.hot_added(host, dax.read_all(host), target.place.unit)
        coming = {step.block for step in steps if step.word != "offline"}
        for block in [block for block in target.blocks if block.id in leaving and block.id not in hot]:
            found = "%s: memory block %d is online in zone %s and no dax device brought it" % (target.place.who, block.id, block.zone)
            if block.id in coming:
                raise TestbedError("%s: it is not moved to the %s zone" % (found, target.zone))
            raise TestbedError("%s: it is not taken offline for there to be %d online" % (found, target.amount),
                               remedy="count what is to be online with it, or say state: offline if it is to go")
