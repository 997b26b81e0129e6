# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The memory devices of a host as they were before a rollout, and what brings them back.

Only what the host declared then is looked at: the rollout touches nothing else. Namespaces stay as they are, because one that is destroyed cannot be made
again with what it held.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import ONLINE
from ansible_collections.memlab.testbed.plugins.module_utils.memory.online import zone_kind
from ansible_collections.memlab.testbed.plugins.module_utils.report import desired

PLACEMENTS = {"self": "device", "other_node": "dram"}
MODULES = ("offline", "absent", "regions", "devices", "blocks")


def before(facts, entries, allow_data_loss=False):
    """One dictionary for each declared entry: its ``name``, how it was ``declared``, and how it ``was``.

    That is ``there``, and for one dax device ``mode``, ``memmap`` and ``online`` (runs of blocks), for a divided one ``parts`` of these with their ``size``.
    :arg facts: the fact ``memmap``. :arg allow_data_loss: what holds of entries that do not say it themselves.
    Raises :class:`TestbedError` for a declaration that is none.
    """
    return [{"name": entry.name, "declared": dict({"allow_data_loss": True}, **entry.asked) if allow_data_loss else entry.asked, "was": _now(facts, entry)}
            for entry in declaration.parse(entries)]


def back(facts, saved):
    """Lists for the modules, to be run in the order of :data:`MODULES`: memory_blocks, cxl_region twice, dax_device, memory_blocks.

    The last list is of devices that are there: it takes facts gathered after the others. What the host declares by now does not count.
    :arg facts: as they are now. :arg saved: what :func:`before` returned.
    """
    found = {name: [] for name in MODULES}
    entries = [entry["declared"] for entry in saved]
    regions = {tuple(region["memory_devices"]): region for region in declaration.plan(entries).regions if region.get("type") != "pmem"}
    for entry, was in zip(declaration.parse(entries), [entry["was"] for entry in saved]):
        now = _now(facts, entry)
        if now == was:
            continue
        where, used, uses = _where(entry), _used(was), _used(now)
        if any(part.get("online") for part in uses) and not any(part.get("online") for part in used):
            found["offline"].append(dict(where, state="offline"))
        region = regions.get(tuple(entry.members)) if entry.type == "ram" else None
        if region is not None and now["there"] and (not was["there"] or uses and not used):
            found["absent"].append({"memory_devices": entry.members, "state": "absent"})
        if region is not None and was["there"] and (not now["there"] or not used):
            found["regions"].append({key: value for key, value in region.items() if key != "memory"})
        if used:
            found["devices"].append(dict(where, offline=True, **_as_it_was(entry, used, len(uses))))
            if len(used) == len(uses):
                for device, is_now, part in zip(desired.dax_devices(facts, entry), uses, used):
                    found["blocks"] += _blocks(facts, device, is_now.get("online") or [], part["online"]) if part.get("online") else []
    return found


def _used(state):
    """The devices of a state that some driver had: none, one, or each part of a divided one."""
    return state.get("parts") or ([state] if state.get("mode") else [])


def _as_it_was(entry, used, now):
    """What dax_device is asked for. :arg now: how many devices there are of it."""
    parts = [dict({"mode": part["mode"]}, **({"memmap": part["memmap"]} if part["mode"] == "system-ram" else {})) for part in used]
    # Whatever it holds by now may be somebody's: only the declaration's own permission counts.
    allowed = {"allow_data_loss": True} if entry.allow_data_loss and any(part["mode"] == "system-ram" for part in used) else {}
    if len(used) > 1:
        return dict(allowed, parts=[dict(wanted, size=str(part["size"])) for wanted, part in zip(parts, used)])
    if now > 1:
        return dict(allowed, parts=[dict(parts[0], size="all")])
    return dict(parts[0], **allowed)


def different(facts, saved):
    """Names of the entries that are not as they were, namespaces left aside."""
    return [entry.name for entry, known in zip(declaration.parse([known["declared"] for known in saved]), saved) if _now(facts, entry) != known["was"]]


def _now(facts, entry):
    devices = desired.dax_devices(facts, entry)
    if len(devices) == 1:
        return dict(_device(facts, devices[0]), there=True)
    return {"there": bool(devices), "parts": [dict(_device(facts, device), size=device["size"]) for device in devices]}


def _device(facts, device):
    if device["mode"] != "system-ram":
        return {"mode": device["mode"]}
    # Where proofs disagree or blocks differ, the knob says at least what was asked for.
    return {"mode": device["mode"], "memmap": PLACEMENTS.get(device["placement"]) or device["intent"] or "dram", "online": _online(facts, device)}


def _online(facts, device):
    """Runs of online blocks, each its first block counted from the device's first, how many, and their zone. Block numbers may be others after a reboot."""
    found = []
    for entry in _own(facts, device):
        if entry["state"] not in ONLINE:
            continue
        first, zone = (entry["start"] - _start(facts, device)) // _size(entry), zone_kind(entry["zone"])
        if found and found[-1][0] + found[-1][1] == first and found[-1][2] == zone:
            found[-1][1] += entry["blocks"]
        else:
            found.append([first, entry["blocks"], zone])
    return found


def _blocks(facts, device, now, was):
    """For memory_blocks: what is online too much goes offline first, then all runs that were online go online, by addresses of now."""
    own = _own(facts, device)
    if not own:
        return []
    start, size = _start(facts, device), _size(own[0])

    def run(first, count, **more):
        return dict({"start": "%#x" % (start + first * size), "size": str(count * size)}, **more)
    wanted = {number for first, count, unused in was for number in range(first, first + count)}
    surplus = [number for first, count, unused in now for number in range(first, first + count) if number not in wanted]
    return [run(number, 1, state="offline") for number in reversed(surplus)] + [
        run(first, count, zone="movable" if zone == "movable" else "kernel") for first, count, zone in was]


def _own(facts, device):
    return sorted((entry for entry in facts["ranges"] if entry["device"] == device["name"]), key=lambda entry: entry["start"])


def _start(facts, device):
    """Physical address of the first block that is whole."""
    own = _own(facts, device)
    if not device["ranges"]:
        return own[0]["start"]
    return -(-device["ranges"][0]["start"] // _size(own[0])) * _size(own[0])


def _size(entry):
    return entry["size"] // entry["blocks"]


def _where(entry):
    if entry.namespace:
        return {"namespace": declaration.label(entry.namespace)}
    return {"memory_devices": entry.members} if entry.members else {"soft_reserved": "%#x" % entry.soft_reserved}
