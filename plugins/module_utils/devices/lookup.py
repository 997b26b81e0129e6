# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the memory devices that a task names to the region and the dax device they make up now."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


class Inventory(object):
    """The machine's memory devices and regions, read once per step."""

    def __init__(self, host):
        self.host = host
        bus = cxl.Bus(host)
        self.devices = cxl.memory_devices(host, bus)
        self.regions = cxl.regions(host, bus)

    def members(self, texts):
        """The named devices, in the order given. Raises :class:`TestbedError`."""
        return identity.find_all(self.devices, texts)

    def region(self, members, mode=None):
        """The region that consists of exactly these devices in this order, or ``None``.

        :arg mode: ``ram`` or ``pmem``: a device with capacity of both kinds can be in a region of each. Default: of any kind.

        Raises :class:`TestbedError` when one of them belongs to another region, which says of which devices that one is made.
        """
        names = tuple(device.name for device in members)
        candidates = [region for region in self.regions if mode in (None, region.mode)]
        for region in candidates:
            if region.members == names:
                return region
        for region in candidates:
            shared = [device for device in members if device.name in region.members]
            if shared:
                others = [device for name in region.members for device in self.devices if device.name == name]
                raise TestbedError("memory device %s is already part of a region of %d%s: %s"
                                   % (identity.describe(shared[0]), len(region.members),
                                      ", the same ones in another order" if sorted(names) == sorted(region.members) else "", identity.describe_all(others)),
                                   remedy="name exactly those devices in that order, or remove that region first")
        return None

    def dax_name(self, members):
        """Name of the one dax device of these memory devices' region. Raises :class:`TestbedError` where there is no region or not one device."""
        region = self.region(members)
        if region is None:
            raise TestbedError("no region is made of memory device %s" % identity.describe_all(members), remedy="make it with memlab.testbed.cxl_region")
        if len(region.dax) != 1:
            raise TestbedError("the region of memory device %s has %d dax devices, wanted one" % (identity.describe_all(members), len(region.dax)))
        return region.dax[0]
