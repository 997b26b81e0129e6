# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as system RAM with their memmap where it was asked for.

The memmap is placed when kmem adds the memory, so the order is: offline blocks, unbind, knob, bind. Everything that can
be known beforehand is checked before the first change, and a failure puts back what was changed.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, holds, identity, preflight, regions, session
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import NODES, block_ids, block_size, numbered, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory.sizes import format_size

# names as given; what to call it; dax.DaxDevice as it is, None in check mode before its region is made; True: memmap on the device;
# True: its blocks may be taken offline; ids of its blocks; bytes no block covers
Wanted = collections.namedtuple("Wanted", "names who device on_device may_offline blocks unused")


def parse(host, entries, check_mode=False):
    """Entries of the task -> list of :class:`Wanted`. Raises :class:`TestbedError`."""
    inventory, unit = Inventory(host), block_size(host)
    wanted, seen = [], set()
    for entry in entries:
        members = inventory.members(entry["memory_devices"])
        who = "memory device %s" % identity.describe_all(members)
        if seen.intersection(members):
            raise TestbedError("%s is named twice" % who)
        seen.update(members)
        missing = check_mode and inventory.region(members) is None
        device = None if missing else dax.read(host, inventory.dax_name(members))
        blocks, unused = ([], 0) if missing else dax.whole_blocks(device, unit)
        if not missing and not blocks:
            raise TestbedError("%s: its dax device holds no whole memory block of %s" % (who, format_size(unit)))
        on_device, may_offline = entry["memmap"] == "device", bool(entry.get("offline"))
        wanted.append(Wanted(tuple(entry["memory_devices"]), who, device, on_device, may_offline, blocks, unused))
    return wanted


def status(host, wanted):
    """What a user wants to know of one declared device, as it is now."""
    report = {"memory_devices": list(wanted.names), "mode": None, "memmap": "device" if wanted.on_device else "dram"}
    if wanted.device is None:
        return report
    device = dax.read(host, wanted.device.name)
    found = read_blocks(host, wanted.blocks)
    report.update(mode={"kmem": "system-ram", "device_dax": "devdax"}.get(device.driver), dax=device.name, driver=device.driver,
                  knob=device.knob, node=device.node, blocks=len(found), blocks_online=len([block for block in found.values() if block.online]),
                  first_block=wanted.blocks[0], bytes=len(found) * block_size(host), unused_bytes=wanted.unused)
    return report


def outline(report):
    """The part of a status that is declared, for a diff: free of the kernel's numbering."""
    return {"memory_devices": report["memory_devices"], "mode": report["mode"], "memmap_on_memory": report.get("knob")}


def is_as_wanted(entry):
    # without a knob (6.1) kmem never self-hosts
    return entry.device is not None and entry.device.driver == "kmem" and bool(entry.device.knob) == entry.on_device


def check(host, wanted, check_mode=False):
    """Refuse, before anything has changed, what cannot come out as asked. Returns the entries that need a change.

    Raises :class:`TestbedError`.
    """
    unit = block_size(host)
    for entry in [entry for entry in wanted if entry.on_device]:
        _check_self_hosting(host, entry, check_mode)
    changes = [entry for entry in wanted if not is_as_wanted(entry)]
    known = [entry for entry in changes if entry.device is not None]
    for entry in known:
        if entry.device.driver not in (None, "kmem"):
            raise TestbedError("%s: its dax device is in use through %s" % (entry.who, entry.device.driver), remedy="release it first")
        awake = [block for block in read_blocks(host, entry.blocks).values() if block.online]
        if awake and not entry.may_offline:
            raise TestbedError("%s: its memmap cannot move while memory blocks are online: %d of %d are, %d is the first"
                               % (entry.who, len(awake), len(entry.blocks), awake[0].id), remedy="set offline: true to have them taken offline")
    to_dram = [entry for entry in known if not entry.on_device]
    if to_dram:
        everything = dax.read_all(host)
        for entry in to_dram:
            _check_node(host, entry, everything, {other.device.name for other in known}, unit)
        preflight.refuse_unless_fits(host, sum(len(entry.blocks) for entry in to_dram) * unit, everything, unit)
    return changes


def _check_self_hosting(host, entry, check_mode):
    try:
        if check_mode or entry.device is None:
            refusal = dax.no_self_hosting(host)
            if refusal:
                raise refusal
            if entry.device is not None and entry.device.knob is None:
                dax.probe_self_hosting(host, entry.device)
        else:
            dax.probe_self_hosting(host, entry.device)
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (entry.who, exc.summary), exc.details, exc.remedy)


def _check_node(host, entry, everything, changing, unit):
    """With the knob off the kernel takes the memmap from kernel zones, the device's own node first, then the nearest: refuse where that is a device's."""
    dram = preflight.dram_nodes(host, everything, unit)
    for other in everything:
        if other.name in changing or other.driver != "kmem" or _is_nearer(host, entry.device.node, dram, other.node):
            continue
        for block in online.look(host, dax.whole_blocks(other, unit)[0]):
            if block.online and online.zone_kind(block.zone) != "movable":
                raise TestbedError("%s: its memmap would not go to DRAM: memory block %d of another device is online in a kernel zone of node %d, "
                                   "and the kernel takes the memmap of memory on node %d from there first"
                                   % (entry.who, block.id, other.node, entry.device.node),
                                   remedy="add dram devices before anything goes online in a kernel zone, or put the others' blocks in the movable zone")


