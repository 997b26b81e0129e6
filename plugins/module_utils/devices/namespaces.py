# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces of persistent memory as declared state: what there is, what is wanted, and how ``ndctl`` gets there.

A region whose NVDIMMs have no label area is one namespace that always exists: absent means raw there, which is what the kernel makes of it by itself
(drivers/nvdimm/namespace_devs.c:create_namespace_io, 6.1 to 7.3). It has the region's bytes, and the kernel shows neither alt_name nor uuid of it
(namespace_visible). In other modes its info block has a uuid, a new one each time it is made.
"""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, identity, namespace_changes, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.devices.namespace_entries import (
    completed, differences, find, labels_wanted, parse, smallest, unit)
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

# the entry; what to do: keep, enable, make, remake, remove; nvdimm.Namespace as it is or None; what will be lost, in words
Plan = collections.namedtuple("Plan", "entry action namespace lost")


def plan(host, inventory, wanted):
    """List of :class:`Plan` for all entries. Raises :class:`TestbedError`, before anything has changed, for everything that can be known to fail."""
    plans, room = [], {}
    for entry in sorted(wanted, key=lambda entry: ("absent", "reconfigured", "present").index(entry.state)):
        plans.append(_plan(host, inventory, entry, room))
    _check_shared(plans)
    return [next(found for found in plans if found.entry is entry) for entry in wanted]


def _plan(host, inventory, wanted, room):
    region = wanted.region
    if region is None:
        return Plan(wanted, "keep" if wanted.state == "absent" else "make", None, [])
    if not region.enabled:
        raise TestbedError("%s: its region is disabled" % wanted.who,
                           remedy="enable it with ndctl enable-region, or look in the kernel log why it could not be")
    namespace = find(inventory, wanted)
    if wanted.state == "absent":
        if namespace is None or region.labels != "used" and namespace.mode == "raw":
            return Plan(wanted, "keep", namespace, [])
        _check_writable(wanted)
        room.setdefault(region.name, []).append(-namespace.size)
        return Plan(wanted, "remove", namespace, contents.refuse_loss(host, namespace.name, wanted.who, wanted.allow, "remove"))
    _check_labels(inventory, wanted)
    if namespace is None or region.labels != "used" and namespace.mode == "raw" and wanted.mode != "raw":
        _check_writable(wanted)
        if namespace is None and wanted.state == "reconfigured" and None in (wanted.mode, wanted.size):
            raise TestbedError("%s is not there, so what is not said of it cannot be as it was" % wanted.who,
                               remedy="say mode and size, or state: present, by which it is made with the defaults")
        if region.labels == "blank" and labels_wanted(wanted):
            _check_alone(inventory, wanted)
            namespace_changes.refuse_damaged_labels(host, wanted)
        _check_fit(host, inventory, wanted, room)
        lost = []
        for entry in [] if region.labels == "used" else inventory.in_region(region):
            if entry.mode not in ("raw", None):
                raise TestbedError("%s: its region is one %s namespace without a label" % (wanted.who, entry.mode),
                                   remedy="remove that first, with state: absent and neither name nor uuid")
            lost += contents.refuse_loss(host, entry.name, "the region of %s" % wanted.who, wanted.allow)
        return Plan(wanted, "make", namespace, lost)
    if not namespace.enabled:
        return Plan(wanted, "enable", namespace, [])
    different = differences(wanted, namespace)
    if not different:
        return Plan(wanted, "keep", namespace, [])
    if wanted.state == "present":
        raise TestbedError("%s is there, but has %s" % (wanted.who, "; ".join(different)),
                           remedy="state: reconfigured makes it anew, and loses what it holds")
    _check_writable(wanted)
    room.setdefault(region.name, []).append(-namespace.size)
    _check_fit(host, inventory, completed(wanted, namespace), room)
    return Plan(wanted, "remake", namespace, contents.refuse_loss(host, namespace.name, wanted.who, wanted.allow, "reconfigure"))


def _check_writable(wanted):
    if wanted.region.read_only:
        raise TestbedError("%s: its region is read-only" % wanted.who)


def _check_alone(inventory, wanted):
    shared = [region for region in inventory.regions if set(region.dimms) & set(wanted.region.dimms)]
    if len(shared) > 1:
        raise TestbedError("%s: its NVDIMMs belong to %d regions, and new labels would be those of all" % (wanted.who, len(shared)),
                           remedy="write them with ndctl init-labels while nothing is in use")


def _check_labels(inventory, wanted):
    region = wanted.region
    resized = wanted.size is not None and wanted.size != region.size
    asked = [key for key, there in (("name", wanted.name is not None), ("uuid", wanted.uuid is not None), ("size", resized)) if there]
    if region.labels == "none" and asked:
        raise TestbedError("%s: %s no label area, where name, uuid and size of a namespace are kept: its region is one namespace of %s"
                           % (wanted.who, _without_labels(inventory, region), format_size(region.size)), remedy="leave out %s" % " and ".join(asked))
    if region.labels == "blank" and not labels_wanted(wanted) and resized:
        raise TestbedError("%s: without labels a namespace takes its whole region, %s, wanted %s"
                           % (wanted.who, format_size(region.size), format_size(wanted.size)),
                           remedy="leave size out, or give it a name, and labels are made")


def _without_labels(inventory, region):
    """``NVDIMM 0x3 (8680-58341200) has``, of those that have no label area."""
    dimms = [dimm for dimm in inventory.dimms if dimm.name in region.dimms and not dimm.label_area]
    found = ["NVDIMM %s" % nvdimm.describe_dimms([dimm]) for dimm in dimms if dimm.memory is None]
    found += ["memory device %s" % identity.describe(device) for device in inventory.memory if device.name in [dimm.memory for dimm in dimms]]
    return "%s %s" % (", ".join(found) or "its NVDIMMs", "has" if len(found) == 1 else "have")


def _check_fit(host, inventory, wanted, room):
    """Alignment, size and capacity, by the same rules as ndctl (ndctl/namespace.c:validate_namespace_options) and the kernel, with the size that would do.

    :arg room: region -> bytes that entries before this one will have taken (negative: given back).
    """
    region, mode = wanted.region, wanted.mode or "fsdax"
    base = "%s/%s" % (nvdimm.BUS, region.name)
    if wanted.align is not None:
        seed = host.read_optional("%s/%s_seed" % (base, "dax" if mode == "devdax" else "pfn"))
        offered = [int(word) for word in (host.read_optional("%s/%s/supported_alignments" % (nvdimm.BUS, seed)) or "").split()] if seed else []
        if offered and wanted.align not in offered:
            raise TestbedError("%s: align %s is not offered by this kernel" % (wanted.who, format_size(wanted.align)),
                               remedy="it offers %s" % ", ".join(map(format_size, offered)))
    if wanted.sector_size is not None:
        seed = host.read_optional("%s/%s_seed" % (base, "btt" if mode == "sector" else "namespace"))
        offered = [int(word) for word in re.findall("[0-9]+", host.read_optional("%s/%s/sector_size" % (nvdimm.BUS, seed)) or "512")]
        if region.labels == "blank" and labels_wanted(wanted) and mode != "sector":
            offered = [512, 4096]  # what labels bring
        if wanted.sector_size not in offered:
            raise TestbedError("%s: sector_size %d is not offered for mode %s" % (wanted.who, wanted.sector_size, mode),
                               remedy="there are %s" % ", ".join(map(str, offered)))
    step, least = unit(region, wanted.align), smallest(wanted._replace(mode=mode), region)
    taken = room.setdefault(region.name, [])
    if region.labels == "used":
        free = region.free - sum(taken)
        # what is given back may join free pieces: how large the largest then is, ndctl will find out
        largest = free if any(count < 0 for count in taken) else min(free, region.largest)
    else:
        free = largest = region.size - sum(taken)
    size = wanted.size
    if size is None:
        size = largest // step * step if region.labels == "used" or labels_wanted(wanted) else region.size
        if size < least:
            raise TestbedError("%s: its region has %s left, too little: a %s namespace here needs %s"
                               % (wanted.who, format_size(largest), mode, format_size(least)))
    if size % step and region.labels == "none":
        raise TestbedError("%s: its region has %s, which is not a multiple of %s, and %s no label area, by which a smaller namespace could be made"
                           % (wanted.who, format_size(size), format_size(step), _without_labels(inventory, region)),
                           remedy="only mode raw takes it as it is; NVDIMMs of %s more in all would do" % format_size(-size % step))
    if size % step:
        nearest = [count for count in (size // step * step, (size // step + 1) * step) if least <= count <= largest]
        raise TestbedError("%s: size %s is not a multiple of %s, the alignment of its region" % (wanted.who, format_size(size), format_size(step)),
                           remedy="%s would do" % (" or ".join(map(format_size, nearest)) or "no size"))
    if size < least:
        raise TestbedError("%s: size %s is too small for mode %s%s" % (wanted.who, format_size(size), mode,
                                                                       " with align %s" % format_size(wanted.align) if wanted.align else ""),
                           remedy="%s would do" % format_size(least))
    if size > largest:
        raise TestbedError("%s: size %s is more than its region has left, %s%s" % (
            wanted.who, format_size(size), format_size(largest), "" if largest == free else " in one piece (%s in all)" % format_size(free)),
            remedy="%s would do" % format_size(largest // step * step) if largest // step * step >= least else "remove another namespace first")
    taken.append(size)


def _check_shared(plans):
    """Entries of one task that contradict each other."""
    for position, one in enumerate(plans):
        for other in plans[:position]:
            if one.entry.region is None or one.entry.region is not other.entry.region:
                continue
            same = one.namespace is not None and one.namespace is other.namespace
            if same or one.entry.region.labels != "used" and not (labels_wanted(one.entry) and labels_wanted(other.entry)) \
                    or one.entry.name is not None and one.entry.name == other.entry.name or one.entry.uuid is not None and one.entry.uuid == other.entry.uuid:
                raise TestbedError("%s is declared twice, the other time as %s" % (one.entry.who, other.entry.who))


def status(wanted, namespace):
    """What a user wants to know of one declared namespace, as it is now."""
    report = {wanted.key: list(wanted.names), "name": wanted.name, "uuid": wanted.uuid, "state": "absent"}
    if namespace is None or wanted.region is not None and wanted.region.labels != "used" and wanted.mode != "raw" and namespace.mode == "raw":
        return report
    report.update(state="present", name=namespace.label, uuid=namespace.label_uuid or namespace.info_uuid, namespace=namespace.name, region=namespace.region,
                  enabled=namespace.enabled, mode=namespace.mode, map=namespace.map, size=namespace.size, usable_size=namespace.usable, align=namespace.align,
                  sector_size=namespace.sector_size, device=namespace.device, node=namespace.node)
    return report


def outline(report):
    """The part of a status that is declared, for a diff: free of the kernel's numbering."""
    return {key: report.get(key) for key in ("memory_devices", "nvdimms", "name", "state", "enabled", "mode", "map", "size", "align", "sector_size")
            if key in report}


