# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces of persistent memory as declared state: what there is, what is wanted, and how ``ndctl`` gets there.

A region whose NVDIMMs have no label area is one namespace that always exists: absent means raw there, which is what the kernel makes of it by itself.
"""
from __future__ import annotations

import collections
import math
import re
import uuid as uuids

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, identity, nvdimm, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.sizes import format_size, parse_size

NAME_BYTES = 63  # drivers/nvdimm/nd.h:NSLABEL_NAME_LEN, and its end
SMALLEST = 16 << 20  # of any mode but raw (drivers/nvdimm/claim.c:nd_namespace_store)
DRIVERS = ("nd_pmem", "nd_btt", "dax_pmem", "device_dax")

# the region as the task names it: key, names; how errors call the namespace; nvdimm.Region, None in check mode before it is made; the rest as declared:
# sizes in bytes, None where nothing is said
Wanted = collections.namedtuple("Wanted", "key names who region name uuid state mode map size align sector_size allow")

# the entry; what to do: keep, enable, make, remake, remove; nvdimm.Namespace as it is or None; what will be lost, in words
Plan = collections.namedtuple("Plan", "entry action namespace lost")


# what is wanted


def parse(inventory, entry, check_mode=False):
    """One entry of the task -> :class:`Wanted`. Raises :class:`TestbedError`."""
    keys = [key for key in ("memory_devices", "nvdimms") if entry.get(key) is not None]
    if len(keys) != 1:
        raise TestbedError("a namespace's region is named by memory_devices or by nvdimms, one of the two", remedy="%s given" % (" and ".join(keys) or "none"))
    names, name, uuid = list(entry[keys[0]]), entry.get("name"), entry.get("uuid")
    where = "%s %s" % ("memory device" if keys[0] == "memory_devices" else "NVDIMM", ", ".join(map(str, names)))
    who = "namespace %sof %s" % ("%s " % (name or uuid) if name or uuid else "", where)
    if keys[0] == "nvdimms":
        region = inventory.region_of_dimms(names)
    else:
        region = inventory.region_of_memory(names)
        members = identity.find_all(inventory.memory, names)
        for device in members:
            if device.pmem == 0:
                raise TestbedError("memory device %s has no persistent capacity" % identity.describe(device))
        if region is None and not check_mode and entry["state"] != "absent":
            raise TestbedError("no region of persistent memory is made of memory device %s" % identity.describe_all(members),
                               remedy="make it with memlab.testbed.cxl_region, type pmem")
    uuid = _uuid(uuid, who)
    if region is not None and region.labels != "used" and uuid is not None and uuid in [found.info_uuid for found in inventory.in_region(region)]:
        uuid = None  # its info block's, by which ndctl shows it: the whole region is meant
    wanted = Wanted(keys[0], names, who, region, name, uuid, entry["state"], entry.get("mode"), entry.get("map"),
                    *[_bytes(entry.get(key), "%s of the %s" % (key, who)) for key in ("size", "align", "sector_size")],
                    allow=bool(entry.get("allow_data_loss")))
    _check_words(wanted)
    return wanted


def _uuid(text, who):
    if text is None:
        return None
    try:
        return str(uuids.UUID(str(text)))
    except ValueError:
        raise TestbedError("%s: %r is not a uuid" % (who, text))


def _is_uuid(text):
    try:
        return bool(uuids.UUID(text))
    except ValueError:
        return False


def _bytes(value, what):
    if value is None or str(value).lower() == "all" and what.startswith("size"):
        return None
    count = parse_size(value, what)
    if not count:
        raise TestbedError("%s is 0" % what)
    return count


def _check_words(wanted):
    """What is wrong by itself, whatever the machine is."""
    if wanted.name is not None and not 0 < len(wanted.name.encode("utf-8")) <= NAME_BYTES or wanted.name and not wanted.name.isprintable():
        raise TestbedError("a namespace's name has 1 to %d bytes and is printable, this is not: %.80r" % (NAME_BYTES, wanted.name))
    if wanted.name is not None and (re.fullmatch(r"namespace[0-9]+\.[0-9]+", wanted.name) or _is_uuid(wanted.name)):
        raise TestbedError("%s is no name for a namespace: %s" % (wanted.name, "it is a uuid" if _is_uuid(wanted.name) else "it is the kernel's own numbering"))
    mode = wanted.mode or "fsdax"
    for key in ("map", "align"):
        if getattr(wanted, key) is not None and mode not in ("fsdax", "devdax"):
            raise TestbedError("%s: a %s namespace has no %s" % (wanted.who, mode, key), remedy="only fsdax and devdax have one")
    if wanted.sector_size is not None and mode == "devdax":
        raise TestbedError("%s: a devdax namespace has no sectors" % wanted.who, remedy="leave sector_size out")


def find(inventory, wanted):
    """The namespace as it is, or ``None``. Raises :class:`TestbedError` when it is not clear which one is meant."""
    region = wanted.region
    if region is None:
        return None
    found = inventory.in_region(region)
    if region.labels != "used":
        # a blank label area: the whole region is one namespace that nobody made, until there are labels
        return found[0] if found and not _labels_wanted(wanted) else None
    if wanted.name is None and wanted.uuid is None:
        raise TestbedError("%s: its region can hold several namespaces" % wanted.who, remedy="give a name or a uuid")
    matches = []
    if wanted.uuid is not None:
        matches = [entry for entry in found if wanted.uuid in (entry.label_uuid, entry.info_uuid)]
    if not matches and wanted.name is not None:
        matches = [entry for entry in found if entry.label == wanted.name]
    if len(matches) > 1:
        raise TestbedError("%s: %d namespaces have this name" % (wanted.who, len(matches)),
                           remedy="give the uuid of the one you mean: %s" % ", ".join(str(entry.label_uuid) for entry in matches))
    return matches[0] if matches else None


def _labels_wanted(wanted):
    return wanted.name is not None or wanted.uuid is not None


def unit(region, align=None):
    """Bytes that the size of a namespace is a multiple of: the region's alignment (16 MiB for each NVDIMM), and its own for each NVDIMM."""
    own = (align or 4096) * max(1, len(region.dimms))
    return region.align * own // math.gcd(region.align, own)


