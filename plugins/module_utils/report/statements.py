# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Desired against proven: a list of statements about a host, each with what was wanted, what was found and whether it holds.

The knob and the boot parameter are never taken for where the memmap is: one statement is about the knob, another about the pages.
"""
from __future__ import annotations

import json
from collections.abc import Mapping

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.devices.amounts import parse_count
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.online import zone_kind
from ansible_collections.memlab.testbed.plugins.module_utils.report import desired as desired_state
from ansible_collections.memlab.testbed.plugins.module_utils.report import in_dram, words
from ansible_collections.memlab.testbed.plugins.module_utils.report.query import compile_expression, query
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

# Proofs that look at each block itself; zone accounting sees a node's sums.
STRONG = ("page_tables", "page_flags")

MEANING = {"device": "each block self", "dram": "no page on a device's memory"}

KNOB = "knob memmap_on_memory"
FOR_ROOT = "unknown: where the device is, only root may know"

# Characters of what a failed expression returned.
SHOWN = 160


def statements(facts, entries, assertions=()):
    """List of dicts: ``device``, ``statement``, ``wanted``, ``found``, ``ok``, ``message``; ``device`` is ``None`` for what concerns the whole host.

    What is said of a declared device has more, see :func:`declared`.


    :arg facts: the fact ``memmap``. :arg entries: the inventory's memory devices.
    :arg assertions: dicts of ``expression`` (JMESPath over the facts) and optionally ``message``.
    Nothing is raised: missing facts, a mistake in the inventory and a wrong expression are statements that do not hold, so that no mistake hides another.
    """
    if not facts:
        absent = TestbedError("there are no memmap facts of this host", remedy="gather them with memlab.testbed.memmap_facts")
        return [_mistake("facts", absent)] + _mistakes(entries, assertions)
    found = []
    try:
        for entry in declaration.parse(entries):
            found += declared(facts, entry)
    except TestbedError as exc:
        found.append(_mistake("declared memory devices", exc))
    found += _agreement(facts)
    found += [_asserted(facts, assertion) for assertion in assertions or ()]
    return found


def _mistakes(entries, assertions):
    """What is wrong with what was asked for, whatever the facts may be."""
    found = []
    for statement, check, given in [("declared memory devices", declaration.parse, entries)] + [("assertion", _expression, each) for each in assertions or ()]:
        try:
            check(given)
        except TestbedError as exc:
            found.append(_mistake(statement, exc))
    return found


def _expression(assertion):
    """An assertion's expression. Raises :class:`TestbedError` for what is none."""
    if not isinstance(assertion, Mapping) or not isinstance(assertion.get("expression"), str):
        raise TestbedError("an assertion is a dictionary with expression and message: %.60r" % (assertion,))
    compile_expression(assertion["expression"])
    return assertion["expression"]


def _mistake(statement, exc):
    return {"device": None, "statement": statement, "wanted": "valid", "found": str(exc), "ok": False, "message": str(exc)}


def declared(facts, entry):
    """The statements about one declared memory device: its region and namespace, then its dax device or those that it is divided in.

    Each has ``about``, the kernel's names of what it is about, ``blocks``, first and last of each run of memory blocks that it is about, and ``known``, false
    where it does not hold because nothing can be said.
    """
    found = _region(facts, entry) + (_namespace(facts, entry) if entry.namespace else [])
    if not entry.mode and not entry.parts:
        return found
    matching = desired_state.dax_devices(facts, entry)
    wanted = len(entry.parts) or 1
    found.append(_exist(facts, entry, matching, wanted))
    if len(matching) != wanted:
        return found
    memory = []
    for device, part in zip(matching, entry.parts or [_undivided(entry)]):
        found += _Device(facts, entry, device, part).statements()
        if part["mode"] == device["mode"] == "system-ram":
            memory.append(device)
    if memory and entry.parts:
        found.append(_online(facts, entry, _called(entry), memory))
    return found


def _undivided(entry):
    # A namespace's metadata takes some of a region of persistent memory.
    return {"mode": entry.mode, "memmap": entry.memmap, "size": entry.size if entry.type == "ram" and entry.size is not None else "all"}


def _online(facts, entry, who, devices):
    """How many blocks are online: of a divided device, what its parts have together, as memory_blocks counts."""
    names = [device["name"] for device in devices]

    def say(wanted, found, ok, known=True):
        return _statement(entry, who, [part for part in facts["ranges"] if part["device"] in names], "blocks online", wanted, found, ok, names, known)

    if None in [device["blocks"] for device in devices]:
        return say(entry.amount, FOR_ROOT, False, False)
    online, room = (sum(device["blocks"][state] for device in devices for state in states) for states in (("online",), ("online", "offline", "absent")))
    try:
        wanted = parse_count(entry.amount, room, facts["kernel"]["block_size"], "amount")
    except TestbedError as exc:
        return say(entry.amount, "%d (%s)" % (online, exc), False)
    return say("%d of %d" % (wanted, room), "%d of %d" % (online, room), online == wanted)