def _planned(found, report):
    """What would be, as far as that can be known."""
    if found.action == "remove":
        return {key: report[key] for key in (found.entry.key, "name", "uuid")} | {"state": "absent"}
    if found.action in ("make", "remake"):
        wanted = found.entry if found.action == "make" else completed(found.entry, found.namespace)
        memory = (wanted.mode or "fsdax") in ("fsdax", "devdax")
        return dict({found.entry.key: report[found.entry.key]}, state="present", enabled=True, name=wanted.name, uuid=wanted.uuid, mode=wanted.mode or "fsdax",
                    map=(wanted.map or "dev") if memory else None, size=wanted.size, align=wanted.align, sector_size=wanted.sector_size)
    return dict(report, enabled=True) if found.action == "enable" else dict(report)


def apply(host, entries, check_mode=False):
    """The whole step: returns ``(changed, reports, before)``; in check mode the reports are what would be."""
    inventory = nvdimm.Inventory(host)
    wanted = [parse(inventory, entry, check_mode) for entry in entries]
    plans = plan(host, inventory, wanted)
    before = [status(found.entry, found.namespace) for found in plans]
    changed = any(found.action != "keep" for found in plans)
    if check_mode:
        return changed, [dict(_planned(found, report), changed=found.action != "keep", lost=found.lost) for found, report in zip(plans, before)], before
    if changed:
        namespace_changes.change(host, plans)
    after = []
    try:
        for found in plans:
            after.append(dict(_proven(host, found), changed=found.action != "keep", lost=found.lost))
    except TestbedError as exc:
        exc.changed = nvdimm.namespaces(host) != inventory.namespaces
        raise exc
    return changed, after, before


def _proven(host, found):
    """The state read back. Raises :class:`TestbedError` where it is not what was asked for."""
    if found.entry.region is None:
        return status(found.entry, None)
    wanted, namespace = namespace_changes.now(host, found.entry)[1:]
    report = status(wanted, namespace)
    different = differences(wanted, namespace) if wanted.state != "absent" and namespace is not None else []
    if found.action == "enable" and (different or report["state"] == "absent"):
        raise TestbedError("%s was disabled and is enabled now, but has %s" % (wanted.who, "; ".join(different) or "mode raw"),
                           remedy="state: reconfigured makes it anew, and loses what it holds")
    if (report["state"] == "present") != (wanted.state != "absent"):
        raise TestbedError("%s is %s after all" % (wanted.who, report["state"]))
    if different or wanted.state != "absent" and not namespace.enabled:
        raise TestbedError("%s has come out as something else: %s" % (wanted.who, "; ".join(different) or "it is disabled"))
    return report
