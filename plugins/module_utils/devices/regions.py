# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL RAM regions as declared state: what there is, what is wanted, and how to get there.

A region is made by the ``cxl`` tool, which knows the order in which decoders are programmed. Its dax device is left
unbound: where its memmap goes is decided before kmem sees it.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, dax, holds, identity, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory.sizes import format_size, parse_size

EXTENT = 256 << 20  # decoders are programmed in multiples of this per device (CXL 3.1, 8.2.4.20)

# names as given; the devices; True when the region is to exist; bytes or None for all; root decoder's name or None
Wanted = collections.namedtuple("Wanted", "names members present size decoder")


def parse(inventory, entry, memory_block):
    """One entry of the task -> :class:`Wanted`. Raises :class:`TestbedError` before anything has changed.

    :arg memory_block: bytes in a memory block.
    """
    members = inventory.members(entry["memory_devices"])
    who = identity.describe_all(members)
    size = entry.get("size") or "all"
    if str(size).lower() == "all":
        count = None
    else:
        count = parse_size(size, "size of the region of %s" % who)
        unit = max(EXTENT * len(members), memory_block)
        if count == 0 or count % memory_block:
            raise TestbedError("the region of %s: size %s is not a multiple of this host's memory block, %s"
                               % (who, format_size(count), format_size(memory_block)))
        if count % unit:
            raise TestbedError("the region of %s: size %s is not a multiple of %s (%s for each of %d memory devices)"
                               % (who, format_size(count), format_size(unit), format_size(EXTENT), len(members)))
    return Wanted(tuple(entry["memory_devices"]), members, entry.get("state", "present") == "present", count, entry.get("root_decoder"))


def parse_all(host, entries):
    """All entries; a memory device in two of them is an error."""
    inventory, unit = Inventory(host), block_size(host)
    wanted = [parse(inventory, entry, unit) for entry in entries]
    seen = set()
    for entry in wanted:
        for device in entry.members:
            if device in seen:
                raise TestbedError("memory device %s is named in two regions" % identity.describe(device))
            seen.add(device)
    return inventory, wanted


def status(host, inventory, wanted):
    """What a user wants to know of one declared region, as it is now."""
    region = _region_or_none(inventory, wanted.members)
    report = {"memory_devices": list(wanted.names), "serials": ["%#x" % device.serial for device in wanted.members],
              "pci": [device.pci for device in wanted.members], "state": "absent" if region is None else "present"}
    if region is None:
        return report
    report.update(region=region.name, root_decoder=region.decoder, mode=region.mode, size=region.size, start=region.start, ways=region.ways,
                  granularity=region.granularity, dax=region.dax[0] if len(region.dax) == 1 else None, node=None, driver=None)
    if report["dax"]:
        device = dax.read(host, report["dax"])
        report.update(node=device.node, driver=device.driver)
    return report


def outline(report):
    """The part of a status that is declared, for a diff: free of the kernel's numbering."""
    return {key: report.get(key) for key in ("memory_devices", "state", "size", "ways")}


def needs_change(host, inventory, wanted):
    """True when the region must be made or removed. Raises :class:`TestbedError` when it cannot become what is wanted by making or removing alone."""
    region = inventory.region(wanted.members) if wanted.present else _region_or_none(inventory, wanted.members)
    if not wanted.present:
        if region is not None:
            _refuse_removal_in_use(host, wanted, region)
        return region is not None
    if region is None:
        _check_room(host, inventory, wanted)
        return True
    who = identity.describe_all(wanted.members)
    if region.mode != "ram":
        raise TestbedError("the region of %s is a %s region, wanted ram" % (who, region.mode), remedy="remove it first, if what it holds may go")
    if not region.committed or not region.enabled or region.start is None:
        raise TestbedError("the region of %s exists but was not set up to its end" % who, remedy="remove it with state: absent, then make it again")
    if wanted.decoder and region.decoder != wanted.decoder:
        raise TestbedError("the region of %s is in root decoder %s, wanted %s" % (who, region.decoder, wanted.decoder),
                           remedy="remove it first with state: absent")
    if wanted.size is not None and region.size != wanted.size:
        raise TestbedError("the region of %s has %s, wanted %s: regions cannot be resized" % (who, format_size(region.size), format_size(wanted.size)),
                           remedy="remove it first with state: absent")
    if wanted.size is None:
        _refuse_smaller(host, inventory, wanted, region)
    if not region.dax:
        raise TestbedError("the region of %s has no dax device" % who,
                           remedy="load dax_cxl (CONFIG_DEV_DAX_CXL), or remove the region with state: absent and make it again")
    return False