def _exist(facts, entry, matching, wanted):
    names = [device["name"] for device in matching]
    others = ["%s of %s" % (device["name"], " and ".join(words.identities(device)) or "unknown origin") for device in facts["devices"]]
    found = ", ".join(names) or "none (the host has %s)" % (", ".join(others) or "no dax device at all")
    who = "%s%s" % (_called(entry), " (%s)" % names[0] if len(names) == 1 else "")
    blocks = [part for part in facts["ranges"] if len(names) == 1 and part["device"] == names[0]]
    statement, number = ("dax device", "one") if wanted == 1 else ("dax devices", str(wanted))
    return _statement(entry, who, blocks, statement, number, found, len(names) == wanted, names)


def _region(facts, entry):
    """The statements about a declared CXL region itself. An undivided one of volatile memory is as large as its dax device."""
    wanted = {"size": entry.size if entry.parts or entry.namespace else None, "root_decoder": entry.asked.get("root_decoder"),
              "granularity": parse_size(entry.asked["granularity"]) if "granularity" in entry.asked else None}
    region = desired_state.region(facts, entry) or {}
    who = "%s%s" % (_called(entry), " (%s)" % region["name"] if region else "")
    about = [region["name"]] if region else []
    return [_value(entry, who, "%s of the region" % key, value, region.get(key), about) for key, value in sorted(wanted.items()) if value is not None]


def _value(entry, who, statement, wanted, found, about):
    """The statement about a number of bytes or a word."""
    def say(value):
        return "unknown" if value is None else format_size(value) if isinstance(value, int) else value
    return _statement(entry, who, (), statement, say(wanted), say(found), found == wanted, about, found is not None)


def _namespace(facts, entry):
    """The statements about a declared namespace itself."""
    matching, asked = desired_state.namespaces(facts, entry), entry.namespace
    who = "%s%s" % (_called(entry), " (%s)" % matching[0]["name"] if len(matching) == 1 else "")
    there = ["%s %s" % (namespace["name"], namespace.get("label") or namespace["uuid"] or "without a name") for namespace in facts["namespaces"]]
    found = [_statement(entry, who, (), "namespace", "one", ", ".join(namespace["name"] for namespace in matching) or
                        "none (the host has %s)" % (", ".join(there) or "none at all"), len(matching) == 1, [namespace["name"] for namespace in matching])]
    if len(matching) != 1:
        return found
    (namespace,) = matching
    wanted = [("mode", asked["mode"], namespace["mode"])] + ([("memmap", asked["map"], namespace["map"])] if "map" in asked else [])
    wanted += [(key, parse_size(asked[key]), namespace[key]) for key in ("size", "align", "sector_size") if str(asked.get(key, "all")).lower() != "all"]
    return found + [_value(entry, who, "%s of the namespace" % key, value, is_, [namespace["name"]]) for key, value, is_ in wanted]


def _called(entry):
    if entry.namespace:
        return "namespace %s" % entry.name
    return "soft-reserved memory at %s" % entry.name if entry.soft_reserved is not None else "memory device %s" % entry.name


def _statement(entry, who, ranges, statement, wanted, found, ok, about, known=True):
    blocks = ", " + _blocks(ranges) if ranges else ""
    message = "%s%s: %s: %s" % (who, blocks, statement, found if ok else "wanted %s, found %s" % (wanted, found))
    return {"device": entry.name, "statement": statement, "wanted": wanted, "found": found, "ok": ok, "message": message, "about": list(about),
            "blocks": [[part["first_block"], part["last_block"]] for part in ranges], "known": ok or known}


