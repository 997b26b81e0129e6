# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as system RAM with their memmap where it was asked for, or as devdax, whole or in parts.

The memmap is placed when kmem adds the memory, so the order is: offline blocks, unbind, divide, knob, bind. Everything that can
be known beforehand is checked before the first change, and a failure puts back what was changed.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, dax, holds, parts, preflight, proven, regions, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_ids, block_size, blocks_of_range, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory.health import seconds
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

DRIVERS = {"system-ram": "kmem", "devdax": "device_dax"}
MODES = {driver: mode for mode, driver in DRIVERS.items()}

# named, who: of its lookup.DaxRegion; part: number or None for the whole; device: dax.DaxDevice as it is, None before it is made;
# on_device: True for a memmap on the device, None for devdax; may_offline, may_lose: what the task allows; size: bytes or None before it is made;
# blocks: ids of the memory blocks that it has as system RAM; unused: bytes that no block covers
Wanted = collections.namedtuple("Wanted", "named who region part device mode on_device may_offline may_lose size blocks unused")


def parse(host, entries, check_mode=False):
    """Entries of the task -> list of :class:`Wanted` and list of :class:`parts.Division`. Raises :class:`TestbedError`."""
    inventory, unit = Inventory(host), block_size(host)
    wanted, divisions, seen = [], [], {}
    for entry in entries:
        region = inventory.dax_region(entry, check_mode)
        place = region.place or region.who
        if place in seen:
            raise TestbedError("%s is named twice" % region.who)
        seen[place] = region
        if entry.get("parts"):
            found, division = _parts(host, entry, region, unit)
            divisions.extend(division)
        else:
            found = [_whole(host, entry, region, unit)]
        if region.place is not None:
            preflight.refuse_count(entry, sum(len(one.blocks) for one in found if one.mode == "system-ram"), unit, region.who)
        wanted.extend(found)
    return wanted, divisions


def _whole(host, entry, region, unit):
    if region.place is None:
        return _wanted(entry, region, None, None, None, (), unit)
    if len(region.devices) != 1 or dax.size(region.devices[0]) < region.size and parts.can_be_divided(host, region):
        raise TestbedError("%s: its dax region of %s is divided: %s" % (
            region.who, format_size(region.size), ", ".join(format_size(dax.size(device)) for device in region.devices) or "no part has any bytes"),
            remedy="name its parts, or make it whole again with parts: [{size: all}]")
    device = region.devices[0]
    return _wanted(entry, region, None, device, dax.size(device), dax.whole_blocks(device, unit)[0], unit)


def _parts(host, entry, region, unit):
    settings = []
    for part in entry["parts"]:
        mode = part.get("mode") or entry.get("mode") or "system-ram"
        settings.append({"size": part.get("size"), "mode": mode, "memmap": part.get("memmap") or (entry.get("memmap") if mode == "system-ram" else None),
                         "offline": entry.get("offline"), "allow_data_loss": entry.get("allow_data_loss")})
    if region.place is None:
        return [_wanted(part, region, number, None, None, (), unit) for number, part in enumerate(settings)], []
    division = parts.plan(host, region, [part["size"] for part in settings], unit)
    found = []
    for number, (part, (first, last)) in enumerate(zip(settings, division.ranges)):
        blocks = list(blocks_of_range(first, last + 1 - first, unit))
        device = division.kept[number] if number < len(division.kept) else None
        found.append(_wanted(part, region, number, device, last + 1 - first, blocks, unit))
    return found, [division]


def _wanted(entry, region, part, device, size, blocks, unit):
    who = region.who if part is None else "%s, part %d" % (region.who, part)
    mode, memmap = entry.get("mode") or "system-ram", entry.get("memmap")
    if mode == "system-ram" and memmap is None:
        raise TestbedError("%s: mode system-ram needs memmap: device or memmap: dram" % who)
    if mode == "devdax" and memmap is not None:
        raise TestbedError("%s: memmap goes with mode system-ram" % who, remedy="where a devdax namespace keeps its own memmap is for its map to say")
    if mode == "system-ram" and size is not None and not blocks:
        raise TestbedError("%s: its dax device holds no whole memory block of %s" % (who, format_size(unit)))
    if mode == "system-ram" and region.place is not None and region.node is None:
        raise TestbedError("%s: its dax device has no target node, so it cannot become system RAM" % who,
                           remedy="the kernel takes the node from firmware's tables (SRAT, CEDT, NFIT): see memory_doctor", lasting=True)
    on_device = memmap == "device" if mode == "system-ram" else None
    return Wanted(region.named, who, region, part, device, mode, on_device, bool(entry.get("offline")), bool(entry.get("allow_data_loss")), size,
                  blocks, (size or 0) - len(blocks) * unit)