def _refuse_smaller(host, inventory, wanted, region):
    """``all`` is wanted: refuse a region that leaves capacity of its devices unused although its memory window has room."""
    unused = min(device.ram for device in wanted.members) * region.ways - region.size
    window = sum(decoder.size for decoder in cxl.root_decoders(host) if decoder.name == region.decoder)
    room = window - sum(other.size for other in inventory.regions if other.decoder == region.decoder)
    if min(unused, room) >= EXTENT * region.ways:
        raise TestbedError("the region of %s has %s, wanted all: %s more is there, and regions cannot be resized"
                           % (identity.describe_all(wanted.members), format_size(region.size), format_size(min(unused, room))),
                           remedy="remove it first with state: absent, or say size: %s" % format_size(region.size))


def _region_or_none(inventory, members):
    names = tuple(device.name for device in members)
    return next((region for region in inventory.regions if region.members == names), None)


def _refuse_removal_in_use(host, wanted, region):
    who = identity.describe_all(wanted.members)
    if region.mode != "ram":
        raise TestbedError("the region of %s is a %s region: only ram regions are removed" % (who, region.mode))
    unit = block_size(host)
    for name in region.dax:
        device = dax.read(host, name)
        if device.driver is None:
            continue
        if device.driver != "kmem":
            raise TestbedError("the region of %s is in use through %s" % (who, device.driver), remedy="release its dax device first")
        online = [block for block in read_blocks(host, dax.whole_blocks(device, unit)[0]).values() if block.online]
        if online:
            raise TestbedError("the region of %s has %d memory blocks online, %d is the first: removing it would lose the range until reboot"
                               % (who, len(online), online[0].id), remedy="take them offline first with memlab.testbed.memory_blocks")


def choose_decoder(decoders, wanted):
    """The root decoder for a new region: named by the task, or the first that takes RAM and leads to exactly these devices' host bridges.

    Raises :class:`TestbedError` saying what there is.
    """
    who = identity.describe_all(wanted.members)
    offered = "; ".join("%s: %s to %s" % (decoder.name, "ram" if decoder.ram else "no ram", ", ".join(map(str, decoder.bridges))) for decoder in decoders)
    if wanted.decoder:
        for decoder in decoders:
            if decoder.name == wanted.decoder:
                return decoder
        raise TestbedError("there is no root decoder %s" % wanted.decoder, remedy="there are %s" % (offered or "none"))
    bridges = {device.bridge for device in wanted.members}
    fitting = [decoder for decoder in decoders if decoder.ram and set(decoder.bridges) == bridges]
    if not fitting:
        raise TestbedError("no memory window takes a ram region of %s (below %s)" % (who, ", ".join(sorted(map(str, bridges)))),
                           remedy="the platform offers %s" % (offered or "no memory window (CFMWS) at all"))
    return fitting[0]


def _check_room(host, inventory, wanted):
    """Refuse what cannot fit, with the figures. What the devices of other regions take was refused before: a device is in one region."""
    decoder = choose_decoder(cxl.root_decoders(host), wanted)
    who = identity.describe_all(wanted.members)
    for device in wanted.members:
        if not device.enabled:
            raise TestbedError("memory device %s is there, but its driver cxl_mem could not set it up" % identity.describe(device),
                               remedy="the kernel log says why; under QEMU a reboot leaves a device with decoding switched on, which only a power cycle clears")
        if device.ram == 0:
            raise TestbedError("memory device %s has no volatile capacity (%s persistent)" % (identity.describe(device), format_size(device.pmem)),
                               remedy="a ram region needs volatile capacity")
    if wanted.size is not None:
        share = wanted.size // len(wanted.members)
        for device in wanted.members:
            if device.ram < share:
                raise TestbedError("memory device %s has %s of volatile capacity, %s is wanted of it"
                                   % (identity.describe(device), format_size(device.ram), format_size(share)))
    free = decoder.size - sum(region.size for region in inventory.regions if region.decoder == decoder.name)
    if free < (wanted.size or EXTENT * len(wanted.members)):
        raise TestbedError("the memory window %s has %s left, too little for the region of %s" % (decoder.name, format_size(free), who))


def make(host, wanted):
    """Make one region and wait for its dax device. Only while autoprobe is held off: the dax device then stays unbound.

    A region whose dax device does not come is removed again. Raises :class:`TestbedError`.
    """
    decoder = choose_decoder(cxl.root_decoders(host), wanted)
    argv = ["cxl", "create-region", "-t", "ram", "-d", decoder.name]
    argv += [] if wanted.size is None else ["-s", str(wanted.size)]
    try:
        try:
            host.run(argv + ["-m"] + [device.name for device in wanted.members])
        except signals.Interrupted:
            raise
        except TestbedError as exc:
            raise _explain(host, wanted, exc)
        # dax_cxl makes the device from a work queue in newer kernels: it is not there when the tool returns
        host.wait_until(lambda: _region_with_dax(host, wanted.members), "dax device of the region of %s" % identity.describe_all(wanted.members))
    except TestbedError as exc:
        if _region_or_none(Inventory(host), wanted.members) is not None:
            undo = session.Undo()
            undo.add("the region of %s" % identity.describe_all(wanted.members), remove, host, wanted)
            exc.details = exc.details + undo.run()
        raise exc


