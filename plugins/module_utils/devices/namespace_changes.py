# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces made, made anew and removed by ``ndctl``.

Each step looks for use and data again before it destroys anything, and is undone when a later one fails, as far as that can be.
"""
from __future__ import annotations

import uuid as uuids

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, disabled, namespace_dax, nvdimm, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.devices.namespace_entries import completed, find, labels_wanted, unit
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

DRIVERS = ("nd_pmem", "nd_btt", "dax_pmem", "device_dax")


def change(host, plans):
    """Remove, make anew, make. Raises :class:`TestbedError`: what this call made is gone again then, and the details say what stays and what is lost."""
    undo, stays = session.Undo(), []
    try:
        with namespace_dax.held(host):
            _load_drivers(host)
            for found in plans:
                if found.action == "remove":
                    _remove(host, found, stays)
            for found in plans:
                if found.action == "remake":
                    _remake(host, found, undo, stays)
            for found in plans:
                if found.action == "enable":
                    undo.add("the %s enabled" % found.entry.who, _disable_again, host, found)
                    _run(host, ["ndctl", "enable-namespace", found.namespace.name])
                elif found.action == "make":
                    _make(host, found.entry, undo, stays)
    except (TestbedError, signals.Interrupt) as exc:
        exc.details = exc.details + stays
        exc.changed = exc.changed or bool(stays)
        session.put_back(host, undo, exc, namespace_dax.held)
        raise exc


def _run(host, argv):
    """A command that makes or enables namespaces; what dax devices come of it go to device_dax, as far as it takes them."""
    idle = namespace_dax.idle(host)
    try:
        return host.run(argv)
    finally:
        namespace_dax.hand_over(host, idle)


def _noted(host, name):
    """Context manager: a region or namespace that is enabled again by the next run where this one is killed within."""
    return disabled.noted(host, "%s/%s" % (nvdimm.BUS, name))


def _disable_again(host, found):
    if not _is_enabled(host, found.namespace):
        return
    contents.refuse_use(host, found.namespace.name, found.entry.who, "disable")
    host.run(["ndctl", "disable-namespace", found.namespace.name])


def _load_drivers(host):
    """One that is not there at all shows itself when it is needed."""
    try:
        host.run(["modprobe", "-q", "-a"] + list(DRIVERS))
    except TestbedError:
        pass


def now(host, wanted):
    """The entry with its region and the namespace as they are now."""
    inventory = nvdimm.Inventory(host)
    region = next((region for region in inventory.regions if region.name == wanted.region.name), None)
    if region is None:
        raise TestbedError("the region of %s is gone" % wanted.who)
    wanted = wanted._replace(region=region)
    return inventory, wanted, find(inventory, wanted)


def _remove(host, found, stays):
    """Destroy one namespace. Looked at again first: what was free of use and of data need not be so by now."""
    lost = contents.refuse_loss(host, found.namespace.name, found.entry.who, found.entry.allow, "remove")
    with _noted(host, found.namespace.name):
        _destroy(host, found, lost, stays)


def _destroy(host, found, lost, stays):
    try:
        _tool(host, ["ndctl", "destroy-namespace", "--force", found.namespace.name], "%s could not be removed" % found.entry.who)
        untouched = found.namespace.enabled and found.namespace in nvdimm.namespaces(host)
        if untouched or _by_label(host, found.entry.region, found.namespace.label_uuid) is not None:
            raise TestbedError("%s is still there although ndctl said it was destroyed" % found.entry.who)
    except (TestbedError, signals.Interrupt) as exc:
        undo = session.Undo()
        undo.add("the %s disabled" % found.entry.who, _run, host, ["ndctl", "enable-namespace", found.namespace.name])
        if found.namespace.enabled and not _is_enabled(host, found.namespace):
            undo.into(exc)
        if not _is_as_it_was(host, found.namespace, lost):
            stays.append("lost before that: what the %s held" % found.entry.who)
        raise exc
    stays.append("removed before that: the %s, with what it held" % found.entry.who)
    if found.entry.region.labels != "used":
        _run(host, ["ndctl", "enable-namespace", found.namespace.name])  # raw again, as the kernel would have it


def _is_enabled(host, namespace):
    return any(entry.name == namespace.name and entry.enabled for entry in nvdimm.namespaces(host))


def _is_as_it_was(host, namespace, held):
    """:arg held: what was found on it: an info block can be gone from a namespace that looks the same."""
    try:
        return namespace in nvdimm.namespaces(host) and [finding.text for finding in contents.look(host, namespace.name) if not finding.in_use] == held
    except TestbedError:
        return False


def _by_label(host, region, uuid):
    return next((entry for entry in nvdimm.namespaces(host) if entry.region == region.name and uuid is not None and entry.label_uuid == uuid), None)


def _remake(host, found, undo, stays):
    """Destroyed and made with the uuid that it had: ndctl's own reconfiguration gives it another one."""
    before = found.namespace
    wanted = completed(found.entry, before)
    old = wanted._replace(name=before.label, uuid=before.label_uuid, mode=before.mode, map=before.map, size=before.size, align=before.align,
                          sector_size=before.sector_size)
    if wanted.region.labels != "used":
        lost = contents.refuse_loss(host, before.name, wanted.who, wanted.allow, "reconfigure")
        undo.add("the %s made anew; it is again what it was, but for what it held" % wanted.who, _form_again, host, old, before, lost)
        _form_over(host, wanted, before, lost, stays)
        return
    _remove(host, found, stays)
    undo.add("the %s removed; it is again what it was, but for what it held" % wanted.who, _create, host, old)
    undo.add("%s" % wanted.who, _destroy_made, host, wanted.region, wanted.uuid)
    _create(host, wanted)


