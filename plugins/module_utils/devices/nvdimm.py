# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NVDIMMs, regions of persistent memory and their namespaces as the kernel shows them below ``/sys/bus/nd``.

A CXL region of persistent memory appears here a second time, under a number of its own: ``regionN`` of this bus is never taken for one of the CXL bus.
Documentation/ABI/testing/sysfs-bus-nvdimm; drivers/nvdimm/{region_devs,namespace_devs,pfn_devs,btt_devs}.c (6.1 to 7.3).
"""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

BUS = "/sys/bus/nd/devices"
MODES = {"memory": "fsdax", "dax": "devdax", "safe": "sector", "raw": "raw"}
MAPS = {"ram": "mem", "pmem": "dev"}
MOST_MAPPINGS = 32  # drivers/nvdimm/nd.h: ND_MAX_MAPPINGS; a damaged capture must not cost memory without end

# name; handle (NFIT) or None; unique id as ndctl shows it; name of the CXL memory device behind it or None; whether it has a label area
Dimm = collections.namedtuple("Dimm", "name handle id memory label_area")

# name; names of its Dimms in order of position; bytes; bytes that sizes are a multiple of; labels: "used", "blank" (there is room for them, and none is
# there yet), "none"; bytes not taken by namespaces, and the largest piece of them; first byte or None; whether its driver has it; whether it is read-only
Region = collections.namedtuple("Region", "name dimms size align labels free largest start enabled read_only")

# name; its region's name; mode and map in ndctl's words, None while it is disabled; bytes taken of the region; bytes left to use; alignment of its memory;
# bytes of a sector; the label's name and uuid; uuid in its info block, which is what ndctl shows; nd device that claims it (pfn0.0) or None; what it is
# used by: block device (pmem0) or dax device (dax0.0); whether a driver has it; node
Namespace = collections.namedtuple("Namespace", "name region mode map size usable align sector_size label label_uuid info_uuid holder device enabled node")


def by_number(name):
    return [int(part) for part in re.findall("[0-9]+", name)]


def number(host, name):
    """A number in a file, ``None`` where it is absent or something else."""
    try:
        return int(host.read_optional(name), 0)
    except (TypeError, ValueError):
        return None


def _names(host, pattern):
    return sorted([name for name in host.listdir(BUS) if re.fullmatch(pattern, name)], key=by_number)


def dimms(host):
    """All of the bus, by kernel number."""
    found = []
    for name in _names(host, "nmem[0-9]+"):
        base = "%s/%s" % (BUS, name)
        provider = host.read_optional(base + "/cxl/provider")
        # /sys/bus/cxl/devices/pmem0 is a child of its memory device
        memory = (host.link_target("%s/%s" % (cxl.BUS, provider)) or "").split("/")[-2:-1] if provider else []
        commands = (host.read_optional(base + "/commands") or "").split()
        found.append(Dimm(name, number(host, base + "/nfit/handle"), host.read_optional(base + ("/cxl/id" if provider else "/nfit/id")),
                          memory[0] if memory else None, {"get_size", "get_data", "set_data"}.issubset(commands)))
    return found


def regions(host, known=None):
    """All regions of persistent memory. :arg known: :func:`dimms`, when they were read already."""
    known = {dimm.name: dimm for dimm in (dimms(host) if known is None else known)}
    found = []
    for name in _names(host, "region[0-9]+"):
        base = "%s/%s" % (BUS, name)
        if host.read_optional(base + "/devtype") not in (None, "nd_pmem"):
            continue  # memory that is not persistent
        mappings = []
        for position in range(min(number(host, base + "/mappings") or 0, MOST_MAPPINGS)):
            # name, first byte on it, bytes, position
            words = (host.read_optional("%s/mapping%d" % (base, position)) or "").split(",")
            mappings.append((by_number(words[-1]) or [position], words[0]))
        members = tuple(dimm for order, dimm in sorted(mappings))
        labels = "used" if number(host, base + "/nstype") == 5 else "none"
        if labels == "none" and members and all(dimm in known and known[dimm].label_area for dimm in members):
            labels = "blank"
        free = number(host, base + "/available_size") or 0
        largest = number(host, base + "/max_available_extent")
        found.append(Region(name, members, number(host, base + "/size") or 0, number(host, base + "/align") or 4096, labels, free,
                            free if largest is None else largest, number(host, base + "/resource"), host.link_name(base + "/driver") is not None,
                            host.read_optional(base + "/read_only") == "1"))
    return found


def namespaces(host):
    """All namespaces, by kernel number; seeds, of which each region keeps one to make the next namespace from, are not among them."""
    held = {}
    for name in _names(host, r"(pfn|dax|btt)[0-9]+\.[0-9]+"):
        namespace = host.read_optional("%s/%s/namespace" % (BUS, name))
        if namespace:
            held[namespace] = name
    found = []
    for name in _names(host, r"namespace[0-9]+\.[0-9]+"):
        if number(host, "%s/%s/size" % (BUS, name)):
            found.append(_namespace(host, name, held.get(name)))
    return found


def _namespace(host, name, holder):
    base, claim = "%s/%s" % (BUS, name), "%s/%s" % (BUS, holder or name)
    size = number(host, base + "/size")
    enabled = host.link_name(claim + "/driver") is not None
    mode = MODES.get(host.read_optional(base + "/mode"))
    mapping = MAPS.get(host.read_optional(claim + "/mode")) if holder and not holder.startswith("btt") else None
    usable = number(host, claim + "/size") if holder else size
    device = None
    if enabled:
        children = [child for child in host.listdir(claim) if re.fullmatch(r"dax[0-9]+\.[0-9]+", child)] + host.listdir(claim + "/block")
        device = children[0] if children else None
    if mapping is None and mode == "fsdax" and enabled:
        mapping = "mem"  # without an info block there is no other place
    sector = re.search(r"\[([0-9]+)\]", host.read_optional((claim if mode == "sector" else base) + "/sector_size") or "")
    return Namespace(name, _region_of(host, name), mode if enabled else None, mapping if enabled else None, size, usable,
                     number(host, claim + "/align") if holder else None, None if mode == "devdax" else int(sector.group(1)) if sector else 512,
                     host.read_optional(base + "/alt_name") or None, host.read_optional(base + "/uuid") or None,
                     (host.read_optional(claim + "/uuid") or None) if holder else None, holder, device, enabled, number(host, base + "/target_node"))


def _region_of(host, name):
    return (host.link_target("%s/%s" % (BUS, name)) or "").split("/")[-2:][0]


def namespace_of_dax(host, dax):
    """Name of the namespace that a dax device (of ``/sys/bus/dax``) is the use of, or ``None``: memory that is not persistent has none."""
    return next((entry.name for entry in namespaces(host) if entry.device == dax), None) or _claimed_by(host, dax)


def _claimed_by(host, dax):
    """The same by the device's place: a disabled parent has no children, but a divided one has several."""
    parent = (host.link_target("/sys/bus/dax/devices/%s" % dax) or "").split("/")[-2:-1]
    return host.read_optional("%s/%s/namespace" % (BUS, parent[0])) or None if parent else None


