# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The memory devices of a host as they were before a rollout, and what brings them back.

Only what the host declares is looked at: the rollout touches nothing else. Namespaces stay as they are, because one that is destroyed cannot be made
again with what it held.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report import desired

PLACEMENTS = {"self": "device", "other_node": "dram"}
MODULES = ("offline", "absent", "regions", "devices", "blocks")


def before(facts, entries):
    """One dictionary for each declared entry, in their order: ``there``, and for one dax device ``mode``, ``memmap``, ``online`` (blocks) and ``zone``.

    :arg facts: the fact ``memmap``. Raises :class:`TestbedError` for a declaration that is none.
    """
    return [_now(facts, entry) for entry in declaration.parse(entries)]


def back(facts, entries, saved):
    """Lists for the modules, to be run in the order of :data:`MODULES`: memory_blocks, cxl_region twice, dax_device, memory_blocks.

    :arg facts: as they are now. :arg saved: what :func:`before` returned.
    """
    found = {name: [] for name in MODULES}
    parsed = declaration.parse(entries)
    if len(parsed) != len(saved):
        raise TestbedError("the host declared %d memory devices when the rollout began, and %d now" % (len(saved), len(parsed)),
                           remedy="put the declaration back as it was, and run again")
    plan = declaration.plan(entries)
    regions = {tuple(region["memory_devices"]): region for region in plan.regions}
    for entry, was in zip(parsed, saved):
        now = _now(facts, entry)
        if now == was:
            continue
        where = _where(entry)
        if now.get("online") and not was.get("online"):
            found["offline"].append(dict(where, state="offline"))
        region = regions.get(tuple(entry.members)) if entry.type == "ram" else None
        if region is not None and now["there"] and (not was["there"] or was.get("mode") is None and now.get("mode")):
            found["absent"].append({"memory_devices": entry.members, "state": "absent"})
        if region is not None and was["there"] and (not now["there"] or was.get("mode") is None):
            found["regions"].append(region)
        if was["there"] and was.get("mode"):
            device = dict(where, mode=was["mode"], offline=True)
            if was["mode"] == "system-ram":
                # It was memory before, so what it holds since a reboot is what memory held.
                device.update({"memmap": was["memmap"]}, **({"allow_data_loss": True} if entry.namespace else {}))
            found["devices"].append(device)
            if was["online"]:
                found["blocks"].append(dict(where, zone=was["zone"], count=str(was["online"])))
    return found


def different(facts, entries, saved):
    """Names of the entries that are not as they were, namespaces left aside."""
    parsed = declaration.parse(entries)
    return [entry.name for entry, was in zip(parsed, saved) if _now(facts, entry) != was]


def _now(facts, entry):
    devices = desired.dax_devices(facts, entry)
    if len(devices) != 1:
        return {"there": bool(devices), "parts": len(devices)}
    (device,) = devices
    found = {"there": True, "mode": device["mode"]}
    if device["mode"] == "system-ram":
        # Where proofs disagree or blocks differ, the knob says at least what was asked for.
        found.update(memmap=PLACEMENTS.get(device["placement"]) or device["intent"] or "dram", online=device["blocks"]["online"],
                     zone="kernel" if device["zones"] and "Movable" not in device["zones"] else "movable")
    return found


def _where(entry):
    if entry.namespace:
        return {"namespace": declaration.label(entry.namespace)}
    return {"memory_devices": entry.members} if entry.members else {"soft_reserved": "%#x" % entry.soft_reserved}
