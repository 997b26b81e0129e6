# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A dax region divided into several dax devices, one after another from its start.

CXL RAM and soft-reserved regions can be divided, those of namespaces cannot: they have no ``dax_region/create`` (Documentation/ABI/testing/sysfs-bus-dax;
drivers/dax/bus.c:create_store, dev_dax_resize, delete_store, 6.12 to 7.3). Through sysfs, not daxctl, which binds what it creates.
"""
from __future__ import annotations

import collections
import os

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

# the lookup.DaxRegion; (first byte, last byte) of each part in order; devices that are parts already, the first of them; devices that have to go
Division = collections.namedtuple("Division", "region ranges kept stale")


def can_be_divided(host, region):
    return host.exists(region.place + "/create")


def plan(host, region, sizes, unit):
    """What is to become of a region. Raises :class:`TestbedError` where it cannot be divided so.

    :arg sizes: bytes of each part, as texts; ``all`` for the last one means what is left.
    :arg unit: what each size has to be a multiple of, in bytes.
    """
    if not can_be_divided(host, region):
        raise TestbedError("%s cannot be divided into parts" % region.who, remedy="only CXL ram regions and soft-reserved memory can")
    if region.start is None:
        raise TestbedError("%s: nothing tells where it begins, so its parts cannot be laid out" % region.who)
    ranges = lay_out(region.who, region.start, region.size, sizes, unit)
    kept = 0
    for device, wanted in zip(region.devices, ranges):
        if device.ranges != (wanted,):
            break
        kept += 1
    return Division(region, tuple(ranges), region.devices[:kept], region.devices[kept:])


def lay_out(who, start, available, sizes, unit):
    """``[(first byte, last byte)]`` of each part of a region of ``available`` bytes from ``start`` on. Raises :class:`TestbedError` as :func:`plan` does."""
    ranges, first, end = [], start, start + available
    for number, text in enumerate(sizes):
        whole = str(text).strip().lower() == "all"
        if whole and number + 1 < len(sizes):
            raise TestbedError("%s: only the last part can have size all, part %d is not the last" % (who, number))
        size = end - first if whole else parse_size(text, "%s: size of part %d" % (who, number))
        if size <= 0 and whole:
            raise TestbedError("%s: nothing is left for part %d: the region has %s" % (who, number, format_size(available)))
        if size == 0 or size % unit and not whole:
            raise TestbedError("%s: size %s of part %d is not a multiple of %s" % (who, format_size(size), number, format_size(unit)))
        if size > end - first:
            raise TestbedError("%s: part %d of %s does not fit: the region has %s, and %s of it are left"
                               % (who, number, format_size(size), format_size(available), format_size(end - first)))
        ranges.append((first, first + size - 1))
        first += size
    return ranges


def needs_change(division):
    return bool(division.stale) or len(division.kept) < len(division.ranges)


def carve(host, region, kept, sizes):
    """Remove every device of the region but ``kept``, then make one of each of ``sizes``; all of those must have no driver.

    The kernel takes the first free bytes. Device 0 of a region is never removed, only emptied.
    Returns the names of the new devices in order. Raises :class:`TestbedError`; the region is then divided in part.
    """
    free = []
    for name in children(host, region):
        if name in kept:
            continue
        _write(host, region, "%s/devices/%s/size" % (dax.BUS, name), "0")
        if name.split(".")[1] == "0":
            free.append(name)
        else:
            _write(host, region, region.place + "/delete", name)
    made = []
    for size in sizes:
        name = free.pop() if free else _create(host, region)
        _write(host, region, "%s/devices/%s/size" % (dax.BUS, name), str(size))
        made.append(name)
    return made


def children(host, region):
    """Names of all dax devices of the region, those without bytes too."""
    parent = os.path.dirname(region.place)
    return [name for name in host.listdir(dax.BUS + "/devices") if os.path.dirname(host.resolve("%s/devices/%s" % (dax.BUS, name))) == parent]


def _create(host, region):
    before = children(host, region)
    _write(host, region, region.place + "/create", "1")
    new = [name for name in children(host, region) if name not in before]
    if len(new) != 1:
        raise TestbedError("%s: one dax device was created, and %d are new" % (region.who, len(new)),
                           remedy="something else divides this region, too: stop that")
    return new[0]


_REMEDIES = {
    "EBUSY": "a driver or a program has the dax device",
    "ENOSPC": "the region has no free bytes",
    "EINVAL": "the size does not fit the region's alignment",
}


def _write(host, region, path, value):
    try:
        host.write(path, value)
    except OSError as exc:
        name = errno_name(exc.errno)
        raise TestbedError("%s: writing %s to %s failed (%s)" % (region.who, value, path, name), remedy=_REMEDIES.get(name))