def _make(host, wanted, undo, stays):
    inventory, wanted, namespace = now(host, wanted)
    if wanted.region.labels == "blank" and labels_wanted(wanted):
        _write_labels(host, inventory, wanted, stays)
        inventory, wanted, namespace = now(host, wanted)
    if wanted.region.labels != "used":
        target = inventory.in_region(wanted.region)[0]
        lost = contents.refuse_loss(host, target.name, wanted.who, wanted.allow)
        undo.add(wanted.who, _unform, host, wanted.who, target, lost)
        _form_over(host, wanted._replace(mode=wanted.mode or "fsdax"), target, lost, stays)
        return
    step = unit(wanted.region, wanted.align)
    wanted = wanted._replace(mode=wanted.mode or "fsdax", uuid=wanted.uuid or str(uuids.uuid4()), size=wanted.size or wanted.region.largest // step * step)
    undo.add(wanted.who, _destroy_made, host, wanted.region, wanted.uuid)
    _create(host, wanted)


def _write_labels(host, inventory, wanted, stays):
    """Empty labels in blank label areas. ndctl does that only while no region of the NVDIMMs is enabled."""
    for entry in inventory.in_region(wanted.region):
        contents.refuse_loss(host, entry.name, "the region of %s" % wanted.who, wanted.allow)
    refuse_damaged_labels(host, wanted)
    with _noted(host, wanted.region.name):
        try:
            # within: what a signal or a timeout breaks off may be done all the same
            host.run(["ndctl", "disable-region", wanted.region.name])
            # it refuses by itself where there are labels already
            _tool(host, ["ndctl", "init-labels"] + list(wanted.region.dimms), "%s: its NVDIMMs took no labels" % wanted.who)
            stays.append("done before that, and kept: empty labels written to the NVDIMMs of %s" % wanted.who)
        finally:
            with signals.deferred():
                _enable_region(host, wanted)
    region = next(region for region in nvdimm.regions(host) if region.name == wanted.region.name)
    if region.labels != "used":
        raise TestbedError("%s: labels were written, but the kernel does not use them" % wanted.who, remedy="see the kernel log, and ndctl check-labels")


def refuse_damaged_labels(host, wanted):
    """The kernel shows NVDIMMs with damaged labels as it shows blank ones, and other namespaces may be in there. Raises :class:`TestbedError`."""
    if host.run(["ndctl", "read-labels"] + list(wanted.region.dimms)).strip("\0"):
        raise TestbedError("%s: the kernel finds no labels on its NVDIMMs, but their label areas are not blank" % wanted.who,
                           remedy="see ndctl read-labels and ndctl check-labels; where none of it is worth keeping, ndctl init-labels --force makes new ones")


def _enable_region(host, wanted):
    try:
        _run(host, ["ndctl", "enable-region", wanted.region.name])
    except TestbedError as exc:
        exc.changed = True
        raise exc


def _options(wanted):
    argv = ["--mode", wanted.mode]
    for option, value in (("--map", wanted.map), ("--align", wanted.align), ("--sector-size", wanted.sector_size)):
        argv += [] if value is None else [option, str(value)]
    return argv


def _create(host, wanted):
    argv = ["ndctl", "create-namespace", "--region", wanted.region.name, "--size", str(wanted.size), "--uuid", wanted.uuid]
    _tool(host, argv + (["--name", wanted.name] if wanted.name else []) + _options(wanted), "%s could not be made" % wanted.who, _run)


def _form(host, wanted, name):
    """Another mode for the one namespace of a region without labels."""
    argv = ["ndctl", "create-namespace", "--no-autolabel", "--force", "--reconfig", name]
    with _noted(host, name):
        _tool(host, argv + _options(wanted), "%s could not be made" % wanted.who, _run)


def _form_over(host, wanted, before, lost, stays):
    try:
        _form(host, wanted, before.name)
    finally:
        if lost and not _is_as_it_was(host, before, lost):
            stays.append("lost before that: what the %s held" % wanted.who)


def _form_again(host, old, before, held):
    if not _is_as_it_was(host, before, held):
        contents.refuse_use(host, before.name, old.who, "make anew")
        _form(host, old, before.name)


def _unform(host, who, before, held):
    """Raw again; ndctl wipes the start of a namespace even where it was made nothing of."""
    if not _is_as_it_was(host, before, held):
        contents.refuse_use(host, before.name, who, "remove")
        with _noted(host, before.name):
            host.run(["ndctl", "destroy-namespace", "--force", before.name])
            _run(host, ["ndctl", "enable-namespace", before.name])


def _destroy_made(host, region, uuid):
    """What this call made, or what a failed attempt left: it is known by the uuid that was given to it."""
    left = _by_label(host, region, uuid)
    if left is not None:
        contents.refuse_use(host, left.name, "the namespace of this call", "remove")
        host.run(["ndctl", "destroy-namespace", "--force", left.name])


def _tool(host, argv, summary, run=lambda host, argv: host.run(argv)):
    try:
        return run(host, argv)
    except TestbedError as exc:
        raise TestbedError(summary, details=[exc.summary] + exc.details, remedy=exc.remedy or "the kernel log may say more")
