# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where new regions go, or in words why one cannot be made, before anything is changed.

The kernel takes the first free range of a window that is large enough, in steps of 256 MiB (drivers/cxl/core/region.c:alloc_hpa, 6.4 to 7.3), so that
a new region's address is known beforehand.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, dax, decode_order, identity, interleave
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kernel import version
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

EXTENT = 256 << 20  # decoders are programmed in multiples of this per device (CXL 3.1, 8.2.4.20)
KINDS = {"ram": "volatile", "pmem": "persistent"}
UNSETTLED = "is being made or taken down: the kernel tells no size of it"
SETTLE = "run again when that has ended; a region that stays so goes with state: absent"

# the declared region; its window, a cxl.RootDecoder; bytes; first byte
Placed = collections.namedtuple("Placed", "wanted decoder size start")


class Plan(object):
    """The machine's regions and decoders as they will be, change by change."""

    def __init__(self, host, inventory):
        self.devices = inventory.devices
        self.regions = list(inventory.regions)
        self.windows = cxl.root_decoders(host)
        self.ports = cxl.ports(host)
        self.release = dax.release(host)
        self.physical_map = physical_map.read(host) or []

    def remove(self, region):
        self.regions.remove(region)
        self.ports = {name: decode_order.given_back(port, region.name) for name, port in self.ports.items()}

    def in_order(self, entries):
        """``entries`` in the order in which they can be made: addresses ascend, and a device gives volatile capacity before persistent."""
        def key(entry):
            starts = [window.start for window in self.windows
                      if (window.name == entry.decoder if entry.decoder else _takes(window, entry.mode) and set(window.bridges) == _bridges(entry.members))]
            return min(starts, default=0), entry.mode == "pmem"
        return sorted(entries, key=key)

    def place(self, entry):
        """The :class:`Placed` of a declared region, which counts as made from then on. Raises :class:`TestbedError` saying why there is none."""
        if entry.mode == "ram" and (0, 0) < version(self.release) < cxl.RAM_REGIONS:
            raise TestbedError("no region can be made of %s: Linux %s makes none of volatile CXL memory" % (identity.describe_all(entry.members), self.release),
                               remedy="use Linux %d.%d or newer" % cxl.RAM_REGIONS, lasting=True)
        check_devices(entry, self.regions)
        placed = self._choose(entry)
        name = "new region %d" % len(self.regions)
        self.regions.append(cxl.Region(name, placed.decoder.name, entry.mode, placed.start, placed.size, len(entry.members), entry.granularity or 0,
                                       tuple(device.name for device in entry.members), True, True, ()))
        for port in {port for device in entry.members for port in device.ports if port in self.ports}:
            self.ports[port] = decode_order.taken(self.ports[port], name)
        return placed

    def _choose(self, entry):
        if entry.decoder:
            named = [window for window in self.windows if window.name == entry.decoder]
            if not named:
                raise TestbedError("there is no root decoder %s" % entry.decoder, remedy="there are %s" % (self.offered() or "none"))
            return self._place_in(named[0], entry)
        who = identity.describe_all(entry.members)
        leading = [window for window in self.windows if set(window.bridges) == _bridges(entry.members)]
        refusals = []
        # a window for this kind alone before one that others may need
        for window in sorted(leading, key=lambda window: (window.ram and window.pmem, window.start)):
            try:
                return self._place_in(window, entry)
            except TestbedError as exc:
                refusals.append(exc)
        if len(refusals) == 1:
            raise refusals[0]
        summary = "no memory window takes a %s region of %s (below %s)" % (entry.mode, who, ", ".join(sorted(map(str, _bridges(entry.members)))))
        raise TestbedError(summary, [str(exc).splitlines()[0] for exc in refusals],
                           None if refusals else "the platform offers %s" % (self.offered() or "no memory window (CFMWS) at all"))

    def offered(self):
        """The windows in words."""
        return "; ".join("%s: %s to %s" % (window.name, " and ".join([kind for kind in ("ram", "pmem") if _takes(window, kind)]) or "no ram and no pmem",
                                           ", ".join(map(str, window.bridges))) for window in self.windows)

    def _place_in(self, window, entry):
        who = identity.describe_all(entry.members)
        if not _takes(window, entry.mode):
            raise TestbedError("the memory window %s takes no %s, and a %s region is wanted of %s" % (window.name, entry.mode, entry.mode, who),
                               remedy="the platform offers %s" % self.offered())
        if set(window.bridges) != _bridges(entry.members):
            raise TestbedError("the memory window %s leads to %s, and %s lies below %s"
                               % (window.name, ", ".join(map(str, window.bridges)), who, ", ".join(sorted(map(str, _bridges(entry.members))))),
                               remedy="a region needs devices below each of its window's host bridges and below no other; the platform offers %s"
                                      % self.offered())
        interleave.check(window, entry.members, entry.granularity)
        for region in self.regions:
            if region.decoder == window.name and cxl.unsettled(region):
                others = [device for device in self.devices if device.name in region.members]
                raise TestbedError("where a region of %s would lie in the memory window %s cannot be said: the region of %s there %s"
                                   % (who, window.name, identity.describe_all(others) or "no device yet", UNSETTLED), remedy=SETTLE)
        free = gaps(window, self.regions, self.physical_map)
        largest = max([length for start, length in free], default=0)
        size = entry.size or all_of(entry.members, entry.mode, free)
        if size == 0 or size > largest:
            taken = [region for region in self.regions if region.decoder == window.name]
            raise TestbedError("the memory window %s has %s left%s, too little for the region of %s"
                               % (window.name, format_size(sum(length for start, length in free)),
                                  " and %s in one piece" % format_size(largest) if len(free) > 1 else "", who),
                               ["%s was left without devices and holds %s: echo %s > %s/%s/delete_region"
                                % (region.name, format_size(region.size), region.name, cxl.BUS, window.name)
                                for region in taken if not any(region.members)] +
                               ["%#x-%#x is ordinary RAM since boot: firmware handed it over as such" % (entry.first, entry.last)
                                for entry in physical_map.ordinary_ram(self.physical_map, window.start, window.size)],
                               remedy="it has %s, and %d regions in it" % (format_size(window.size), len(taken)))
        start = next(start for start, length in free if length >= size)
        decode_order.check(self.ports, self.regions, self.devices, entry.members, start)
        return Placed(entry, window, size, start)


