# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's declared memory devices, and what each module is asked for to get there.

One list says what a host is to be. Four modules make it so, in this order: cxl_region, pmem_namespace, dax_device, memory_blocks. All dax devices are given to
kmem before any block goes online: with a block of the same node online in a kernel zone, the kernel would take the memmap of the next device from there
(mm/sparse-vmemmap.c:vmemmap_alloc_block, 6.1 to 7.3). Nothing here looks at a machine.
"""
from __future__ import annotations

import collections
import re
from collections.abc import Mapping

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity, namespace_words
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size

# Which memory an entry is about: exactly one of these.
IDENTITIES = ("serial", "memory_devices", "nvdimms", "soft_reserved")
KEYS = IDENTITIES + ("type", "size", "granularity", "root_decoder", "namespace", "mode", "memmap", "parts", "zone", "amount", "allow_data_loss")
NAMESPACE_KEYS = ("name", "uuid", "mode", "map", "size", "align", "sector_size")
PART_KEYS = ("size", "mode", "memmap")
CHOICES = {"type": ("ram", "pmem"), "mode": ("system-ram", "devdax"), "memmap": ("device", "dram"), "zone": ("movable", "kernel")}
NAMESPACE_CHOICES = {"mode": ("raw", "sector", "fsdax", "devdax"), "map": ("mem", "dev")}
DEFAULTS = {"type": "ram", "size": "all", "zone": "movable", "amount": "all"}

# Keys that say something of memory blocks, and so of nothing else.
_OF_BLOCKS = ("memmap", "zone", "amount")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNSAID = (None, "", [], {})

# position in the list, from 1; name: its identity as text; identities: memory devices as identity.parse gives them; members: the same as written;
# nvdimms: handles or unique ids as written; soft_reserved: physical address; type of the CXL region, None for none; namespace: dict or None;
# mode: system-ram, devdax, or None for a namespace that is no dax device; parts: list of dicts; size: bytes or None for all;
# asked: the entry as it was written, without empty values
Entry = collections.namedtuple("Entry", "position name identities members nvdimms soft_reserved type size namespace mode memmap parts zone amount "
                               "allow_data_loss asked")

# What each module is asked for, in the order of the modules.
Plan = collections.namedtuple("Plan", "regions namespaces devices blocks")


def parse(entries, allow_data_loss=False):
    """List of :class:`Entry`. Raises :class:`TestbedError` of one line that names the entry and the key.

    :arg allow_data_loss: what holds for an entry that does not say.
    """
    if entries is None:
        return []
    if not isinstance(entries, (list, tuple)):
        raise TestbedError("the declared memory devices are not a list: %.60r" % (entries,))
    found, owners = [], {}
    for position, entry in enumerate(entries, 1):
        try:
            parsed = _entry(entry, position, allow_data_loss)
            for thing in _things(parsed):
                _refuse_shared(thing, parsed, owners.setdefault(thing, parsed))
        except TestbedError as exc:
            # One line, whatever somebody has put into a name.
            said = "memory device %d of the declared ones%s: %s" % (position, _hint(entry), exc.summary)
            raise TestbedError(" ".join(said.split()), remedy=exc.remedy)
        found.append(parsed)
    return found


def plan(entries, allow_data_loss=False, offline=False):
    """:class:`Plan`: for each module its list, without what has its default value. Raises :class:`TestbedError` as :func:`parse` does.

    :arg offline: whether memory blocks may be taken offline where a memmap has to move.
    """
    parsed = parse(entries, allow_data_loss)
    devices = [entry for entry in parsed if modes(entry)]
    blocks = [entry for entry in parsed if "system-ram" in modes(entry)]
    regions = {}
    for entry in parsed:
        if entry.members:
            regions.setdefault(_region_key(entry), _region(entry))
    return Plan(list(regions.values()),
                [_namespace(entry) for entry in parsed if entry.namespace],
                # What needs DRAM comes before what does not, so that a host that has too little of it is refused with the fewest devices bound.
                [_device(entry, offline) for entry in sorted(devices, key=lambda entry: ("system-ram" in modes(entry), "dram" not in memmaps(entry)))],
                [_blocks(entry) for entry in sorted(blocks, key=lambda entry: entry.zone == "kernel")])


def memmaps(entry):
    """The placements that an entry asks for."""
    return {part["memmap"] for part in entry.parts if "memmap" in part} if entry.parts else {entry.memmap} - {None}


def modes(entry):
    """What its dax devices are to be; empty for a namespace that has none."""
    return {part["mode"] for part in entry.parts} if entry.parts else {entry.mode} - {None}


def _things(entry):
    """What may be in one entry only, in words. A CXL memory device can have capacity of both kinds; one set of NVDIMMs can hold several namespaces."""
    found = [("persistent memory of device %s" if entry.type == "pmem" else "memory device %s") % _called(member) for member in entry.identities]
    if entry.soft_reserved is not None:
        found.append("soft-reserved memory at %#x" % entry.soft_reserved)
    return found + ["namespace %s" % entry.namespace[key] for key in ("name", "uuid") if key in (entry.namespace or ())]


def _refuse_shared(thing, entry, other):
    """Only namespaces on one persistent region share what they are made of."""
    if other is entry or thing.startswith("persistent ") and _region_key(entry) == _region_key(other):
        return
    raise TestbedError("%s is there twice, entry %d has it, too" % (thing, other.position),
                       remedy="one region can have several namespaces: say the same of it in each entry" if thing.startswith("persistent ") else None)


def _region_key(entry):
    """What is said of its CXL region, however it is written."""
    granularity = parse_size(entry.asked["granularity"]) if "granularity" in entry.asked else None
    return tuple(entry.identities), entry.type, entry.size, granularity, str(entry.asked.get("root_decoder"))


def _hint(entry):
    """Which one that is, for the reader of an error: the first identity, as it is written."""
    written = [entry[key] for key in IDENTITIES if entry.get(key) not in _UNSAID] if isinstance(entry, Mapping) else []
    return " (%.60s)" % (written[0] if not isinstance(written[0], (list, tuple)) else ", ".join(map(str, written[0]))) if written else ""


def _called(member):
    return member if isinstance(member, str) else "%#x" % member


# one entry


def _entry(entry, position, allow_data_loss):
    asked = _mapping(entry, "it is", KEYS)
    ways = [key for key in IDENTITIES if key in asked]
    if len(ways) != 1:
        raise TestbedError("name its memory in one way: %s; found %s" % (", ".join(IDENTITIES), " and ".join(ways) or "none of them"))
    _choices(asked, CHOICES, "")
    members = [str(member) for member in _texts(asked, "memory_devices")] + ([str(asked["serial"])] if "serial" in asked else [])
    identities = [identity.parse(member) for member in (asked.get("memory_devices") or [asked["serial"]])] if members else []
    if len(set(identities)) != len(identities):
        raise TestbedError("memory_devices: a memory device is named twice")
    nvdimms = [str(nvdimm) for nvdimm in _texts(asked, "nvdimms")]
    soft_reserved = _address(asked["soft_reserved"]) if "soft_reserved" in asked else None
    kind = asked.get("type", DEFAULTS["type"]) if members else None
    for key in ("type", "size", "granularity", "root_decoder"):
        if key in asked and not members:
            raise TestbedError("%s: is of a CXL region, made of serial or memory_devices; here it is %s" % (key, ways[0]))
    size = None if str(asked.get("size", "all")).lower() == "all" else _size(asked, "size")
    if "granularity" in asked:
        granularity = _size(asked, "granularity")
        if granularity & (granularity - 1) or not 256 <= granularity <= 16384:
            raise TestbedError("granularity: %s is not a power of two from 256 to 16K" % asked["granularity"])
    namespace = _checked_namespace(asked, kind, nvdimms)
    mode = _mode(asked, namespace)
    parts = _parts(asked, mode)
    _check_memmap(asked, mode, parts)
    name = ", ".join(_called(member) for member in identities) or ("%#x" % soft_reserved if soft_reserved is not None else "nvdimm %s" % ", ".join(nvdimms))
    if namespace:
        name = label(namespace)
    return Entry(position, name, identities, members, nvdimms, soft_reserved, kind, size, namespace, None if parts else mode, asked.get("memmap"), parts,
                 asked.get("zone", DEFAULTS["zone"]), _amount(asked), _flag(asked, "allow_data_loss", allow_data_loss), asked)


def label(namespace):
    """By what other modules find a declared namespace: its name, else its uuid."""
    return namespace.get("name") or namespace["uuid"]


def _mapping(entry, what, keys):
    if not isinstance(entry, Mapping):
        raise TestbedError("%s not a dictionary: %.60r" % (what, entry))
    unknown = sorted(str(key) for key in entry if key not in keys)
    if unknown:
        raise TestbedError("unknown key %s" % ", ".join("%.60s" % key for key in unknown), remedy="there are %s" % ", ".join(keys))
    return {key: value for key, value in entry.items() if value not in _UNSAID}


def _choices(asked, choices, prefix):
    for key, words in choices.items():
        if key in asked and asked[key] not in words:
            raise TestbedError("%s%s is %.60r, wanted %s" % (prefix, key, asked[key], " or ".join(words)))


def _texts(asked, key):
    value = asked.get(key, [])
    if not isinstance(value, (list, tuple)) or any(isinstance(item, (Mapping, list, tuple)) or item in _UNSAID for item in value):
        raise TestbedError("%s: %.60r is not a list of names" % (key, value))
    return list(value)


def _size(asked, key, prefix=""):
    size = parse_size(asked[key], prefix + key)
    if size == 0:
        raise TestbedError("%s%s: 0 bytes" % (prefix, key))
    return size


def _amount(asked):
    """``all``, a number of blocks, bytes or a percentage: as text; how much that is, only the host can say."""
    if isinstance(asked.get("amount"), bool):
        raise TestbedError("amount: %r is not all, a number of blocks, bytes with a unit, or a percentage" % (asked["amount"],))
    word = str(asked.get("amount", DEFAULTS["amount"])).strip()
    percent = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", word)
    if percent and float(percent.group(1)) <= 100 or word.lower() == "all" or re.fullmatch(r"[0-9]{1,18}", word):
        return word
    try:
        parse_size(word)
    except TestbedError:
        raise TestbedError("amount: %.60r is not all, a number of blocks, bytes with a unit, or a percentage" % (asked["amount"],))
    return word


def _address(value):
    try:
        address = value if isinstance(value, int) and not isinstance(value, bool) else int(str(value), 0)
    except ValueError:
        address = -1
    if not 0 < address < 1 << 64:
        raise TestbedError("soft_reserved: %.60r is not a physical address, such as 0x240000000" % (value,))
    return address


def _flag(asked, key, default):
    value = asked.get(key, default)
    words = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(value, bool) or str(value).lower() in words:
        return words[str(value).lower()]
    raise TestbedError("%s: %.60r is not true or false" % (key, value))


def _checked_namespace(asked, kind, nvdimms):
    persistent = bool(nvdimms) or kind == "pmem"
    if not persistent:
        if "namespace" in asked:
            raise TestbedError("namespace: needs persistent memory, nvdimms or type: pmem")
        return None
    if "namespace" not in asked:
        raise TestbedError("namespace is missing: persistent memory is used through one")
    namespace = asked["namespace"]
    try:
        namespace = _mapping(namespace, "it is", NAMESPACE_KEYS)
    except TestbedError as exc:
        raise TestbedError("namespace: %s" % exc.summary, remedy=exc.remedy)
    if "name" not in namespace and "uuid" not in namespace:
        raise TestbedError("namespace has neither name nor uuid, by which it is found again")
    if "name" in namespace:
        namespace["name"] = str(namespace["name"])
        try:
            namespace_words.check_name(namespace["name"])
        except TestbedError as exc:
            raise TestbedError("namespace.name: %s" % exc.summary)
    if "uuid" in namespace:
        namespace["uuid"] = str(namespace["uuid"]).lower()
        if not _UUID.fullmatch(namespace["uuid"]):
            raise TestbedError("namespace.uuid: %.60r is not a uuid" % namespace["uuid"])
    _choices(namespace, NAMESPACE_CHOICES, "namespace.")
    if "mode" not in namespace:
        raise TestbedError("namespace.mode is missing, one of %s" % ", ".join(NAMESPACE_CHOICES["mode"]))
    try:
        namespace_words.check_mode(namespace["mode"], namespace)
    except TestbedError as exc:
        raise TestbedError("namespace: %s" % exc.summary, remedy=exc.remedy)
    for key in ("size", "align", "sector_size"):
        if key in namespace and not (key == "size" and str(namespace[key]).lower() == "all"):
            _size(namespace, key, "namespace.")
    return namespace


def _mode(asked, namespace):
    """What the dax device is to be; ``None`` for a namespace without one."""
    if namespace is None:
        return asked.get("mode", "system-ram")
    if namespace["mode"] == "devdax":
        return asked.get("mode", "devdax")
    if "mode" in asked or "parts" in asked:
        raise TestbedError("mode: %s needs a namespace in mode devdax, this one is %s" % (asked.get("mode", "a divided device"), namespace["mode"]))
    return None


def _parts(asked, mode):
    """Child devices that a dax region is divided in, each with its mode, and its memmap where it is memory."""
    parts = asked.get("parts", [])
    if not isinstance(parts, (list, tuple)):
        raise TestbedError("parts: %.60r is not a list" % (parts,))
    found = []
    for number, part in enumerate(parts, 1):
        prefix = "parts[%d]." % number
        try:
            part = dict(_mapping(part, "it is", PART_KEYS))
        except TestbedError as exc:
            raise TestbedError("%s %s" % (prefix[:-1] + ":", exc.summary), remedy=exc.remedy)
        _choices(part, {key: CHOICES[key] for key in ("mode", "memmap")}, prefix)
        part.setdefault("mode", mode)
        if "size" not in part:
            raise TestbedError("%ssize is missing" % prefix)
        if str(part["size"]).lower() != "all":
            _size(part, "size", prefix)
        part["size"] = str(part["size"])
        if part["mode"] == "devdax" and "memmap" in part:
            raise TestbedError("%smemmap: goes with mode system-ram" % prefix)
        if part["mode"] == "system-ram":
            part.setdefault("memmap", asked.get("memmap"))
            if part["memmap"] is None:
                raise TestbedError("%smemmap is missing, device or dram" % prefix)
        found.append(part)
    return found


def _check_memmap(asked, mode, parts):
    if parts:
        if "system-ram" not in [part["mode"] for part in parts]:
            _refuse(asked, _OF_BLOCKS)
        return
    if mode != "system-ram":
        _refuse(asked, _OF_BLOCKS)
    elif "memmap" not in asked:
        raise TestbedError("memmap is missing, device or dram")


def _refuse(asked, keys):
    for key in keys:
        if key in asked:
            raise TestbedError("%s: goes with mode system-ram" % key)


# what each module is asked for


def _region(entry):
    found = {"memory_devices": entry.members, "size": entry.asked.get("size", "all")}
    if entry.type == "pmem":
        found["type"] = "pmem"
    found.update((key, str(entry.asked[key])) for key in ("granularity", "root_decoder") if key in entry.asked)
    found["size"] = str(found["size"])
    if "system-ram" in modes(entry) and not entry.namespace:
        found["memory"] = dict({"parts": entry.parts} if entry.parts else {"memmap": entry.memmap}, **_count(entry))
    return found


def _namespace(entry):
    found = {"memory_devices": entry.members} if entry.members else {"nvdimms": entry.nvdimms}
    found.update((key, str(value)) for key, value in entry.namespace.items())
    if entry.allow_data_loss:
        found["allow_data_loss"] = True
    return found


def _where(entry):
    """The key by which modules find the dax device."""
    if entry.namespace:
        return {"namespace": label(entry.namespace)}
    return {"memory_devices": entry.members} if entry.members else {"soft_reserved": "%#x" % entry.soft_reserved}


def _device(entry, offline):
    found = _where(entry)
    if entry.parts:
        found["parts"] = entry.parts
    elif entry.mode == "devdax":
        found["mode"] = "devdax"
    else:
        found["memmap"] = entry.memmap
    if "system-ram" in modes(entry):
        found.update(_count(entry))
    if offline:
        found["offline"] = True
    if entry.allow_data_loss:
        found["allow_data_loss"] = True
    return found


def _count(entry):
    """So that what cannot be is refused before the first change, not by the last step."""
    return {} if entry.amount.lower() == "all" else {"count": entry.amount}


def _blocks(entry):
    return dict(_where(entry), zone=entry.zone, count=entry.amount)
