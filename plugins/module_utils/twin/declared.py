# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's declared memory devices, carried over to its twin: the same devices by what the twin calls them, sizes as its devices are smaller."""
from __future__ import annotations

import copy

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import topology
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import M, format_size, parse_size
from ansible_collections.memlab.testbed.plugins.module_utils.twin import scale
from ansible_collections.memlab.testbed.plugins.module_utils.twin.express import BLOCK
from ansible_collections.memlab.testbed.plugins.module_utils.twin.observed import Unexpressed

# In a namespace, what lies below this may as well be sized by the NVDIMM's unit.
SMALL = BLOCK


def carry(entries, machine, twin, evidence):
    """The twin's list; adds to ``twin.scaled`` and ``twin.unexpressed``. Raises :class:`TestbedError` for a list that no host could meet.

    :arg evidence: where the list is written.
    """
    found = []
    for entry in declaration.parse(entries):
        what = "declared entry %d (%s)" % (entry.position, entry.name)
        missing = [member for member, device in zip(entry.members, _devices(entry, machine)) if device is not None and device.pci not in twin.devices]
        if entry.soft_reserved is not None or missing:
            twin.unexpressed.append(Unexpressed(what, evidence, "the twin has no such memory, and the entry is left out of its list"))
            continue
        found.append(_entry(entry, what, machine, twin))
    declaration.parse(found)
    return found


def _devices(entry, machine):
    """The memory devices that an entry names; ``None`` for one that the host does not have, which a rehearsal will refuse as the host would."""
    return [next((device for device in machine.devices if wanted in (device.serial, device.pci)), None) for wanted in entry.identities]


def _entry(entry, what, machine, twin):
    asked = copy.deepcopy(dict(entry.asked))
    devices = _devices(entry, machine)
    names = [member if device is None else _name(member, device, twin) for member, device in zip(entry.members, devices)]
    if names:
        twin.say("%s: memory devices" % what, ", ".join(entry.members), ", ".join(names))
        if names != entry.members:
            asked["serial" if "serial" in asked else "memory_devices"] = names[0] if "serial" in asked else names
    if entry.nvdimms:
        handles = [twin.nvdimms[name][0] if name in twin.nvdimms else name for name in map(_handle, entry.nvdimms)]
        twin.say("%s: NVDIMMs" % what, ", ".join(entry.nvdimms), ", ".join(handles))
        if handles != list(map(_handle, entry.nvdimms)):
            asked["nvdimms"] = handles
    host, small = _ratio(entry, devices, twin)
    if host != small or machine.block_size != BLOCK:
        _sizes(asked, what, twin, host, small, machine.block_size, topology.CXL_UNIT * max(1, len(devices)))
    return asked


def _name(member, device, twin):
    kept = twin.devices[device.pci]["serial"]
    return member if member.lower().startswith("0x") and int(member, 16) == kept or member.isdecimal() and int(member) == kept else "%#x" % kept


def _handle(text):
    try:
        return "%#x" % int(text, 0)
    except ValueError:
        return text


def _ratio(entry, devices, twin):
    """Bytes of what the entry is about, on the host and on the twin."""
    if entry.nvdimms:
        known = [twin.nvdimms[name] for name in map(_handle, entry.nvdimms) if name in twin.nvdimms]
        return sum(each[1] for each in known) or 1, sum(each[2] for each in known) or 1
    kind = "persistent" if entry.type == "pmem" else "volatile"
    known = [device for device in devices if device is not None]
    return sum(getattr(device, kind) for device in known) or 1, sum(twin.devices[device.pci][kind] for device in known) or 1


def _sizes(asked, what, twin, host, small, block, region_unit):
    def less(count, unit):
        return scale.scaled(count * small, host, unit)

    def put(holder, key, text, label):
        twin.say("%s: %s" % (what, label), holder[key], text)
        holder[key] = text

    for holder, key, unit, label in ([(asked, "size", region_unit, "size")]
                                     + [(part, "size", BLOCK, "parts[%d].size" % number) for number, part in enumerate(asked.get("parts", ()), 1)]
                                     + [(asked.get("namespace") or {}, "size", None, "namespace.size")]):
        if str(holder.get(key, "all")).lower() != "all":
            size = parse_size(holder[key], label)
            put(holder, key, format_size(less(size, unit or (BLOCK if size * small // host >= SMALL else topology.NVDIMM_UNIT))), label)
    amount = str(asked.get("amount", "all")).strip()
    if amount.isdecimal():
        if int(amount):
            put(asked, "amount", str(less(int(amount) * block, BLOCK) // BLOCK), "amount")
    elif amount.lower() != "all" and not amount.endswith("%"):
        put(asked, "amount", format_size(less(parse_size(amount), BLOCK)), "amount")
    align = (asked.get("namespace") or {}).get("align")
    if align is not None and parse_size(align) > 2 * M:
        put(asked["namespace"], "align", "2M", "namespace.align")
