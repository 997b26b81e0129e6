# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL regions as declared state: what there is, what is wanted, and how to get there.

A region is made by the ``cxl`` tool, which knows the order in which decoders are programmed. A ram region's dax device is left
unbound: where its memmap goes is decided before kmem sees it. A pmem region has none: it appears as an NVDIMM region, see cxl_pmem.py.
"""
from __future__ import annotations

import collections
import contextlib
import itertools

from ansible_collections.memlab.testbed.plugins.module_utils.devices import (
    contents, cxl, cxl_pmem, dax, disabled, holds, identity, interleave, invalidation, namespace_dax, preflight, region_plan, session, signals)
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.devices.region_plan import EXTENT
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, blocks_of_range, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

# names as given; the devices; True when the region is to exist; ram or pmem; bytes or None for all; bytes of granularity or None for the window's;
# root decoder's name or None; True: a pmem region may go although there are namespaces in it
Wanted = collections.namedtuple("Wanted", "names members present mode size granularity decoder may_lose")

# one of the things to do: the Wanted; the region_plan.Placed of a region to make, or None; the cxl.Regions to remove
Change = collections.namedtuple("Change", "wanted placed regions")


def parse(inventory, entry, memory_block):
    """One entry of the task -> :class:`Wanted`. Raises :class:`TestbedError` before anything has changed.

    :arg memory_block: bytes in a memory block.
    """
    members = inventory.members(entry["memory_devices"])
    who, mode = identity.describe_all(members), entry.get("type") or "ram"
    granularity = entry.get("granularity")
    if granularity is not None:
        granularity = parse_size(granularity, "granularity of the region of %s" % who)
        interleave.check_granularity(granularity, who)
    size = entry.get("size") or "all"
    return Wanted(tuple(entry["memory_devices"]), tuple(members), entry.get("state", "present") == "present", mode,
                  None if str(size).lower() == "all" else _parse_size(size, who, len(members), mode, memory_block),
                  granularity, entry.get("root_decoder"), bool(entry.get("allow_data_loss")))


def _parse_size(size, who, count, mode, memory_block):
    size = parse_size(size, "size of the region of %s" % who)
    # persistent memory need not become memory blocks
    unit = memory_block if mode == "ram" else 1
    if size == 0 or size % unit:
        raise TestbedError("the region of %s: size %s is not a multiple of this host's memory block, %s" % (who, format_size(size), format_size(memory_block)),
                           lasting=True)
    if size % (EXTENT * count):
        raise TestbedError("the region of %s: size %s is not a multiple of %s (%s for each of %d memory devices)"
                           % (who, format_size(size), format_size(EXTENT * count), format_size(EXTENT), count), lasting=True)
    return size


def parse_all(host, entries):
    """All entries; two that want a memory device's capacity of one kind are an error. One region may go and another be made of its devices."""
    inventory, unit = Inventory(host), block_size(host)
    wanted = [parse(inventory, entry, unit) for entry in entries]
    seen = set()
    for entry in wanted:
        for device in entry.members:
            if (device, entry.mode, entry.present) in seen:
                raise TestbedError("memory device %s is named in two regions" % identity.describe(device))
            seen.add((device, entry.mode, entry.present))
    for entry in wanted:
        if entry.present and any(other.members == entry.members and other.mode == entry.mode for other in wanted if not other.present):
            raise TestbedError("the region of %s is to be present and absent at once" % identity.describe_all(entry.members))
    return inventory, wanted


def status(host, inventory, wanted):
    """What a user wants to know of one declared region, as it is now."""
    region = _region_or_none(inventory, wanted)
    report = {"memory_devices": list(wanted.names), "serials": ["%#x" % device.serial for device in wanted.members],
              "pci": [device.pci for device in wanted.members], "type": wanted.mode, "state": "absent" if region is None else "present"}
    if region is None:
        return report
    report.update(region=region.name, root_decoder=region.decoder, mode=region.mode, size=region.size or None, start=region.start, ways=region.ways,
                  granularity=region.granularity)
    if region.mode == "pmem":
        report.update(_nvdimm_status(host, region))
        return report
    report.update(dax=region.dax[0] if len(region.dax) == 1 else None, node=None, driver=None)
    if report["dax"]:
        device = dax.read(host, report["dax"])
        report.update(node=device.node, driver=device.driver)
    return report


def _nvdimm_status(host, region):
    found = cxl_pmem.nvdimm_region(host, region)
    if found is None:
        return {"nvdimm_region": None, "available": None, "namespaces": []}
    return {"nvdimm_region": found.name, "available": found.available,
            "namespaces": [{"name": entry.label, "uuid": entry.uuid, "size": entry.size} for entry in cxl_pmem.namespaces(host, found)]}


