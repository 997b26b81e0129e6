# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory says a host's memory devices should be."""
from __future__ import annotations

import collections
from collections.abc import Mapping

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.sizes import parse_size

KEYS = ("serial", "size", "memmap", "zone", "amount")
CHOICES = {"memmap": ("device", "dram"), "zone": ("movable", "kernel")}

# identity: serial number or PCI address; name: the same as text; size: bytes, None for all; amount: text, as memory_blocks takes it
Desired = collections.namedtuple("Desired", ("identity", "name", "size", "memmap", "zone", "amount"))


def parse(entries):
    """List of :class:`Desired`. Raises :class:`TestbedError` naming the entry and the key."""
    if entries is None:
        return []
    if not isinstance(entries, (list, tuple)):
        raise TestbedError("the desired memory devices are not a list: %.60r" % (entries,))
    found = []
    for position, entry in enumerate(entries):
        where = "memory device %d of the desired ones" % (position + 1)
        desired = _entry(entry, where)
        if desired.identity in [other.identity for other in found]:
            raise TestbedError("%s: %s is there twice" % (where, desired.name))
        found.append(desired)
    return found


def _entry(entry, where):
    if not isinstance(entry, Mapping):
        raise TestbedError("%s is not a dictionary: %.60r" % (where, entry))
    unknown = sorted(str(key) for key in entry if key not in KEYS)
    if unknown:
        raise TestbedError("%s: unknown key %s" % (where, ", ".join(unknown)), remedy="there are %s" % ", ".join(KEYS))
    values = {"zone": "movable", "size": "all", "amount": "all"}
    values.update(entry)
    for key in ("serial", "memmap"):
        if values.get(key) is None:
            raise TestbedError("%s: %s is missing" % (where, key))
    for key, choices in CHOICES.items():
        if values[key] not in choices:
            raise TestbedError("%s: %s is %.60r, wanted %s" % (where, key, values[key], " or ".join(choices)))
    try:
        wanted = identity.parse(values["serial"])
        size = None if str(values["size"]).lower() == "all" else parse_size(values["size"])
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (where, exc))
    return Desired(wanted, wanted if isinstance(wanted, str) else "%#x" % wanted, size, str(values["memmap"]), str(values["zone"]), str(values["amount"]))


def dax_devices(facts, desired):
    """The entries of the fact ``devices`` that belong to a desired memory device: none or one, or more if it is in several regions."""
    key = "pci" if isinstance(desired.identity, str) else "serial"
    return [device for device in facts["devices"] if any(member.get(key) == desired.identity for member in device.get("memory_devices") or ())]
