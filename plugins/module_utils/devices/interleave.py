# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which number of memory devices, which order and which granularity a memory window can interleave.

Position ``i`` of a region belongs to target ``i % ways`` of its window. The same holds below each host bridge and switch for its downstream ports, which
may be in any order. drivers/cxl/core/region.c: interleave_ways_store, cxl_region_attach_position, cxl_port_setup_targets, check_interleave_cap
(6.4 to 7.3; what is said of refusals was seen on 6.12).
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

WAYS = (1, 2, 3, 4, 6, 8, 12, 16)  # CXL 3.1, 8.2.4.20.7, as is the range of granularities
SMALLEST, LARGEST = 256, 16384
SPAN = 32768  # ways are chosen by address bits 8 to 14: granularity times ways, without a factor of 3, reaches no further


def check(decoder, members, granularity=None):
    """Raise :class:`TestbedError` unless a region of ``members`` in this order fits the window ``decoder`` (which leads to their host bridges).

    :arg granularity: bytes, default the window's.
    """
    who, ways = identity.describe_all(members), len(members)
    if ways not in WAYS:
        raise TestbedError("%d memory devices cannot be interleaved: %s" % (ways, who), remedy="name %s" % _choice(WAYS))
    if ways % decoder.ways or not _power_of_two(ways // decoder.ways):
        possible = [count for count in WAYS if count % decoder.ways == 0 and _power_of_two(count // decoder.ways)]
        raise TestbedError("the memory window %s interleaves %d host bridge%s, and %d memory devices do not fit that"
                           % (decoder.name, decoder.ways, "" if decoder.ways == 1 else "s", ways), remedy="name %s" % _choice(possible))
    if not in_order(members, decoder.bridges):
        order, reason = arrange(members, decoder.bridges)
        if order is None:
            raise TestbedError("no order of %s fits the memory window %s: %s" % (who, decoder.name, reason),
                               remedy="each part of an interleave set needs equally many memory devices")
        raise TestbedError("the order of %s does not fit the memory window %s, whose targets are %s in turn" % (who, decoder.name, ", ".join(decoder.bridges)),
                           remedy="name them as %s" % identity.describe_all(order))
    _check_granularity(decoder, members, granularity)


def in_order(members, targets=None, depth=0):
    """Whether ``members`` stand in an order that the decoders on their way can take turns in. :arg targets: as of :func:`arrange`."""
    if len(members) == 1 and targets is None:
        return True
    hops = [_hop(device, depth) for device in members]
    ways = len(set(hops)) if targets is None else len(targets)
    if len(members) % ways or len(set(hops[:ways])) < ways or any(hop != hops[position % ways] for position, hop in enumerate(hops)):
        return False
    if targets is not None and tuple(hops[:ways]) != tuple(targets):
        return False
    return all(in_order(members[first::ways], None, depth + 1) for first in range(ways))


def arrange(members, targets=None, depth=0):
    """An order of ``members`` that fits, near the one given, as ``(list, None)``; or ``(None, why there is none)``.

    :arg targets: host bridges of the window, in its order; below them any order of ports does.
    """
    if len(members) == 1 and targets is None:
        return list(members), None
    groups = {}
    for device in members:
        groups.setdefault(_hop(device, depth), []).append(device)
    counts = {len(group) for group in groups.values()}
    if len(counts) > 1:
        return None, ", ".join("%d below %s" % (len(group), hop) for hop, group in groups.items())
    parts = []
    for hop in targets or list(groups):
        if hop not in groups:
            return None, "none is below %s" % hop
        part, reason = arrange(groups[hop], None, depth + 1)
        if part is None:
            return None, reason
        parts.append(part)
    return [parts[position % len(parts)][position // len(parts)] for position in range(len(members))], None


def _hop(device, depth):
    return device.route[depth] if depth < len(device.route) else device.pci


def _check_granularity(decoder, members, granularity):
    wanted = granularity or decoder.granularity
    if granularity and decoder.ways > 1 and granularity != decoder.granularity:
        raise TestbedError("the memory window %s interleaves its host bridges at %s, so a region in it cannot have granularity %s"
                           % (decoder.name, format_size(decoder.granularity), format_size(granularity)),
                           remedy="leave granularity out, or say %s" % format_size(decoder.granularity))
    reason = _too_coarse(wanted, members, decoder.ways)
    if reason is None:
        return
    if decoder.ways > 1:
        remedy = "the platform fixed the window's granularity: use fewer memory devices, or another window"
    else:
        smaller = [size for size in _granularities() if size < wanted and _too_coarse(size, members, 1) is None]
        remedy = "say granularity: %s or less" % format_size(smaller[-1]) if smaller else "use fewer memory devices"
    raise TestbedError("the region of %s cannot have granularity %s in the memory window %s: %s"
                       % (identity.describe_all(members), format_size(wanted), decoder.name, reason), remedy=remedy)


def _too_coarse(granularity, members, root_ways):
    """Why the decoders below the window cannot do it, or ``None``."""
    if len(members) > 1 and granularity * _binary(len(members)) > SPAN:
        return "%d devices at %s span more than the %s that a device's decoder can tell apart" % (len(members), format_size(granularity), format_size(SPAN))
    return _below(members[::root_ways], granularity * _binary(root_ways), 1) or (
        _below(members[1::root_ways], granularity * _binary(root_ways), 1) if root_ways > 1 else None)


def _below(members, granularity, depth):
    """The port that ``members`` share takes its turns at ``granularity``, which is its parent's times its parent's ways, even where it has one way itself."""
    if depth >= len(members[0].route):
        return None
    where = members[0].route[depth - 1]
    if granularity > LARGEST:
        return "the decoder below %s would have to take turns at %s, and %s is the most it can" % (where, format_size(granularity), format_size(LARGEST))
    ways = len({_hop(device, depth) for device in members})
    if ways > 1 and granularity * _binary(ways) > SPAN:
        return "the decoder below %s cannot tell %d ports at %s apart" % (where, ways, format_size(granularity))
    for first in range(ways):
        reason = _below(members[first::ways], granularity * _binary(ways), depth + 1)
        if reason:
            return reason
    return None


def check_granularity(count, who):
    """Raise :class:`TestbedError` unless ``count`` bytes is a granularity that CXL knows."""
    if count not in _granularities():
        raise TestbedError("the region of %s: granularity %s is not a power of two from %s to %s"
                           % (who, format_size(count), format_size(SMALLEST), format_size(LARGEST)))


def _granularities():
    return [SMALLEST << shift for shift in range(7)]


def _binary(ways):
    """The factor of a number of ways that address bits choose; a factor of 3 is arithmetic."""
    return ways if _power_of_two(ways) else ways // 3


def _power_of_two(number):
    return number > 0 and number & (number - 1) == 0


def _choice(numbers):
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else "%s or %s of them" % (", ".join(words[:-1]), words[-1])