def outline(report):
    """The part of a status that is declared, for a diff: free of the kernel's numbering."""
    return {key: report.get(key) for key in ("memory_devices", "type", "state", "size", "ways", "granularity")}


def needs_making(host, inventory, wanted):
    """True when a declared region is not there. Raises :class:`TestbedError` when the one that is there is not the declared one, nor can become it."""
    region = _region_or_none(inventory, wanted)
    if region is None:
        _refuse_unfinished(inventory, wanted)
        inventory.region(wanted.members, wanted.mode)
        return True
    who = identity.describe_all(wanted.members)
    if cxl.unsettled(region):
        raise TestbedError("the region of %s %s" % (who, region_plan.UNSETTLED), remedy=region_plan.SETTLE)
    again = "remove it first with state: absent" + (", if what it holds may go" if region.mode == "pmem" else "")
    if not region.committed or not region.enabled or region.start is None:
        raise TestbedError("the region of %s exists but was not set up to its end" % who, remedy="remove it with state: absent, then make it again")
    if wanted.decoder and region.decoder != wanted.decoder:
        raise TestbedError("the region of %s is in root decoder %s, wanted %s" % (who, region.decoder, wanted.decoder), remedy=again)
    if wanted.granularity and region.granularity != wanted.granularity:
        raise TestbedError("the region of %s has granularity %s, wanted %s"
                           % (who, format_size(region.granularity), format_size(wanted.granularity)), remedy=again)
    if wanted.size is not None and region.size != wanted.size:
        raise TestbedError("the region of %s has %s, wanted %s: regions cannot be resized" % (who, format_size(region.size), format_size(wanted.size)),
                           remedy=again)
    if wanted.size is None:
        _refuse_smaller(host, inventory, wanted, region)
    if region.mode == "ram" and not region.dax:
        raise TestbedError("the region of %s has no dax device" % who,
                           remedy="load dax_cxl (CONFIG_DEV_DAX_CXL), or remove the region with state: absent and make it again")
    if region.mode == "pmem" and not _nvdimm_region_up(host, inventory, wanted):
        raise TestbedError("the region of %s has no NVDIMM region" % who, remedy="load cxl_pmem and nd_pmem (CONFIG_CXL_PMEM, CONFIG_BLK_DEV_PMEM)")
    return False


def _refuse_smaller(host, inventory, wanted, region):
    """``all`` is wanted: refuse a region that is smaller than one made anew in its place would be."""
    window = next((decoder for decoder in cxl.root_decoders(host) if decoder.name == region.decoder), None)
    if window is None or any(cxl.unsettled(other) for other in inventory.regions if other.decoder == region.decoder):
        return  # how much room there is cannot be said
    others = [other for other in inventory.regions if other is not region]
    more = region_plan.all_of(wanted.members, wanted.mode, region_plan.gaps(window, others, physical_map.read(host) or [])) - region.size
    if more > 0:
        raise TestbedError("the region of %s has %s, wanted all: %s more is there, and regions cannot be resized"
                           % (identity.describe_all(wanted.members), format_size(region.size), format_size(more)),
                           remedy="remove it first with state: absent, or say size: %s" % format_size(region.size))


def _region_or_none(inventory, wanted):
    names = tuple(device.name for device in wanted.members)
    return next((region for region in inventory.regions if region.members == names and region.mode == wanted.mode), None)


def _unfinished(inventory, wanted):
    """Regions that somebody began to make of no others than these devices, and left. They decode nothing, and keep the devices from being used."""
    names = {device.name for device in wanted.members}
    return [region for region in inventory.regions if not region.committed and not region.enabled and any(region.members)
            and names.issuperset(filter(None, region.members))]


def _refuse_unfinished(inventory, wanted):
    if _unfinished(inventory, wanted):
        raise TestbedError("a region of %s was begun and not set up to its end" % identity.describe_all(wanted.members),
                           remedy="remove it with state: absent, then make it again")


def to_remove(host, inventory, wanted):
    """The regions that have to go for a declared absence. Raises :class:`TestbedError` when one is in use, or holds what may not be lost."""
    region = _region_or_none(inventory, wanted)
    found = [region] if region else _unfinished(inventory, wanted)
    if not found:
        _refuse_other_kind(inventory, wanted)
    for entry in found:
        _refuse_removal(host, wanted, entry)
    return found