class _Device(object):
    """The statements about one dax device of a declared memory device."""

    def __init__(self, facts, desired, device, part):
        self._facts = facts
        self._desired = desired
        self._device = device
        self._wanted_mode = part["mode"]
        self._memmap = part.get("memmap")
        self._wanted_size = None if str(part["size"]).lower() == "all" else parse_size(part["size"])
        self._who = "%s (%s)" % (_called(desired), device["name"])
        self._ranges = [entry for entry in facts["ranges"] if entry["device"] == device["name"]]

    def statements(self):
        found = [self._mode()]
        if self._wanted_size is not None:
            found.append(self._size())
        if self._wanted_mode != "system-ram":
            return found
        found.append(self._intent())
        if self._device["mode"] == "system-ram":
            # How much of a divided device is online, its parts know only together.
            online = [] if self._desired.parts else [_online(self._facts, self._desired, self._who, [self._device])]
            found += [self._capacity()] + online + [self._zone(), self._placement(), self._proof()]
        return found

    def _say(self, statement, wanted, found, ok, ranges=None, known=True):
        """:arg ranges: those it is about; by default all that the device has."""
        return _statement(self._desired, self._who, self._ranges if ranges is None else ranges, statement, wanted, found, ok, [self._device["name"]], known)

    def _mode(self):
        mode = self._device["mode"]
        return self._say("mode", self._wanted_mode, mode or "no driver", mode == self._wanted_mode)

    def _size(self):
        size = self._device["size"]
        return self._say("size", format_size(self._wanted_size), "unknown" if size is None else format_size(size), size == self._wanted_size,
                         known=size is not None)

    def _intent(self):
        intent, wanted = self._device["intent"], self._memmap
        if intent is None:
            # A kernel without the knob never keeps a device's memmap on the device.
            return self._say(KNOB, wanted, "none in this kernel", wanted == "dram")
        return self._say(KNOB, wanted, intent, intent == wanted)

    def _capacity(self):
        blocks = self._device["blocks"]
        if blocks is None:
            return self._say("capacity", "all of it as memory blocks", FOR_ROOT, False, known=False)
        present = blocks["online"] + blocks["offline"]
        room = present + blocks["absent"]
        return self._say("capacity", "%d blocks" % room if room else "at least one block", "%d blocks" % present, 0 < present == room)

    def _zone(self):
        online = [entry for entry in self._ranges if entry["state"] != "offline"]
        return self._each("zone", self._desired.zone, online, lambda entry: zone_kind(entry["zone"]) == self._desired.zone,
                          lambda entry: zone_kind(entry["zone"]) or "none", known=lambda entry: entry["zone"] is not None)

    def _placement(self):
        fits = _hosts_itself if self._memmap == "device" else in_dram.holds
        wanted = "%s (%s)" % (self._memmap, MEANING[self._memmap])
        found = self._each("memmap", wanted, self._ranges, fits, self._place, _with_bytes, _is_placed)
        # The kernel falls back to ordinary memory without a word where it cannot do what the knob asks for.
        if not found["ok"] and self._memmap == "device" and self._facts["kernel"]["why_not"]:
            found["message"] += "; %s" % self._facts["kernel"]["why_not"]
        return found

    def _place(self, entry):
        return "unknown: %s" % self._why_unknown(entry) if entry["placement"] == "unknown" else entry["placement"]

    def _why_unknown(self, entry):
        for conflict in self._facts["conflicts"]:
            if conflict["first_block"] <= entry["last_block"] and entry["first_block"] <= conflict["last_block"]:
                return "the proofs contradict each other"
        missing = ["%s: %s" % (name, proof["why_not"]) for name, proof in sorted(self._facts["proofs"].items()) if not proof["available"]]
        return "; ".join(missing) or "no proof speaks of these blocks"

    def _proof(self):
        known = [entry for entry in self._ranges if entry["placement"] != "unknown"]
        return self._each("proof", " or ".join(STRONG), known, lambda entry: any(name in entry["proofs"] for name in STRONG),
                          lambda entry: ", ".join(entry["proofs"]) or "none")

    def _each(self, statement, wanted, ranges, fits, answer, more=None, known=bool):
        """One statement about every block: where it fails, about those blocks that differ, with alike ones together.

        :arg fits: whether a range is as wanted. :arg answer: what it is, in words. :arg more: words to add for several ranges of one answer.
        :arg known: whether of a range that does not fit anything is known; by default of every one.
        """
        differing = [entry for entry in ranges if not fits(entry)]
        spoken = differing or ranges
        groups = {}
        for entry in spoken:
            groups.setdefault(answer(entry), []).append(entry)
        found = ["%s%s" % (text, more(group) if more else "") for text, group in groups.items()]
        if len(groups) > 1:
            found = ["%s (%s)" % (text, _blocks(group)) for text, group in zip(found, groups.values())]
        return self._say(statement, wanted, "; ".join(found) or "no block", not differing, spoken, any(map(known, differing)))


def _blocks(ranges):
    return words.block_list([(entry["first_block"], entry["last_block"]) for entry in ranges])


def _hosts_itself(entry):
    return entry["placement"] == "self"


def _is_placed(entry):
    """Whether it is known where the memmap is: in DRAM of an unknown node it may still be as wanted."""
    return entry["placement"] == "self" or bool(entry["memmap_devices"]) or bool(entry["memmap_nodes"]) and "unknown" not in entry["memmap_nodes"]


def _with_bytes(ranges):
    total = words.add_nodes(entry["memmap_nodes"] for entry in ranges)
    return ", " + words.on_nodes(total) if total else ""


def _agreement(facts):
    """A statement for each contradiction, or one that there is none."""
    conflicts = [words.conflict(entry) for entry in facts["conflicts"]]
    return [{"device": None, "statement": "agreement of the proofs", "wanted": "no contradiction", "found": text, "ok": not conflicts, "message": text}
            for text in conflicts or ["no contradiction"]]


def _asserted(facts, assertion):
    """One site-specific assertion. What is empty, zero, false or not there fails."""
    try:
        returned = query(facts, _expression(assertion))
    except TestbedError as exc:
        return _mistake("assertion", exc)
    expression = " ".join(assertion["expression"].split())
    text = json.dumps(returned)
    found = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    message = "%s: %s returned %s" % (assertion.get("message") or "assertion", expression, found)
    return {"device": None, "statement": expression, "wanted": "something true", "found": found, "ok": bool(returned), "message": message}
