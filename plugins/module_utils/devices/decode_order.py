# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the ports above some memory devices have a decoder for one more region, and may use it at that address.

A host bridge, switch or endpoint has few decoders. They are used in their order, and their addresses must ascend in it; so a region cannot be made below
the address of another one that goes through the same port. A decoder that was given back while a later one is in use stays counted as used, and the
kernel then hands out no other until the later one is given back, too. The kernel answers all of this with "failed to set target", and says why
only in debug messages. drivers/cxl/core/region.c: alloc_region_ref, match_free_decoder; drivers/cxl/core/hdm.c: cxl_port_commit_reap (seen on 6.12.118).
A host bridge with a single root port passes everything on and has one decoder that is never programmed: one region at a time.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

TWO_STEPS = "remove it, then declare both as present in one task, which makes them in the right order"


def given_back(port, region):
    """The port after a region was removed."""
    left = [None if name == region else name for name in port.decoders]
    committed = port.committed
    while committed and left[committed - 1] is None:
        committed -= 1
    return port._replace(decoders=tuple(left), committed=committed)


def taken(port, region):
    """The port after a region was made."""
    left = list(port.decoders)
    if port.committed < len(left):
        left[port.committed] = region
    return port._replace(decoders=tuple(left), committed=min(port.committed + 1, len(left)))


def check(ports, regions, devices, members, start):
    """Raise :class:`TestbedError` unless every port above ``members`` can decode one more region, from ``start`` on.

    :arg ports: as from :func:`cxl.ports`.
    :arg regions: all :class:`cxl.Region`.
    :arg devices: all :class:`cxl.MemoryDevice`, to name what is in the way.
    """
    who = identity.describe_all(members)
    by_name = {device.name: device for device in devices}
    for name in _unique(port for device in members for port in device.ports):
        port = ports.get(name)
        if port is None or not port.decoders:
            continue
        where = _where(port, by_name)
        through = [region for region in regions if any(name in by_name[member].ports for member in region.members if member in by_name)]
        for region in sorted(through, key=lambda region: region.start or 0):
            if region.start is not None and region.start > start:
                raise TestbedError("the region of %s would start at %#x, and the region of %s, at %#x already, goes through the same %s, whose decoders take "
                                   "addresses in ascending order only" % (who, start, _members(region, by_name), region.start, where), remedy=TWO_STEPS)
        _check_next(port, where, who, regions, by_name)


def _check_next(port, where, who, regions, by_name):
    owners = {region.name: _members(region, by_name) for region in regions}
    used = [name for name in port.decoders if name]
    if port.committed == len(port.decoders) or len(port.decoders) == 1 and used:
        raise TestbedError("the region of %s: %s has %d decoder%s, and none is left" % (who, where, len(port.decoders), "" if len(port.decoders) == 1 else "s"),
                           details=["in use by the region of %s" % owners.get(name, name) for name in used],
                           remedy="remove a region that goes through it, or make one of more devices")
    if port.decoders[port.committed]:
        raise TestbedError("the region of %s: the next decoder of %s is held by the region of %s, which was not set up to its end"
                           % (who, where, owners.get(port.decoders[port.committed], "other devices")), remedy="remove that one with state: absent")
    if None in port.decoders[:port.committed]:
        later = port.decoders[port.committed - 1]
        raise TestbedError("the region of %s: %s has decoders of removed regions before that of the region of %s, and the kernel gives out no other until "
                           "that one is removed, too" % (who, where, owners.get(later, later)), remedy=TWO_STEPS)


def _where(port, by_name):
    if port.owner in by_name:
        return "memory device %s" % identity.describe(by_name[port.owner])
    return "%s %s" % ("host bridge" if str(port.owner).startswith(("pci", "ACPI")) else "switch", port.owner)


def _members(region, by_name):
    return identity.describe_all([by_name[name] for name in region.members if name in by_name]) or "no device yet"


def _unique(names):
    return list(dict.fromkeys(names))