def status(host, wanted):
    """What a user wants to know of one declared device, as it is now."""
    report = dict(wanted.named, mode=None, memmap={True: "device", False: "dram"}.get(wanted.on_device))
    if wanted.part is not None:
        report["part"] = wanted.part
    if wanted.device is None:
        return report
    device = dax.read(host, wanted.device.name)
    found = read_blocks(host, wanted.blocks) if device.driver == "kmem" else {}
    report.update(mode=MODES.get(device.driver), dax=device.name, driver=device.driver, knob=device.knob, node=device.node, size=dax.size(device),
                  blocks=len(found), blocks_online=len([block for block in found.values() if block.online]),
                  first_block=wanted.blocks[0] if wanted.blocks else None, bytes=len(found) * block_size(host), unused_bytes=wanted.unused)
    return report


def outline(report):
    """The part of a status that is declared, for a diff: free of the kernel's numbering."""
    shown = {key: report[key] for key in ("memory_devices", "namespace", "soft_reserved", "part", "size") if key in report}
    # what the knob of a devdax device says is nobody's wish
    return dict(shown, mode=report["mode"], memmap_on_memory=report.get("knob") if report["mode"] == "system-ram" else None)


def is_as_wanted(host, entry):
    if entry.device is None or entry.device.driver != DRIVERS[entry.mode]:
        return False
    # without a knob (6.1) kmem never self-hosts; 7.3 can have a device with kmem whose memory is unplugged
    return entry.on_device is None or bool(entry.device.knob) == entry.on_device and len(read_blocks(host, entry.blocks)) == len(entry.blocks)


# what leaves its driver, for itself or for what is made in its place: as in Wanted; becomes: None where it is removed
Release = collections.namedtuple("Release", "who region device becomes blocks may_offline may_lose")


def _releases(changes, divisions, wanted, unit):
    found = [Release(entry.who, entry.region, entry.device, entry, entry.blocks, entry.may_offline, entry.may_lose) for entry in changes if entry.device]
    for division in divisions:
        allowed = next(entry for entry in wanted if entry.region is division.region)
        for device in division.stale:
            found.append(Release("%s, its dax device at %#x" % (division.region.who, device.ranges[0][0]), division.region, device, None,
                                 dax.whole_blocks(device, unit)[0], allowed.may_offline, allowed.may_lose))
    return found


def check(host, wanted, divisions=(), check_mode=False, reboot_pending=False):
    """Refuse, before anything has changed, what cannot come out as asked.

    :arg reboot_pending: in check mode, that the boot parameter is off until a restart which check mode has left out.
    Returns the entries that need a change, what leaves its driver, ``{who: what is lost by it}``, and of those that look right ``{who: why that is not
    proven}``. Raises :class:`TestbedError`.
    """
    unit = block_size(host)
    alike = [entry for entry in wanted if is_as_wanted(host, entry)]
    astray, unproven = proven.look(host, [entry for entry in alike if entry.on_device is not None])
    changes = [entry for entry in wanted if entry not in alike or entry.who in astray]
    releases = _releases(changes, divisions, wanted, unit)
    lost = {}
    for release in releases:
        lines = _check_release(host, release)
        if lines:
            lost[release.who] = lines
    to_dram = [entry for entry in changes if entry.on_device is False and entry.size is not None]
    if to_dram:
        everything = dax.read_all(host)
        going = {release.device.name for release in releases}
        # what is online now is not what will be when the memmap is placed
        for entry in [] if check_mode and reboot_pending else to_dram:
            try:
                preflight.refuse_drawn(host, entry.who, entry.region.node, everything, going, unit)
            except TestbedError as exc:
                if entry.who in astray:
                    exc.details = exc.details + ["%s now, and keeps that from going offline; mode: devdax lets go of it" % astray[entry.who]]
                raise exc
        preflight.refuse_unless_fits(host, sum(len(entry.blocks) for entry in to_dram) * unit, everything, unit)
    # The last, because another kernel or boot parameter may change it, and whoever is about to reboot wants to know the rest.
    for entry in [entry for entry in wanted if entry.on_device]:
        _check_self_hosting(host, entry, check_mode, check_mode and reboot_pending)
    return changes, releases, lost, unproven