def _refuse_other_kind(inventory, wanted):
    """Devices that have no capacity of the wanted kind, in a region: the task means that one, and does not say so."""
    names = tuple(device.name for device in wanted.members)
    for region in inventory.regions:
        if region.members == names and not any(region_plan.capacity_of(device, wanted.mode) for device in wanted.members):
            raise TestbedError("the region of %s is a %s region, not %s" % (identity.describe_all(wanted.members), region.mode, wanted.mode),
                               remedy="say type: %s if that is the one to remove" % region.mode)


def _refuse_removal(host, wanted, region):
    who = identity.describe_all(wanted.members)
    _refuse_online(host, who, region)
    if region.mode == "pmem":
        _refuse_loss(host, wanted, region)
        return
    for name in region.dax:
        device = dax.read(host, name)
        if device.driver not in (None, "kmem", "device_dax"):
            raise TestbedError("the region of %s is in use through %s" % (who, device.driver), remedy="release its dax device first")
        contents.refuse_loss(host, name, "the region of %s" % who, wanted.may_lose, "remove")
        _refuse_partial(host, who, device)


def _refuse_online(host, who, region):
    """Whatever put them online: firmware, or a driver that has let go of them since."""
    if region.start is None or not region.size:
        return
    online = [block for block in read_blocks(host, blocks_of_range(region.start, region.size, block_size(host))).values() if block.online]
    if online:
        raise TestbedError("the region of %s has %d memory blocks online, %d is the first: removing it would take memory away that is in use"
                           % (who, len(online), online[0].id), remedy="take them offline first with memlab.testbed.memory_blocks")


def _refuse_partial(host, who, device):
    try:
        dax.refuse_partial(host, device)
    except TestbedError as exc:
        raise TestbedError("the region of %s cannot go: %s" % (who, exc.summary), remedy="reboot, which releases it")


def _refuse_loss(host, wanted, region):
    """A persistent region: what is in use stays, what is there stays unless it may be lost."""
    who = identity.describe_all(wanted.members)
    found = cxl_pmem.nvdimm_region(host, region)
    # The kernel takes the namespaces of a disabled region away (drivers/nvdimm/region.c:nd_region_remove, 6.1 to 7.3).
    if found is None or not found.enabled:
        if region.committed and not wanted.may_lose:
            raise TestbedError("the region of %s has no NVDIMM region that is enabled, so what it holds cannot be seen" % who,
                               remedy="load cxl_pmem and enable the region (cxl enable-region, ndctl enable-region), or say allow_data_loss: true")
        return
    for name in cxl_pmem.dax_devices(host, found):
        _refuse_partial(host, who, dax.read(host, name))
    inside = cxl_pmem.namespaces(host, found)
    if inside and not wanted.may_lose:
        raise TestbedError("the region of %s has %d namespace%s" % (who, len(inside), "" if len(inside) == 1 else "s"),
                           details=["%s, %s" % (cxl_pmem.describe(entry), format_size(entry.size)) for entry in inside],
                           remedy="remove them first with memlab.testbed.pmem_namespace, or say allow_data_loss: true")
    for entry in inside:
        contents.refuse_loss(host, entry.name, "%s in the region of %s" % (cxl_pmem.describe(entry), who), wanted.may_lose, "remove")


def _refuse_out_of_order(inventory, change):
    """A device takes its addresses back from the highest down (drivers/cxl/core/hdm.c:cxl_dpa_free). Otherwise ``cxl destroy-region`` disables the region,
    fails with EBUSY, and leaves one that it cannot remove any more (seen on 6.12).

    :arg inventory: with the regions that stay.
    """
    for region in change.regions:
        for other in inventory.regions:
            shared = [device for device in change.wanted.members if device.name in other.members]
            if shared and (other.start or 0) > (region.start or 0):
                raise TestbedError("the %s region of %s cannot go before the %s region of memory device %s, which was made after it: "
                                   "the kernel takes a device's capacity back in reverse order only"
                                   % (region.mode, identity.describe_all(change.wanted.members), other.mode, identity.describe(shared[0])),
                                   remedy="remove both in one task, and make the other one again after that")


def plan(host, inventory, wanted):
    """All that is to be done, in order: removals from the highest address down, then regions from the lowest up.

    Raises :class:`TestbedError` with the reason when something declared cannot be.
    """
    removals = [Change(entry, None, to_remove(host, inventory, entry)) for entry in wanted if not entry.present]
    future = region_plan.Plan(host, inventory)
    for region in [region for change in removals for region in change.regions]:
        future.remove(region)
    inventory.regions = list(future.regions)
    for change in removals:
        _refuse_out_of_order(inventory, change)
    making = [entry for entry in wanted if entry.present and needs_making(host, inventory, entry)]
    placed = [Change(entry, future.place(entry), ()) for entry in future.in_order(making)]
    if placed:
        invalidation.check(host)
    return sorted([change for change in removals if change.regions], key=lambda change: -(change.regions[0].start or 0)) + placed