def check_devices(entry, regions=()):
    """Refuse, with the figures, devices that do not have what is wanted of them. That none is in another region of this kind was seen to before."""
    word = KINDS[entry.mode]
    for device in entry.members:
        who = identity.describe(device)
        if not device.enabled:
            raise TestbedError("memory device %s is there, but its driver cxl_mem could not set it up" % who,
                               remedy="the kernel log says why; under QEMU a reboot leaves a device with decoding switched on, which only a power cycle clears")
        has, other = capacity_of(device, entry.mode), device.ram + device.pmem - capacity_of(device, entry.mode)
        if has == 0:
            raise TestbedError("memory device %s has no %s capacity (%s %s)" % (who, word, format_size(other), KINDS["pmem" if entry.mode == "ram" else "ram"]),
                               remedy="a %s region needs %s capacity" % (entry.mode, word))
        share = EXTENT if entry.size is None else entry.size // len(entry.members)
        if has < share:
            raise TestbedError("memory device %s has %s of %s capacity, %s is wanted of it" % (who, format_size(has), word, format_size(share)))
        if entry.mode == "ram" and any(region.mode == "pmem" and device.name in region.members for region in regions):
            # drivers/cxl/core/hdm.c:cxl_dpa_alloc, device addresses ascend, and the volatile ones come first
            raise TestbedError("memory device %s: its persistent capacity is in a region already, and the kernel gives out volatile capacity only before that"
                               % who,
                               remedy="remove the pmem region, then declare both as present in one task, which makes them in the right order")


def capacity_of(device, mode):
    return device.ram if mode == "ram" else device.pmem


def all_of(members, mode, free):
    """Bytes of a region of these devices that takes all it can have. :arg free: the :func:`gaps` of its window."""
    unit = EXTENT * len(members)
    largest = max([length for start, length in free], default=0)
    return min(min(capacity_of(device, mode) for device in members) // EXTENT * unit, largest // unit * unit)


def gaps(window, regions, ranges):
    """``[(first byte, bytes)]`` of the parts of a window that no region has, nor the kernel as RAM since boot, cut to multiples of 256 MiB.

    :arg ranges: what :func:`.physical_map.read` found.
    """
    found, place = [], window.start
    taken = [(region.start, region.start + region.size) for region in regions if region.decoder == window.name and region.start is not None]
    taken += [(entry.first, entry.last + 1) for entry in physical_map.ordinary_ram(ranges, window.start, window.size)]
    for start, end in sorted(taken) + [(window.start + window.size, 0)]:
        first = -(-place // EXTENT) * EXTENT
        length = (start - first) // EXTENT * EXTENT
        if length > 0:
            found.append((first, length))
        place = max(place, end)
    return found


def _takes(window, mode):
    return window.ram if mode == "ram" else window.pmem


def _bridges(members):
    return {device.bridge for device in members}
