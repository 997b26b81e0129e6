# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From what a task names, memory devices, a namespace or a soft-reserved range, to the dax region and the dax devices that it is now."""
from __future__ import annotations

import collections
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, dax, identity, namespace_words, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map

# the ways to name a dax region; a task's entry uses exactly one
KEYS = ("memory_devices", "namespace", "soft_reserved")

# {key: value} as the task named it; what to call it; directory of its attributes (Documentation/ABI/testing/sysfs-bus-dax), None before its
# region is made; first byte or None where nothing tells; bytes; node its memory goes to or None; its dax.DaxDevices that have bytes, by address
DaxRegion = collections.namedtuple("DaxRegion", "named who place start size node devices")

_ADDRESS = re.compile("0x[0-9a-f]{1,16}")


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

    def dax_region(self, entry, may_be_missing=False):
        """The :class:`DaxRegion` that one entry of a task names. Raises :class:`TestbedError`.

        :arg may_be_missing: True where what an earlier step makes need not be there (check mode): such a region has no ``place``.
        """
        ways = [key for key in KEYS if entry.get(key) is not None]
        if len(ways) != 1:
            raise TestbedError("name a dax region in one way, by %s; found %s" % (" or ".join(KEYS), " and ".join(ways) or "none of them"))
        return getattr(self, "_by_" + ways[0])(entry[ways[0]], may_be_missing)

    def _by_memory_devices(self, texts, may_be_missing):
        members = self.members(texts)
        who = "memory device %s" % identity.describe_all(members)
        named = {"memory_devices": list(texts)}
        # A device can have a region of each kind.
        region = self.region(members, "ram")
        if region is None and may_be_missing and any(member.ram for member in members):
            return _missing(named, who)
        region = region or self.region(members)
        if region is None:
            raise TestbedError("no region is made of %s" % who, remedy="make it with memlab.testbed.cxl_region")
        if region.mode == "pmem":
            raise TestbedError("the region of %s is persistent: dax devices there belong to namespaces" % who, remedy="name the namespace")
        if not region.dax:
            raise TestbedError("the region of %s has no dax device" % who, remedy="see to it with memlab.testbed.cxl_region")
        return _region(self.host, named, who, region.dax, region.start)

    def _by_namespace(self, text, may_be_missing):
        word = str(text).strip()
        if namespace_words.is_kernel_name(word):
            raise TestbedError("%s is the kernel's own numbering, which changes between boots" % word, remedy="name the namespace by its name or its uuid")
        who, named, every = "namespace %s" % word, {"namespace": text}, nvdimm.namespaces(self.host)
        if may_be_missing and not any(nvdimm.is_called(entry, word) for entry in every):
            return _missing(named, who)
        found = nvdimm.find_namespace(every, word)
        if found.mode != "devdax":
            if may_be_missing:
                return _missing(named, who)
            raise TestbedError("%s is %s, and only mode devdax has a dax device" % (who, "in mode %s" % found.mode if found.enabled else "disabled"),
                               remedy="see to it with memlab.testbed.pmem_namespace")
        names = [name for name in self.host.listdir(dax.BUS + "/devices") if nvdimm.namespace_of_dax(self.host, name) == found.name]
        if not names:
            raise TestbedError("%s is in mode devdax but has no dax device" % who, remedy="load dax_pmem (CONFIG_DEV_DAX_PMEM)")
        return _region(self.host, named, who, names, None)

    def _by_soft_reserved(self, text, may_be_missing):
        word = str(text).strip().lower()
        if not _ADDRESS.fullmatch(word):
            raise TestbedError("soft_reserved: %.60r is not an address in hexadecimal, such as 0x240000000" % (text,),
                               remedy="quote it, or YAML makes a number of it")
        named, who = {"soft_reserved": text}, "soft-reserved memory at %s" % word
        children = {}
        for name in self.host.listdir(dax.BUS + "/devices"):
            parent = os.path.dirname(_path(self.host, name))
            if re.fullmatch(r"hmem\.[0-9]+", os.path.basename(parent)):
                children.setdefault(parent, []).append(name)
        found = [_region(self.host, named, who, names, None) for names in children.values()]
        starts = [_hmem_start(self.host, region) for region in found]
        for region, start in zip(found, starts):
            if start == int(word, 16):
                return region._replace(start=start)
        known = ", ".join("%#x" % start for start in starts if start is not None)
        raise TestbedError("there is no dax region of %s" % who,
                           remedy="there are %s" % known if known else
                           "firmware must hand the range over as soft-reserved (EFI_MEMORY_SP), and the kernel needs dax_hmem and no efi=nosoftreserve")


def _missing(named, who):
    return DaxRegion(named, who, None, None, None, None, ())


def _path(host, name):
    return host.resolve("%s/devices/%s" % (dax.BUS, name))


def _region(host, named, who, names, start):
    place = os.path.dirname(_path(host, names[0])) + "/dax_region"
    devices = [dax.read(host, name) for name in names]
    holding = sorted([device for device in devices if device.ranges], key=lambda device: min(device.ranges))
    size = host.read_optional(place + "/size")
    return DaxRegion(named, who, place, start, int(size) if size else sum(map(dax.size, holding)), devices[0].node, tuple(holding))


def _hmem_start(host, region):
    """First byte of a soft-reserved region, which has no attribute for it.

    Its first device tells, unless it was divided and that one has no bytes; /proc/iomem tells up to 6.12, 7.3 leaves such ranges out.
    """
    first = min([part[0] for device in region.devices for part in device.ranges], default=None)
    alike = [entry.first for entry in physical_map.read(host) or () if entry.name == physical_map.SOFT_RESERVED
             and entry.last + 1 - entry.first == region.size and (first is None or entry.first <= first <= entry.last)]
    return alike[0] if len(alike) == 1 else first