def make(host, placed):
    """Make one region and wait for what comes of it, while autoprobe is held off: a ram region's dax device stays unbound, those of namespaces that come back
    with a persistent one go to device_dax.

    A region whose dax device or NVDIMM region does not come is removed again. Raises :class:`TestbedError`.
    """
    wanted = placed.wanted
    who = identity.describe_all(wanted.members)
    argv = ["cxl", "create-region", "-t", wanted.mode, "-d", placed.decoder.name, "-s", str(placed.size)]
    argv += [] if wanted.granularity is None else ["-g", str(wanted.granularity)]
    idle = namespace_dax.idle(host)
    try:
        try:
            host.run(argv + ["-m"] + [device.name for device in wanted.members])
        except TestbedError as exc:
            raise _explain(host, wanted, exc)
        # the kernel makes either from a work queue or a probe: it need not be there when the tool returns
        if wanted.mode == "pmem":
            _take_namespaces(host, wanted, idle)
        else:
            host.wait_until(lambda: _region_with_dax(host, wanted), "dax device of the region of %s" % who)
    except (TestbedError, signals.Interrupt) as exc:
        if _left(host, wanted):
            undo = session.Undo()
            undo.add("the region of %s" % who, _remove_new, host, wanted)
            undo.into(exc)
        raise exc


def _take_namespaces(host, wanted, idle):
    """Wait for what comes of a persistent region. :arg idle: as :func:`namespace_dax.idle` said before."""
    what = "NVDIMM region of the region of %s" % identity.describe_all(wanted.members)
    cxl_pmem.settle(host, host.wait_until(lambda: _nvdimm_region_up(host, Inventory(host), wanted), what).name)
    namespace_dax.hand_over(host, idle)


def _left(host, wanted):
    inventory = Inventory(host)
    region = _region_or_none(inventory, wanted)
    return [region] if region else _unfinished(inventory, wanted)


def _remove_new(host, wanted):
    for region in _left(host, wanted):
        remove(host, wanted._replace(may_lose=True), region)


def _change(host, changes):
    """Remove, then make. Regions made so far stay when a later one fails, and the error names them."""
    done = []
    try:
        for change in changes:
            for region in change.regions:
                remove(host, change.wanted, region)
                done.append("removed before that: the region of %s" % identity.describe_all(change.wanted.members))
        for mode, group in itertools.groupby([change.placed for change in changes if change.placed], key=lambda placed: placed.wanted.mode):
            with holds.autoprobe_off(host) if mode == "ram" else namespace_dax.held(host):
                (load_drivers if mode == "ram" else cxl_pmem.load_drivers)(host)
                for placed in group:
                    make(host, placed)
                    done.append("made before that, and kept: the region of %s" % identity.describe_all(placed.wanted.members))
    except (TestbedError, signals.Interrupt) as exc:
        exc.details = exc.details + done
        exc.changed = exc.changed or bool(done)
        raise exc


def _region_with_dax(host, wanted):
    region = _region_or_none(Inventory(host), wanted)
    # the device is there before its range is (drivers/dax/bus.c:__devm_create_dev_dax, 6.12 to 7.3)
    return _set_up(region) and len(region.dax) == 1 and bool(dax.read(host, region.dax[0]).ranges)


def _nvdimm_region_up(host, inventory, wanted):
    region = _region_or_none(inventory, wanted)
    found = cxl_pmem.nvdimm_region(host, region) if _set_up(region) else None
    return found if found is not None and found.enabled else None


def _set_up(region):
    return region is not None and region.committed and region.enabled and region.size > 0


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
    """The tool's failure in words, its own lines below. What can be known beforehand was refused with its reason: this is what is left."""
    said = " ".join(failure.details)
    who = identity.describe_all(wanted.members)
    remedy = None
    if "commit" in said:
        remedy = invalidation.reason(host)
    elif "target" in said:
        remedy = ("the kernel does not say why; order, number and granularity of the devices fit the window, and their decoders looked free: "
                  "enable debug messages of cxl_core (dynamic_debug) and try again, or power cycle the host, which clears all decoders")
    elif "No space left" in said or "available space" in said:
        remedy = "the device or the memory window has less free capacity than is wanted"
    return TestbedError("the region of %s could not be made" % who, details=[failure.summary] + failure.details, remedy=remedy)