def _check_self_hosting(host, entry, check_mode, reboot_pending):
    device = entry.device or next(iter(entry.region.devices), None)
    try:
        refusal = dax.no_self_hosting(host)
        if refusal and not (reboot_pending and dax.boot_parameter(host) is not None):
            raise refusal
        if device is not None and device.knob is None:
            raise dax.no_knob(host, device.name)
        if device is not None and not check_mode:
            dax.probe_self_hosting(host, device)
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (entry.who, exc.summary), exc.details, exc.remedy, exc.lasting)


def _check_release(host, release):
    """Lines about what is lost."""
    if release.device.driver == "kmem":
        awake = [block for block in read_blocks(host, release.blocks).values() if block.online]
        if awake and not release.may_offline:
            what = "its memmap cannot move" if release.becomes and release.becomes.mode == "system-ram" else "it cannot leave kmem"
            raise TestbedError("%s: %s while memory blocks are online: %d of %d are, %d is the first"
                               % (release.who, what, len(awake), len(release.blocks), awake[0].id), remedy="set offline: true to have them taken offline")
        return []
    if release.device.driver not in (None, "device_dax"):
        raise TestbedError("%s: its dax device is in use through %s" % (release.who, release.device.driver), remedy="release it first")
    keeps = release.becomes is not None and release.becomes.mode == "devdax"
    if keeps:
        return []
    return contents.refuse_loss(host, release.device.name, release.who, release.may_lose)


def change(host, wanted, changes, releases, divisions, timeout=60.0, lost=()):
    """Bring every entry to what is wanted; of those for system RAM, the ones for DRAM are bound first.

    :arg timeout: seconds for one block to go offline. :arg lost: ``who`` of the entries whose device holds what is lost by it.
    Returns what ``auto_online_blocks`` was, ``wanted`` with the devices that were made, and ``{who: why its placement is not proven}``.
    Raises :class:`TestbedError` after undoing what this call did; the undoing is in its details.
    """
    undo, renamed, added = session.Undo(), {}, []
    try:
        with holds.auto_online_off(host) as policy, holds.autoprobe_off(host):
            regions.load_drivers(host)
            for release in releases:
                _release(host, release, undo, renamed, timeout)
            made = {}
            for division in divisions:
                made.update(_divide(host, division, wanted, undo, renamed))
            wanted = [made.get(entry.who, entry) for entry in wanted]
            changes = [made.get(entry.who, entry) for entry in changes]
            for entry in changes:
                _turn_knob(host, entry, undo)
            for entry in sorted(changes, key=lambda entry: bool(entry.on_device)):
                added.append(entry.who)
                _add(host, entry, undo)
            unproven = proven.refuse_astray(host, [entry for entry in changes if entry.on_device is not None])
    except (TestbedError, signals.Interrupt) as exc:
        session.put_back(host, undo, exc, holds.auto_online_off, holds.autoprobe_off)
        gone = [who for who in added if who in lost]
        exc.details += ["may be lost all the same: what %s held" % who for who in gone]
        exc.changed = exc.changed or bool(gone)
        raise exc
    return policy, wanted, unproven


def _release(host, release, undo, renamed, timeout):
    """Offline, unbind. Looked at again first: while blocks of another device went offline, somebody may have opened or filled this one."""
    name, driver = release.device.name, release.device.driver
    now = dax.read(host, name)
    if now.driver != driver:
        raise TestbedError("%s: its dax device went from %s to %s meanwhile" % (release.who, driver or "no driver", now.driver or "no driver"),
                           remedy="something else works on it, too: stop that, and run again")
    _check_release(host, release)
    if driver is None:
        return
    awake = [block for block in read_blocks(host, release.blocks).values() if block.online] if driver == "kmem" else []
    if awake:
        undo.add("blocks of %s taken offline" % release.who, _back_online, host, awake, timeout)
        online.take(host, [online.Step(block.id, "offline") for block in reversed(awake)], timeout)
    undo.add("%s released from %s" % (release.who, driver), _bind_again, host, name, driver, renamed)
    _unbind(host, release)


def _bind_again(host, name, driver, renamed):
    name = renamed.get(name, name)
    if dax.read(host, name).driver is None:
        dax.bind(host, name, driver)


def _back_online(host, blocks, timeout):
    """Each block to the zone it was in."""
    wanted = [(block.id, online.zone_kind(block.zone)) for block in blocks]
    now = read_blocks(host, [number for number, zone in wanted])
    online.take(host, [online.Step(number, "online_%s" % zone if zone in ("movable", "kernel") else "online")
                       for number, zone in wanted if number in now and not now[number].online], timeout)


