# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task says of a namespace of persistent memory, and how that compares with one that is there."""
from __future__ import annotations

import collections
import math
import uuid as uuids

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity, namespace_words
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

SMALLEST = 16 << 20  # of any mode but raw (drivers/nvdimm/claim.c:nd_namespace_store)

# the region as the task names it: key, names; how errors call the namespace; nvdimm.Region, None in check mode before it is made; the rest as declared:
# sizes in bytes, None where nothing is said
Wanted = collections.namedtuple("Wanted", "key names who region name uuid state mode map size align sector_size allow")


def parse(inventory, entry, check_mode=False):
    """One entry of the task -> :class:`Wanted`. Raises :class:`TestbedError`."""
    keys = [key for key in ("memory_devices", "nvdimms") if entry.get(key) is not None]
    if len(keys) != 1:
        raise TestbedError("a namespace's region is named by memory_devices or by nvdimms, one of the two", remedy="%s given" % (" and ".join(keys) or "none"))
    names, name, uuid = list(entry[keys[0]]), entry.get("name"), entry.get("uuid")
    if name is not None:
        namespace_words.check_name(name)
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
    try:
        namespace_words.check_mode(wanted.mode or "fsdax", [key for key in ("map", "align", "sector_size") if getattr(wanted, key) is not None])
    except TestbedError as exc:
        raise TestbedError("%s: %s" % (who, exc.summary), remedy=exc.remedy)
    return wanted


def _uuid(text, who):
    if text is None:
        return None
    try:
        return str(uuids.UUID(str(text)))
    except ValueError:
        raise TestbedError("%s: %r is not a uuid" % (who, text))


def _bytes(value, what):
    if value is None or str(value).lower() == "all" and what.startswith("size"):
        return None
    count = parse_size(value, what)
    if not count:
        raise TestbedError("%s is 0" % what)
    return count


def find(inventory, wanted):
    """The namespace as it is, or ``None``. Raises :class:`TestbedError` when it is not clear which one is meant."""
    region = wanted.region
    if region is None:
        return None
    found = inventory.in_region(region)
    if region.labels != "used":
        # a blank label area: the whole region is one namespace that nobody made, until there are labels
        return found[0] if found and not labels_wanted(wanted) else None
    if wanted.name is None and wanted.uuid is None:
        raise TestbedError("%s: its region can hold several namespaces" % wanted.who, remedy="give a name or a uuid")
    matches = []
    if wanted.uuid is not None:
        matches = [entry for entry in found if wanted.uuid in (entry.label_uuid, entry.info_uuid)]
    if not matches and wanted.name is not None:
        matches = [entry for entry in found if entry.label == wanted.name]
        if matches and wanted.uuid is not None and wanted.state != "present":
            # Another one by that name: what was said of the first does not hold of it.
            if wanted.state == "absent":
                return None
            raise TestbedError("%s: the namespace of this name has the uuid %s, not %s" % (wanted.who, matches[0].label_uuid, wanted.uuid),
                               remedy="give that uuid, or none, if it is the one to make anew")
    if len(matches) > 1:
        raise TestbedError("%s: %d namespaces have this name" % (wanted.who, len(matches)),
                           remedy="give the uuid of the one you mean: %s" % ", ".join(str(entry.label_uuid) for entry in matches))
    return matches[0] if matches else None


def labels_wanted(wanted):
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


def completed(wanted, namespace):
    """A declaration for making a namespace anew: what it does not say stays as it is, as far as the new mode has it."""
    mode = wanted.mode or namespace.mode
    memory = mode in ("fsdax", "devdax")
    same = mode == namespace.mode
    return wanted._replace(name=wanted.name or namespace.label, uuid=wanted.uuid or namespace.label_uuid, mode=mode, size=wanted.size or namespace.size,
                           map=(wanted.map or namespace.map) if memory else None, align=(wanted.align or namespace.align) if memory else None,
                           sector_size=wanted.sector_size or (namespace.sector_size if same and mode != "devdax" else None))