def is_called(namespace, word):
    """Whether a namespace's label has the name ``word``, or its label or info block has that uuid, in whatever case."""
    return namespace.label == word or word.lower() in (namespace.label_uuid, namespace.info_uuid)


def find_namespace(found, text):
    """The one of ``found`` whose label has the name, or whose label or info block has the uuid ``text``. Raises :class:`TestbedError`."""
    word = str(text)
    matches = [entry for entry in found if is_called(entry, word)]
    if not matches:
        known = ["%s (%s)" % (entry.label, entry.label_uuid) if entry.label else entry.label_uuid or entry.info_uuid or "one without a label"
                 for entry in found]
        raise TestbedError("no namespace has the name or uuid %s" % word, remedy="there are %s" % (", ".join(known) or "none at all"))
    if len(matches) > 1:
        raise TestbedError("%d namespaces have the name %s" % (len(matches), word),
                           remedy="give the uuid of the one you mean: %s" % ", ".join(str(entry.label_uuid or entry.info_uuid) for entry in matches))
    return matches[0]


def find_dimms(known, texts):
    """NVDIMMs by handle (``0x1``) or unique id (``8680-56341200``). Raises :class:`TestbedError`."""
    present = [dimm for dimm in known if dimm.memory is None]
    found = []
    if not texts:
        raise TestbedError("an empty list names no NVDIMM")
    for text in texts:
        word = str(text).strip().lower()
        if re.fullmatch("nmem[0-9]+", word):
            raise TestbedError("%s is the kernel's own numbering, which changes between boots" % word,
                               remedy="name the NVDIMM by its handle or its unique id, see ndctl list -D")
        try:
            handle = int(word, 16 if word.startswith("0x") else 10)
        except ValueError:
            handle = None
        matches = [dimm for dimm in present if word == (dimm.id or "").lower()] or [dimm for dimm in present if handle is not None and handle == dimm.handle]
        if len(matches) != 1:
            raise TestbedError("%s NVDIMM has the handle or unique id %s" % ("more than one" if matches else "no", word),
                               remedy="there are %s" % (describe_dimms(present) or "none at all"))
        if matches[0] in found:
            raise TestbedError("NVDIMM %s is named twice" % describe_dimms(matches))
        found.append(matches[0])
    return found