def _unbind(host, entry):
    """Out of its driver; out of kmem only with every block offline: the kernel would lose the range until reboot."""
    device = dax.read(host, entry.device.name)
    if device.driver == "kmem":
        awake = [block.id for block in read_blocks(host, entry.blocks).values() if block.online]
        if awake:
            raise TestbedError("%s stays with kmem: memory block %d is online" % (entry.who, awake[0]),
                               remedy="something puts blocks online here: find and stop it")
    dax.leave(host, device)
    left = sorted(set(block_ids(host)).intersection(entry.blocks)) if device.driver == "kmem" else []
    if left:
        raise TestbedError("%s left kmem, but the kernel kept %d memory blocks, %d is the first: they are lost until reboot"
                           % (entry.who, len(left), left[0]))


def _divide(host, division, wanted, undo, renamed):
    """``{who: Wanted with its new device}``."""
    kept = [device.name for device in division.kept]
    undo.add("%s divided anew" % division.region.who, _divide_again, host, division, kept, renamed)
    fresh = division.ranges[len(kept):]
    names = parts.carve(host, division.region, kept, [last + 1 - first for first, last in fresh])
    made = {}
    for entry, name, planned in zip([entry for entry in wanted if entry.region is division.region and entry.device is None], names, fresh):
        device = dax.read(host, name)
        if device.ranges != (planned,):
            raise TestbedError("%s: the kernel put it at %#x, wanted %#x" % (entry.who, device.ranges[0][0], planned[0]),
                               remedy="something else divides this region, too: stop that")
        made[entry.who] = entry._replace(device=device)
    return made


def _divide_again(host, division, kept, renamed):
    """As it was; names may be others than before."""
    names = parts.carve(host, division.region, kept, [dax.size(device) for device in division.stale])
    for device, name in zip(division.stale, names):
        renamed[device.name] = name
        if device.knob is not None:
            dax.write_knob(host, name, device.knob)


def _turn_knob(host, entry, undo):
    if entry.on_device is None or entry.device.knob in (None, entry.on_device):
        return
    undo.add("knob of %s" % entry.who, dax.write_knob, host, entry.device.name, entry.device.knob)
    dax.write_knob(host, entry.device.name, entry.on_device)


def _add(host, entry, undo):
    """Bind, and read back what came of it."""
    driver = DRIVERS[entry.mode]
    undo.add("%s given to %s" % (entry.who, driver), _unbind_again, host, entry, driver)
    try:
        dax.bind(host, entry.device.name, driver)
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (entry.who, exc.summary), exc.details, exc.remedy)
    if entry.mode != "system-ram":
        return
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


def _unbind_again(host, entry, driver):
    if dax.read(host, entry.device.name).driver != driver:
        return
    if driver != "kmem":
        contents.refuse_use(host, entry.device.name, entry.who, "release")
    awake = [block for block in read_blocks(host, entry.blocks).values() if block.online] if driver == "kmem" else []
    online.take(host, [online.Step(block.id, "offline") for block in reversed(awake)])
    _unbind(host, entry)


def apply(host, entries, check_mode=False, timeout=60.0, reboot_pending=False):
    """The whole step: returns ``(changed, reports, before, policy)``; policy is what ``auto_online_blocks`` is or was set to.

    :arg timeout: seconds for one block to go offline. Raises :class:`TestbedError`.
    """
    timeout = seconds(timeout, "block_timeout", 60.0)
    wanted, divisions = parse(host, entries, check_mode)
    divisions = [division for division in divisions if parts.needs_change(division)]
    before = [status(host, entry) for entry in wanted]
    changes, releases, lost, unproven = check(host, wanted, divisions, check_mode, reboot_pending)
    altered = [entry in changes for entry in wanted]
    policy = host.read_optional(holds.AUTO_ONLINE)
    if check_mode:
        reports = [dict(report, changed=entry in changes) for entry, report in zip(wanted, before)]
        for entry, report in zip(wanted, reports):
            if entry in changes:
                report.update(mode=entry.mode, knob=report.get("knob") if entry.on_device is None else entry.on_device, size=entry.size)
    else:
        if changes or divisions:
            policy, wanted, more = change(host, wanted, changes, releases, divisions, timeout, lost)
            unproven.update(more)
        reports = [dict(status(host, entry), changed=touched) for entry, touched in zip(wanted, altered)]
    for entry, report in zip(wanted, reports):
        if entry.who in lost:
            report["lost"] = lost[entry.who]
        if entry.on_device is not None and not (check_mode and report["changed"]):
            report["proven"] = entry.who not in unproven
            if entry.who in unproven:
                report["unproven"] = unproven[entry.who]
    return bool(changes or divisions), reports, before, policy