def _is_nearer(host, node, dram, other):
    """Whether DRAM is nearer to ``node`` than the node ``other`` is. Where equal, the kernel prefers nodes without processors, so not DRAM
    (mm/page_alloc.c:find_next_best_node, 6.1 to 7.3); a node without memory has no distances yet, and any answer is then possible.
    """
    if other == node:
        return False
    known = numbered(host.listdir(NODES), "node")
    distances = (host.read_optional("%s/node%d/distance" % (NODES, node)) or "").split()
    if len(distances) != len(known):
        return False
    distance = dict(zip(known, map(int, distances)))
    return other in distance and any(distance[number] < distance[other] for number in dram if number in distance)


def change(host, changes, timeout=60.0):
    """Bring every entry to what is wanted; the ones for DRAM are bound first. Returns what ``auto_online_blocks`` was.

    :arg timeout: seconds for one block to go offline.
    Raises :class:`TestbedError` after undoing what this call did; the undoing is in its details.
    """
    undo = session.Undo()
    with holds.auto_online_off(host) as policy, holds.autoprobe_off(host):
        try:
            regions.load_drivers(host)
            for entry in changes:
                _release(host, entry, undo, timeout)
            for entry in sorted(changes, key=lambda entry: entry.on_device):
                _add(host, entry, undo)
        except TestbedError as exc:
            exc.details = exc.details + undo.run()
            raise exc
    return policy


def _release(host, entry, undo, timeout):
    """Offline, unbind, knob."""
    name = entry.device.name
    if entry.device.driver == "kmem":
        awake = [block for block in read_blocks(host, entry.blocks).values() if block.online]
        if awake:
            undo.add("blocks of %s taken offline" % entry.who, _back_online, host, awake, timeout)
            online.take(host, [online.Step(block.id, "offline") for block in reversed(awake)], timeout)
        undo.add("%s released from kmem" % entry.who, _bind_again, host, name)
        _unbind(host, entry)
    if entry.device.knob is not None and entry.device.knob != entry.on_device:
        undo.add("knob of %s" % entry.who, dax.write_knob, host, name, entry.device.knob)
        dax.write_knob(host, name, entry.on_device)


def _bind_again(host, name):
    if dax.read(host, name).driver is None:
        dax.bind(host, name)


def _back_online(host, blocks, timeout):
    """Each block to the zone it was in."""
    wanted = [(block.id, online.zone_kind(block.zone)) for block in blocks]
    now = read_blocks(host, [number for number, zone in wanted])
    online.take(host, [online.Step(number, "online_%s" % zone if zone in ("movable", "kernel") else "online")
                       for number, zone in wanted if number in now and not now[number].online], timeout)


def _unbind(host, entry):
    """Out of kmem, only with every block offline: the kernel would lose the range until reboot."""
    awake = [block.id for block in read_blocks(host, entry.blocks).values() if block.online]
    if awake:
        raise TestbedError("%s stays with kmem: memory block %d is online" % (entry.who, awake[0]),
                           remedy="something puts blocks online here: find and stop it")
    dax.unbind(host, entry.device.name, "kmem")
    left = sorted(set(block_ids(host)).intersection(entry.blocks))
    if left:
        raise TestbedError("%s left kmem, but the kernel kept %d memory blocks, %d is the first: they are lost until reboot"
                           % (entry.who, len(left), left[0]))


def _add(host, entry, undo):
    """Bind, and read back what came of it."""
    undo.add("%s given to kmem" % entry.who, _unbind_again, host, entry)
    try:
        dax.bind(host, entry.device.name)
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (entry.who, exc.summary), exc.details, exc.remedy)
    found = read_blocks(host, entry.blocks)
    if len(found) != len(entry.blocks):
        raise TestbedError("%s: only %d of its %d memory blocks were added" % (entry.who, len(found), len(entry.blocks)),
                           remedy="the kernel log says why; the device stays with kmem, reboot to release it")
    awake = [block for block in found.values() if block.online]
    if awake:
        raise TestbedError("%s: %d of its memory blocks went online by themselves although auto_online_blocks was held at offline"
                           % (entry.who, len(awake)),
                           remedy="an auto-online policy was set by someone else: find the udev rule or service that writes memory block states")
    device = dax.read(host, entry.device.name)
    if device.knob is not None and device.knob != entry.on_device:
        raise TestbedError("%s: the knob reads %d after binding, %d was written" % (entry.who, device.knob, entry.on_device))


def _unbind_again(host, entry):
    if dax.read(host, entry.device.name).driver != "kmem":
        return
    if len(read_blocks(host, entry.blocks)) != len(entry.blocks):
        # drivers/dax/kmem.c:dev_dax_kmem_remove of 6.12 follows a null pointer for a range that was not added
        raise TestbedError("%s was added in part, and the kernel may crash when it is released: it stays with kmem" % entry.who)
    awake = [block for block in read_blocks(host, entry.blocks).values() if block.online]
    online.take(host, [online.Step(block.id, "offline") for block in reversed(awake)])
    _unbind(host, entry)


def apply(host, entries, check_mode=False, timeout=60.0):
    """The whole step: returns ``(changed, reports, before, policy)``; policy is what ``auto_online_blocks`` is or was set to."""
    wanted = parse(host, entries, check_mode)
    before = [status(host, entry) for entry in wanted]
    changes = check(host, wanted, check_mode)
    policy = host.read_optional(holds.AUTO_ONLINE)
    if check_mode:
        reports = [dict(report, changed=entry in changes) for entry, report in zip(wanted, before)]
        for entry, report in zip(wanted, reports):
            if entry in changes:
                report.update(mode="system-ram", knob=entry.on_device)
        return bool(changes), reports, before, policy
    if changes:
        policy = change(host, changes, timeout)
    after = [dict(status(host, entry), changed=entry in changes) for entry in wanted]
    return bool(changes), after, before, policy