def smallest(wanted, region):
    """Bytes below which a namespace of this mode is not made: it keeps its info block and maps on itself."""
    step = unit(region, wanted.align)
    least = 1
    if wanted.mode == "sector":
        least = SMALLEST + 1  # an arena has 16 MiB, and the info block comes on top (drivers/nvdimm/btt.h:ARENA_MIN_SIZE)
    elif wanted.mode != "raw":
        least = SMALLEST
        if wanted.align and wanted.align > SMALLEST:
            least = wanted.align + 1  # the first piece so aligned goes to the info block
    return -(-least // step) * step


def differences(wanted, namespace):
    """What is not as declared, in words; what the task does not say is not compared."""
    found = []
    for key, is_ in (("mode", namespace.mode), ("map", namespace.map), ("size", namespace.size), ("align", namespace.align),
                     ("sector_size", namespace.sector_size), ("name", namespace.label)):
        asked = getattr(wanted, key)
        if asked is not None and asked != is_:
            found.append("%s %s, wanted %s" % tuple([key] + [format_size(value) if isinstance(value, int) else value for value in (is_, asked)]))
    if wanted.uuid is not None and wanted.uuid not in (namespace.label_uuid, namespace.info_uuid):
        found.append("uuid %s, wanted %s" % (namespace.label_uuid, wanted.uuid))
    return found


# what to do


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
        raise TestbedError("%s: its region is disabled" % wanted.who, remedy="enable it with ndctl enable-region, or look in the kernel log why it could not be")
    namespace = find(inventory, wanted)
    if wanted.state == "absent":
        if namespace is None or region.labels != "used" and namespace.mode == "raw":
            return Plan(wanted, "keep", namespace, [])
        _check_writable(wanted)
        room.setdefault(region.name, []).append(-namespace.size)
        return Plan(wanted, "remove", namespace, contents.refuse_loss(host, namespace.name, wanted.who, wanted.allow, "remove"))
    _check_labels(wanted)
    if namespace is None or region.labels != "used" and namespace.mode == "raw" and wanted.mode != "raw":
        _check_writable(wanted)
        if region.labels == "blank" and _labels_wanted(wanted):
            _check_alone(inventory, wanted)
        _check_fit(host, wanted, room)
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
    _check_fit(host, _completed(wanted, namespace), room)
    return Plan(wanted, "remake", namespace, contents.refuse_loss(host, namespace.name, wanted.who, wanted.allow, "reconfigure"))


def _completed(wanted, namespace):
    """A declaration for making a namespace anew: what it does not say stays as it is, as far as the new mode has it."""
    mode = wanted.mode or namespace.mode
    memory = mode in ("fsdax", "devdax")
    same = mode == namespace.mode
    return wanted._replace(name=wanted.name or namespace.label, uuid=wanted.uuid or namespace.label_uuid, mode=mode, size=wanted.size or namespace.size,
                           map=(wanted.map or namespace.map) if memory else None, align=(wanted.align or namespace.align) if memory else None,
                           sector_size=wanted.sector_size or (namespace.sector_size if same and mode != "devdax" else None))


def _check_writable(wanted):
    if wanted.region.read_only:
        raise TestbedError("%s: its region is read-only" % wanted.who)


def _check_alone(inventory, wanted):
    shared = [region for region in inventory.regions if set(region.dimms) & set(wanted.region.dimms)]
    if len(shared) > 1:
        raise TestbedError("%s: its NVDIMMs belong to %d regions, and new labels would be those of all" % (wanted.who, len(shared)),
                           remedy="write them with ndctl init-labels while nothing is in use")


def _check_labels(wanted):
    region = wanted.region
    if region.labels == "none" and _labels_wanted(wanted):
        raise TestbedError("%s: it can have neither name nor uuid, because its NVDIMMs have no label area" % wanted.who,
                           remedy="leave both out: the region is its one namespace")
    if region.labels != "used" and not _labels_wanted(wanted) and wanted.size is not None and wanted.size != region.size:
        raise TestbedError("%s: without labels a namespace takes its whole region, %s, wanted %s"
                           % (wanted.who, format_size(region.size), format_size(wanted.size)),
                           remedy="leave size out" + (", or give it a name, and labels are made" if region.labels == "blank" else ""))


def _check_fit(host, wanted, room):
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
        if region.labels == "blank" and _labels_wanted(wanted) and mode != "sector":
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
        size = largest // step * step if region.labels == "used" or _labels_wanted(wanted) else region.size
        if size < least:
            raise TestbedError("%s: its region has %s left, too little: a %s namespace here needs %s"
                               % (wanted.who, format_size(largest), mode, format_size(least)))
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
            if same or one.entry.region.labels != "used" and not (_labels_wanted(one.entry) and _labels_wanted(other.entry)) \
                    or one.entry.name is not None and one.entry.name == other.entry.name or one.entry.uuid is not None and one.entry.uuid == other.entry.uuid:
                raise TestbedError("%s is declared twice, the other time as %s" % (one.entry.who, other.entry.who))


# doing it


def change(host, plans):
    """Remove, make anew, make. Raises :class:`TestbedError`: what this call made is gone again then, and the details say what stays."""
    undo, stays = session.Undo(), []
    try:
        _load_drivers(host)
        for found in plans:
            if found.action == "remove":
                _remove(host, found)
                stays.append("removed before that: the %s" % found.entry.who)
        for found in plans:
            if found.action == "remake":
                _remake(host, found, undo)
        for found in plans:
            if found.action == "enable":
                host.run(["ndctl", "enable-namespace", found.namespace.name])
                undo.add("the %s enabled" % found.entry.who, host.run, ["ndctl", "disable-namespace", found.namespace.name])
            elif found.action == "make":
                _make(host, found.entry, undo, stays)
    except TestbedError as exc:
        exc.details = exc.details + stays + undo.run()
        raise exc


def _load_drivers(host):
    """One that is not there at all shows itself when it is needed."""
    try:
        host.run(["modprobe", "-q", "-a"] + list(DRIVERS))
    except signals.Interrupted:
        raise
    except TestbedError:
        pass


def _now(host, wanted):
    """The entry with its region and the namespace as they are now."""
    inventory = nvdimm.Inventory(host)
    region = next((region for region in inventory.regions if region.name == wanted.region.name), None)
    if region is None:
        raise TestbedError("the region of %s is gone" % wanted.who)
    wanted = wanted._replace(region=region)
    return inventory, wanted, find(inventory, wanted)


def _remove(host, found):
    """Destroy one namespace. Looked at again first: what was free of use may be in use by now."""
    contents.refuse_loss(host, found.namespace.name, found.entry.who, True, "remove")
    try:
        _tool(host, ["ndctl", "destroy-namespace", "--force", found.namespace.name], "%s could not be removed" % found.entry.who)
    except TestbedError as exc:
        undo = session.Undo()
        undo.add("the %s disabled" % found.entry.who, host.run, ["ndctl", "enable-namespace", found.namespace.name])
        exc.details = exc.details + (undo.run() if found.namespace.enabled else [])
        raise exc
    if found.entry.region.labels != "used":
        host.run(["ndctl", "enable-namespace", found.namespace.name])  # raw again, as the kernel would have it
    elif _by_label(host, found.entry.region, found.namespace.label_uuid) is not None:
        raise TestbedError("%s is still there although ndctl said it was destroyed" % found.entry.who)


def _by_label(host, region, uuid):
    return next((entry for entry in nvdimm.namespaces(host) if entry.region == region.name and uuid is not None and entry.label_uuid == uuid), None)


def _remake(host, found, undo):
    """Destroyed and made with the uuid that it had: ndctl's own reconfiguration gives it another one."""
    before = found.namespace
    wanted = _completed(found.entry, before)
    old = wanted._replace(name=before.label, uuid=before.label_uuid, mode=before.mode, map=before.map, size=before.size, align=before.align,
                          sector_size=before.sector_size)
    if wanted.region.labels != "used":
        contents.refuse_loss(host, before.name, wanted.who, True, "reconfigure")
        undo.add("%s, as it was before" % wanted.who, _form, host, old, before.name)
        _form(host, wanted, before.name)
        return
    _remove(host, found)
    undo.add("%s, as it was before" % wanted.who, _create, host, old)
    undo.add("%s" % wanted.who, _destroy_made, host, wanted.region, wanted.uuid)
    _create(host, wanted)


def _make(host, wanted, undo, stays):
    inventory, wanted, namespace = _now(host, wanted)
    if wanted.region.labels == "blank" and _labels_wanted(wanted):
        _write_labels(host, inventory, wanted, stays)
        inventory, wanted, namespace = _now(host, wanted)
    if wanted.region.labels != "used":
        target = inventory.in_region(wanted.region)[0]
        contents.refuse_loss(host, target.name, wanted.who, True)
        undo.add(wanted.who, _unform, host, target.name)
        _form(host, wanted._replace(mode=wanted.mode or "fsdax"), target.name)
        return
    step = unit(wanted.region, wanted.align)
    wanted = wanted._replace(mode=wanted.mode or "fsdax", uuid=wanted.uuid or str(uuids.uuid4()), size=wanted.size or wanted.region.largest // step * step)
    undo.add(wanted.who, _destroy_made, host, wanted.region, wanted.uuid)
    _create(host, wanted)


def _write_labels(host, inventory, wanted, stays):
    """Empty labels in blank label areas. ndctl does that only while no region of the NVDIMMs is enabled."""
    for entry in inventory.in_region(wanted.region):
        contents.refuse_loss(host, entry.name, "the region of %s" % wanted.who, True)
    host.run(["ndctl", "disable-region", wanted.region.name])
    try:
        # it refuses by itself where there are labels already
        _tool(host, ["ndctl", "init-labels"] + list(wanted.region.dimms), "%s: its NVDIMMs took no labels" % wanted.who)
        stays.append("done before that, and kept: empty labels written to the NVDIMMs of %s" % wanted.who)
    finally:
        with signals.deferred():
            host.run(["ndctl", "enable-region", wanted.region.name])
    region = next(region for region in nvdimm.regions(host) if region.name == wanted.region.name)
    if region.labels != "used":
        raise TestbedError("%s: labels were written, but the kernel does not use them" % wanted.who, remedy="see the kernel log, and ndctl check-labels")


def _options(wanted):
    argv = ["--mode", wanted.mode]
    for option, value in (("--map", wanted.map), ("--align", wanted.align), ("--sector-size", wanted.sector_size)):
        argv += [] if value is None else [option, str(value)]
    return argv


def _create(host, wanted):
    argv = ["ndctl", "create-namespace", "--region", wanted.region.name, "--size", str(wanted.size), "--uuid", wanted.uuid]
    _tool(host, argv + (["--name", wanted.name] if wanted.name else []) + _options(wanted), "%s could not be made" % wanted.who)


def _form(host, wanted, name):
    """Another mode for the one namespace of a region without labels."""
    _tool(host, ["ndctl", "create-namespace", "--no-autolabel", "--force", "--reconfig", name] + _options(wanted), "%s could not be made" % wanted.who)


def _unform(host, name):
    host.run(["ndctl", "destroy-namespace", "--force", name])
    host.run(["ndctl", "enable-namespace", name])


def _destroy_made(host, region, uuid):
    """What this call made, or what a failed attempt left: it is known by the uuid that was given to it."""
    left = _by_label(host, region, uuid)
    if left is not None:
        host.run(["ndctl", "destroy-namespace", "--force", left.name])


def _tool(host, argv, summary):
    try:
        return host.run(argv)
    except signals.Interrupted:
        raise
    except TestbedError as exc:
        raise TestbedError(summary, details=[exc.summary] + exc.details, remedy=exc.remedy or "the kernel log may say more")


# what a task answers


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
        wanted = found.entry if found.action == "make" else _completed(found.entry, found.namespace)
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
        change(host, plans)
    after = []
    for found in plans:
        after.append(dict(_proven(host, found), changed=found.action != "keep", lost=found.lost))
    return changed, after, before


def _proven(host, found):
    """The state read back. Raises :class:`TestbedError` where it is not what was asked for."""
    if found.entry.region is None:
        return status(found.entry, None)
    wanted, namespace = _now(host, found.entry)[1:]
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
