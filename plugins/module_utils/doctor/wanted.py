# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's memory devices are declared to be, as far as the doctor compares it with what they are."""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# subject: as findings give it; memory_devices: serial numbers and PCI addresses; namespace: name or uuid; soft_reserved: address;
# mode, memmap, zone: as declared, or None where nothing is said; text: as a message names it
Wanted = collections.namedtuple("Wanted", "subject memory_devices namespace soft_reserved mode memmap zone text")

MODES = ("system-ram", "devdax")
PLACEMENTS = ("device", "dram")
ZONES = ("movable", "kernel")


def parse(entries):
    """The list ``memory_devices`` of a host's inventory -> list of :class:`Wanted`. Raises :class:`TestbedError` for the first bad entry."""
    return [_entry(number, entry) for number, entry in enumerate(entries, 1)]


def _entry(number, entry):
    where = "entry %d of wanted" % number
    if not isinstance(entry, dict):
        raise TestbedError("%s is not a mapping: %.60r" % (where, entry))
    named = [entry["serial"]] if entry.get("serial") is not None else entry.get("memory_devices")
    space = entry.get("namespace")
    name = (space.get("uuid") or space.get("name")) if isinstance(space, dict) else space
    if named is not None:
        if not isinstance(named, list) or not named:
            raise TestbedError("%s: memory_devices is no list of serial numbers and PCI addresses: %.60r" % (where, named))
        members = tuple(identity.parse(text) for text in named)
    else:
        members = ()
    address = _address(where, entry.get("soft_reserved"))
    if not members and not name and address is None:
        raise TestbedError("%s names no device" % where, remedy="say serial, memory_devices, namespace or soft_reserved")
    # A namespace is what its own mode says unless something is made of it; other memory is made to be memory.
    mode = _word(where, entry, "mode", MODES) or (_mode_of(space) if name else MODES[0])
    if name:
        subject, text = {"namespace": str(name)}, "namespace %s" % name
    elif members:
        subject, text = {"memory_devices": [str(word) for word in named]}, "memory device %s" % ", ".join(map(str, named))
    else:
        subject, text = {"soft_reserved": "%#x" % address}, "the soft-reserved range at %#x" % address
    return Wanted(subject, members, str(name) if name else None, address, mode, _word(where, entry, "memmap", PLACEMENTS),
                  _word(where, entry, "zone", ZONES), text)


def _mode_of(space):
    mode = space.get("mode") if isinstance(space, dict) else None
    return mode if mode in MODES else None


def _word(where, entry, key, words):
    value = entry.get(key)
    if value is not None and value not in words:
        raise TestbedError("%s: %s is %.60r, not one of %s" % (where, key, value, ", ".join(words)))
    return value


def _address(where, value):
    if value is None:
        return None
    try:
        return value if isinstance(value, int) and not isinstance(value, bool) else int(str(value), 0)
    except ValueError:
        raise TestbedError("%s: soft_reserved is %.60r, not an address such as 0x240000000" % (where, value))