def _change(host, changes):
    """Remove, then make. Regions made so far stay when a later one fails, and the error names them."""
    done = []
    try:
        for entry in [entry for entry in changes if not entry.present]:
            remove(host, entry)
            done.append("removed before that: the region of %s" % identity.describe_all(entry.members))
        made = [entry for entry in changes if entry.present]
        if made:
            with holds.autoprobe_off(host):
                load_drivers(host)
                for entry in made:
                    make(host, entry)
                    done.append("made before that, and kept: the region of %s" % identity.describe_all(entry.members))
    except TestbedError as exc:
        exc.details = exc.details + done
        raise exc


def _region_with_dax(host, members):
    region = _region_or_none(Inventory(host), members)
    return region is not None and region.committed and region.enabled and len(region.dax) == 1


def load_drivers(host):
    """Have every driver that could take a dax device registered while autoprobe is off.

    A driver that registers later attaches every unbound device at once (drivers/base/bus.c:bus_add_driver), with the knob as it then is.
    """
    for module in ("device_dax", "kmem", "dax_cxl"):
        try:
            host.run(["modprobe", "-q", module])
        except TestbedError as exc:
            # without modprobe, or built in, the driver's directory tells; dax_cxl shows itself by making the device
            if module == "kmem" and not host.exists("/sys/bus/dax/drivers/kmem"):
                raise TestbedError("the driver kmem, which makes memory of dax devices, cannot be loaded", details=[exc.summary] + exc.details,
                                   remedy="the kernel needs CONFIG_DEV_DAX_KMEM, and its modules must be installed")


def _explain(host, wanted, failure):
    """The tool's failure in words, its own lines below."""
    said = " ".join(failure.details)
    who = identity.describe_all(wanted.members)
    remedy = None
    if "commit" in said and _under_hypervisor(host):
        remedy = ("the processor says it is virtual (hypervisor bit), and then the kernel will not invalidate CPU caches, so it refuses to commit: "
                  "hide the bit (QEMU: -cpu max,-hypervisor) or use a kernel with CONFIG_CXL_REGION_INVALIDATION_TEST")
    elif "target" in said:
        remedy = ("the order of the memory devices may not fit the window's interleaving, or decoders are left over from an earlier region: "
                  "try another order, or reboot")
    elif "No space left" in said or "available space" in said:
        remedy = "the device or the memory window has less free capacity than is wanted"
    return TestbedError("the region of %s could not be made" % who, details=[failure.summary] + failure.details, remedy=remedy)


def _under_hypervisor(host):
    for line in (host.read_optional("/proc/cpuinfo") or "").splitlines():
        if line.startswith("flags"):
            return "hypervisor" in line.split()
    return False


def remove(host, wanted):
    """Remove one region whose blocks are offline: its dax device leaves its driver first, then the region is disabled and destroyed."""
    region = _region_or_none(Inventory(host), wanted.members)
    if region is None:
        return
    _refuse_removal_in_use(host, wanted, region)
    for name in region.dax:
        device = dax.read(host, name)
        if device.driver:
            dax.unbind(host, name, device.driver)
    if region.enabled:
        host.run(["cxl", "disable-region", region.name])
    host.run(["cxl", "destroy-region", region.name])
    if _region_or_none(Inventory(host), wanted.members) is not None:
        raise TestbedError("the region of %s is still there although cxl destroy-region said it was destroyed" % identity.describe_all(wanted.members))


def apply(host, entries, check_mode=False):
    """The whole step: returns ``(changed, reports, before)``; in check mode the reports are what would be."""
    inventory, wanted = parse_all(host, entries)
    before = [status(host, inventory, entry) for entry in wanted]
    changes = [entry for entry in wanted if needs_change(host, inventory, entry)]
    if check_mode:
        planned = [dict(report, changed=False) for report in before]
        for entry, report in zip(wanted, planned):
            if entry in changes:
                report.clear()
                report.update(memory_devices=list(entry.names), state="present" if entry.present else "absent", changed=True)
                if entry.present:
                    report.update(size=entry.size, ways=len(entry.members))
        return bool(changes), planned, before
    _change(host, changes)
    inventory = Inventory(host)
    after = [dict(status(host, inventory, entry), changed=entry in changes) for entry in wanted]
    for entry, report in zip(wanted, after):
        if entry.present != (report["state"] == "present"):
            raise TestbedError("the region of %s is %s after all" % (identity.describe_all(entry.members), report["state"]))
    return bool(changes), after, before