def remove(host, wanted, region):
    """Remove one region that is not in use: its dax devices leave their driver first, then the region is disabled and destroyed."""
    if region.name not in [known.name for known in _left(host, wanted)]:
        return
    _refuse_removal(host, wanted, region)
    nvdimm = cxl_pmem.nvdimm_region(host, region) if region.mode == "pmem" else None
    # a disabled one does not show what it holds, so that the next run would not take it away
    with disabled.noted(host, "%s/%s" % (cxl.BUS, region.name)) if nvdimm else contextlib.nullcontext():
        _take_down(host, wanted, region, nvdimm)


def _take_down(host, wanted, region, nvdimm):
    """:arg nvdimm: the :class:`cxl_pmem.NvdimmRegion` that came of it, or ``None``."""
    who, undo = identity.describe_all(wanted.members), session.Undo()
    try:
        for name in cxl_pmem.dax_devices(host, nvdimm) if nvdimm else region.dax:
            device = dax.read(host, name)
            if device.driver == "kmem" or device.driver and nvdimm is None:
                host.run(["cxl", "version"])  # a tool that does not run is no reason to take anything from its driver
                undo.add("the dax device of the region of %s released from %s" % (who, device.driver), _bind_again, host, device)
                dax.leave(host, device)
        if region.enabled:
            undo.add("the region of %s disabled" % who, _enable_again, host, wanted, region)
            host.run(["cxl", "disable-region", region.name])
        if region.committed:
            host.run(["cxl", "destroy-region", region.name])
        else:
            cxl.discard(host, region)
        if region.name in [known.name for known in _left(host, wanted)]:
            raise TestbedError("the region of %s is still there although it was removed without an error" % who)
    except (TestbedError, signals.Interrupt) as exc:
        if region.name in [known.name for known in _left(host, wanted)]:
            undo.into(exc)
        else:
            exc.changed = True
        raise exc


def _enable_again(host, wanted, region):
    """Its dax device comes without a driver, as it was left."""
    if any(known.name == region.name and known.enabled for known in _left(host, wanted)):
        return
    with holds.autoprobe_off(host) if region.mode == "ram" else namespace_dax.held(host):
        idle = namespace_dax.idle(host)
        host.run(["cxl", "enable-region", region.name])
        if region.mode == "pmem":
            _take_namespaces(host, wanted, idle)
        elif region.dax:
            host.wait_until(lambda: _region_with_dax(host, wanted), "dax device of the region of %s" % identity.describe_all(wanted.members))


def _bind_again(host, device):
    """Its blocks are offline, as they were."""
    if dax.read(host, device.name).driver is not None:
        return
    with holds.auto_online_off(host), holds.autoprobe_off(host):
        if device.knob is not None:
            dax.write_knob(host, device.name, device.knob)
        dax.bind(host, device.name, device.driver)


def apply(host, entries, check_mode=False):
    """The whole step: returns ``(changed, reports, before)``; in check mode the reports are what would be."""
    inventory, wanted = parse_all(host, entries)
    before = [status(host, inventory, entry) for entry in wanted]
    changes = plan(host, inventory, wanted)
    changing = {change.wanted: change for change in changes}
    placed = [(changing[one].placed, entry["memory"]) for one, entry in zip(wanted, entries) if one.present and one in changing and entry.get("memory")]
    preflight.refuse_impossible(host, [("memory device %s" % identity.describe_all(each.wanted.members), each.start, each.size, memory)
                                       for each, memory in placed])
    if check_mode:
        return bool(changes), [_planned(entry, report, changing.get(entry)) for entry, report in zip(wanted, before)], before
    _change(host, changes)
    inventory = Inventory(host)
    after = [dict(status(host, inventory, entry), changed=entry in changing) for entry in wanted]
    for entry, report in zip(wanted, after):
        if entry.present != (report["state"] == "present"):
            raise TestbedError("the region of %s is %s after all" % (identity.describe_all(entry.members), report["state"]))
    return bool(changes), after, before


def _planned(entry, report, change):
    if change is None:
        return dict(report, changed=False)
    found = {"memory_devices": list(entry.names), "type": entry.mode, "state": "present" if entry.present else "absent", "changed": True}
    if change.placed:
        found.update(size=change.placed.size, start=change.placed.start, ways=len(entry.members), root_decoder=change.placed.decoder.name,
                     granularity=entry.granularity or change.placed.decoder.granularity)
    return found