def describe_dimms(found):
    return ", ".join("%s (%s)" % (hex(dimm.handle) if dimm.handle is not None else "without handle", dimm.id) for dimm in found)


class Inventory(object):
    """The machine's NVDIMMs, regions of persistent memory and namespaces, read once."""

    def __init__(self, host):
        self.host = host
        self.dimms = dimms(host)
        self.regions = regions(host, self.dimms)
        self.namespaces = namespaces(host)
        self.memory = cxl.memory_devices(host)

    def region_of_dimms(self, texts):
        """The region of exactly these NVDIMMs; firmware made it, so their order does not count. Raises :class:`TestbedError`."""
        members = find_dimms(self.dimms, texts)
        names = {dimm.name for dimm in members}
        found = [region for region in self.regions if set(region.dimms) == names]
        if len(found) == 1:
            return found[0]
        others = "; ".join(describe_dimms(self._dimms(region)) for region in self.regions if names.intersection(region.dimms))
        if found:
            raise TestbedError("NVDIMM %s has %d regions, and which one is meant cannot be said" % (describe_dimms(members), len(found)))
        raise TestbedError("no region is made of exactly NVDIMM %s" % describe_dimms(members),
                           remedy="regions of these NVDIMMs: %s" % (others or "none; the firmware makes them"))

    def region_of_memory(self, texts):
        """The region of exactly these CXL memory devices in this order, ``None`` where there is none. Raises :class:`TestbedError`."""
        members = identity.find_all(self.memory, texts)
        names = [device.name for device in members]
        found = [region for region in self.regions if [dimm.memory for dimm in self._dimms(region)] == names]
        if len(found) > 1:
            raise TestbedError("%d regions of persistent memory are made of memory device %s" % (len(found), identity.describe_all(members)))
        return found[0] if found else None

    def _dimms(self, region):
        return [dimm for name in region.dimms for dimm in self.dimms if dimm.name == name]

    def origin(self, region):
        """What a region belongs to, in words that survive a reboot: ``{"nvdimms": [...], "memory_devices": [...]}``."""
        memory = {device.name: device for device in self.memory}
        members = self._dimms(region) if region else []
        return {"nvdimms": ["%#x" % dimm.handle if dimm.handle is not None else dimm.id for dimm in members if not dimm.memory],
                "memory_devices": ["%#x" % memory[dimm.memory].serial for dimm in members if dimm.memory in memory]}

    def in_region(self, region):
        return [entry for entry in self.namespaces if entry.region == region.name]


def namespaces_of_cxl_region(host, members):
    """Names of the namespaces in the persistent CXL region of these memory devices, given by kernel name in order of position."""
    inventory = Inventory(host)
    regions_ = [region for region in inventory.regions if [dimm.memory for dimm in inventory._dimms(region)] == list(members)]
    return [entry.name for region in regions_ for entry in inventory.in_region(region)]
