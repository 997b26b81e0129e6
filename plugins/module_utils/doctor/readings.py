# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor looks at: each part of the machine read once, when a finding first asks for it.

A part that cannot be read is ``None`` or empty, and is named in ``unseen``, so that silence about it is not taken for health.
"""
from __future__ import annotations

import collections
import functools
import gzip
import re
import zlib

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import blocks as memory_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices, facts, kernel, page_tables, physical_map
from ansible_collections.memlab.testbed.plugins.module_utils.report import statements

AUTO_ONLINE = memory_blocks.MEMORY + "/auto_online_blocks"
CPUINFO = "/proc/cpuinfo"
CMDLINE = "/proc/cmdline"
PCI = "/sys/bus/pci/devices"
ACPI_CXL = "/sys/bus/acpi/devices/ACPI0017:00"
CEDT = "/sys/firmware/acpi/tables/CEDT"
NFIT = "/sys/firmware/acpi/tables/NFIT"

# name; name of the memory device; ram, pmem or none; bytes of the device it takes; name of the region it serves, or an empty text
EndpointDecoder = collections.namedtuple("EndpointDecoder", "name memory_device mode bytes region")
# name; bytes; bytes that its namespaces' sizes must be multiples of; False where it is one namespace that has no label;
# handles of its NVDIMMs, or their names where there is none
NvdimmRegion = collections.namedtuple("NvdimmRegion", "name size align labels nvdimms")


class Readings(object):
    """A machine, live or recorded.

    :arg wanted: list of :class:`~.wanted.Wanted`, what the host's devices are declared to be; may be empty.
    """

    def __init__(self, host, wanted=()):
        self.host = host
        self.wanted = list(wanted)
        self._unseen = {}

    @property
    def unseen(self):
        """``{file or directory: why nothing could be said of it}``"""
        return dict(self._unseen)

    def text(self, name, needed=True):
        """A file's text, or ``None``; noted as unseen where ``needed``."""
        content = self.host.read_optional(name)
        if content is None and needed:
            self._unseen[name] = "absent, not recorded, or not for this user to read"
        return content

    def number(self, name):
        """A number in a file, or ``None``."""
        try:
            return int(self.host.read_optional(name), 0)
        except (TypeError, ValueError):
            return None

    # memory

    @functools.cached_property
    def block_size(self):
        """Bytes per memory block; ``None`` on a kernel without memory blocks."""
        try:
            return memory_blocks.block_size(self.host)
        except TestbedError as exc:
            self._unseen[memory_blocks.MEMORY] = exc.summary
            return None

    @functools.cached_property
    def blocks(self):
        return memory_blocks.read_blocks(self.host) if self.block_size else {}

    @functools.cached_property
    def auto_online(self):
        return self.text(AUTO_ONLINE, needed=bool(self.block_size))

    @functools.cached_property
    def stuck_pages(self):
        """List of :class:`kernel_log.Stuck`; empty where the kernel's log cannot be read. No capture holds one."""
        try:
            return kernel_log.stuck_pages(kernel_log.lines(self.host.read_log(kernel_log.KMSG)))
        except TestbedError as exc:
            if self.host.live:
                self._unseen[kernel_log.KMSG] = exc.summary
            return []

    @functools.cached_property
    def placement(self):
        """The facts of memmap_facts, or ``None`` where there are none."""
        if not self.block_size:
            return None
        found = facts.collect(self.host)
        unknown = any(entry["placement"] == page_tables.UNKNOWN for entry in found["devices"])
        for name, proof in found["proofs"].items():
            if unknown and not proof["available"]:
                self._unseen[name] = proof["why_not"]
        return found

    def placed(self, name):
        """The facts of one dax device, or ``None``."""
        return next((entry for entry in (self.placement or {}).get("devices", ()) if entry["name"] == name), None)

    @functools.cached_property
    def statements(self):
        """(declared entry, statement) of all that is declared, see :func:`statements.declared`; none where there are no facts to hold it against."""
        return [(entry, said) for entry in self.wanted for said in statements.declared(self.placement, entry.entry)] if self.placement else []

    # devices

    @functools.cached_property
    def dax(self):
        found = devices.read_dax_devices(self.host)
        if any(device.ranges is None for device in found):
            self._unseen[devices.DAX] = "the ranges of dax devices are for root only"
        return found

    @functools.cached_property
    def origins(self):
        return devices.origins(self.host, self.dax)

    @functools.cached_property
    def bus(self):
        return cxl.Bus(self.host)

    @functools.cached_property
    def memory_devices(self):
        return cxl.memory_devices(self.host, self.bus)

    @functools.cached_property
    def ports(self):
        return cxl.ports(self.host, self.bus)

    @functools.cached_property
    def windows(self):
        """Root decoders that have a size: each is a memory window that the firmware described. Host bridges by their PCI names."""
        # Kernel 6.1 links a host bridge's ACPI object where later ones link its PCI root; the ports below tell which is which.
        names = {self.host.link_name("%s/%s/uport" % (cxl.BUS, port)): device.bridge for device in self.memory_devices
                 for port in self._ports(device.name)}
        return [decoder._replace(bridges=tuple(names.get(bridge, bridge) for bridge in decoder.bridges))
                for decoder in cxl.root_decoders(self.host) if decoder.size]

    def _ports(self, memory_device):
        """The port of the host bridge above a memory device."""
        for endpoint in self.bus.names("endpoint[0-9]+"):
            parts = self.bus.place(endpoint).split("/")
            if self.host.link_name("%s/%s/uport" % (cxl.BUS, endpoint)) == memory_device and "root0" in parts[:-2]:
                yield parts[parts.index("root0") + 1]

    @functools.cached_property
    def regions(self):
        return cxl.regions(self.host, self.bus)

    @functools.cached_property
    def endpoint_decoders(self):
        found = []
        for endpoint in self.bus.names("endpoint[0-9]+"):
            owner = self.host.link_name("%s/%s/uport" % (cxl.BUS, endpoint)) or ""
            for name in self.bus.names("decoder%s[.][0-9]+" % endpoint[8:]):
                mode, region = self.bus.texts(name, ("mode", "region"))
                found.append(EndpointDecoder(name, owner, mode or "none", self.number("%s/%s/dpa_size" % (cxl.BUS, name)) or 0, region))
        return found

    @functools.cached_property
    def namespaces(self):
        """As :func:`~..placement.devices.read_namespaces`, with ``alias`` (the label's name) and ``region``."""
        found = []
        for entry in devices.read_namespaces(self.host):
            region = (self.host.link_target("%s/%s" % (nvdimm.BUS, entry["name"])) or "").split("/")[-2:-1]
            found.append(dict(entry, alias=self.host.read_optional("%s/%s/alt_name" % (nvdimm.BUS, entry["name"])) or None,
                              region=region[0] if region else None))
        return found

    @functools.cached_property
    def nvdimm_regions(self):
        found = []
        for name in self.host.listdir(nvdimm.BUS):
            base = "%s/%s" % (nvdimm.BUS, name)
            size = self.number(base + "/size")
            if not re.fullmatch("region[0-9]+", name) or not size:
                continue
            # 32 NVDIMMs are the most that a region has (include/linux/libnvdimm.h: ND_MAX_MAPPINGS).
            mappings = [self.host.read_optional("%s/mapping%d" % (base, position)) for position in range(min(self.number(base + "/mappings") or 0, 32))]
            dimms = [mapping.split(",")[0] for mapping in mappings if mapping]
            handles = [self.host.read_optional("%s/%s/nfit/handle" % (nvdimm.BUS, dimm)) or dimm for dimm in dimms]
            found.append(NvdimmRegion(name, size, self.number(base + "/align"), self.number(base + "/nstype") != 4, tuple(handles)))
        return found

    @functools.cached_property
    def hot_added(self):
        """True where the machine has anything that could become memory."""
        return bool(self.dax or self.memory_devices or self.nvdimm_regions)

    def device_blocks(self, device):
        """The memory blocks that exist of a device which kmem has; for others see :attr:`left_behind`."""
        if device.driver != "kmem" or not self.block_size:
            return []
        return [self.blocks[number] for number in self.whole_blocks(device) if number in self.blocks]

    @functools.cached_property
    def left_behind(self):
        """``{name of a dax device that no driver has: its memory blocks}``. Memory whose device is gone, too, goes by its region's name, or where there is
        none, by :data:`physical_map.HOT_ADDED`.
        """
        # Memory of a device with unknown ranges would look as if the device were gone.
        if not self.block_size or any(device.ranges is None for device in self.dax):
            return {}
        found, bound = {}, {device.name for device in self.dax if device.driver}
        for number, name in sorted(devices.owners(self.host, self.dax, self.blocks, self.block_size).items()):
            if name not in bound:
                key = self._region_at(number * self.block_size) or name if name == physical_map.HOT_ADDED else name
                found.setdefault(key, []).append(self.blocks[number])
        return found

    def _region_at(self, address):
        return next((region.name for region in self.regions if region.start is not None and region.start <= address < region.start + region.size), None)

    def whole_blocks(self, device):
        """Ids of all blocks that lie wholly in a device."""
        return [number for start, size in device.ranges or () for number in memory_blocks.blocks_of_range(start, size, self.block_size)]

    # identity

    @functools.cached_property
    def serials(self):
        """``{serial: how many memory devices have it}``"""
        return collections.Counter([device.serial for device in self.memory_devices])

    def name_of(self, device):
        """A memory device as an inventory names it: by serial number where that is one, else by PCI address."""
        return "%#x" % device.serial if device.serial and self.serials[device.serial] == 1 else device.pci

    def members(self, names):
        """Kernel names of memory devices -> subject."""
        known = {device.name: device for device in self.memory_devices}
        return {"memory_devices": [self.name_of(known[name]) for name in names if name in known]}

    def subject(self, device):
        """What a dax device belongs to, in words that survive a reboot."""
        origin = self.origins[device.name]
        # Before the memory devices: persistent CXL memory has both.
        if origin["namespace"]:
            return self.namespace_subject(next(entry for entry in self.namespaces if entry["name"] == origin["namespace"]["name"]))
        if origin["memory_devices"]:
            return self.members([member["name"] for member in origin["memory_devices"]])
        if device.ranges:
            return {"soft_reserved": "%#x" % device.ranges[0][0]}
        return {"dax_device": device.name}

    def namespace_subject(self, entry):
        """By the label's name or the uuid; a namespace that has neither, by its NVDIMMs."""
        if entry["alias"] or entry["uuid"]:
            return {"namespace": entry["alias"] or entry["uuid"]}
        region = next((region for region in self.nvdimm_regions if region.name == entry["region"]), None)
        return self.nvdimm_subject(region) if region else {"namespace": entry["name"]}

    def nvdimm_subject(self, region):
        """By its NVDIMMs; persistent memory that the firmware or the command line tells of alone (e820 type 12, memmap=) has none, and is at an address."""
        if region.nvdimms:
            return {"nvdimms": list(region.nvdimms)}
        start = self.number("%s/%s/resource" % (nvdimm.BUS, region.name))
        return {"host": "persistent memory at %s" % ("an unknown address" if start is None else "%#x" % start)}

    def wanted_of(self, device):
        """What is declared for a dax device, or ``None``."""
        return next((entry for entry in self.wanted if device.name in self.dax_of(entry)), None)

    def memory_devices_of(self, entry):
        """The memory devices that a declared entry names, in its order; ``None`` for one that is not there or not one."""
        found = []
        for wanted in entry.memory_devices:
            alike = [device for device in self.memory_devices if wanted in (device.serial, device.pci)]
            found.append(alike[0] if len(alike) == 1 else None)
        return found

    def region_of(self, entry):
        """The CXL region of exactly the declared memory devices and of the declared kind, or ``None``."""
        names = tuple(device.name if device else None for device in self.memory_devices_of(entry))
        # Kernels before 6.3 do not tell a region's kind.
        return next((region for region in self.regions if names and region.members == names and region.mode in (entry.entry.type, "none")), None)

    def namespaces_of(self, entry):
        """The namespaces that a declared entry means: by the label's name or uuid, or the info block's uuid."""
        return [space for space in self.namespaces if entry.namespace and entry.namespace in (space["alias"], space["uuid"], space["label_uuid"])]

    def dax_of(self, entry):
        """Names of the dax devices that a declared entry means, as far as they exist."""
        if entry.memory_devices and not entry.namespace:
            region = self.region_of(entry)
            return region.dax if region else ()
        if entry.namespace:
            names = [space["name"] for space in self.namespaces_of(entry)]
            return tuple(name for name, origin in self.origins.items() if origin["namespace"] and origin["namespace"]["name"] in names)
        return tuple(device.name for device in self.dax if device.ranges and device.ranges[0][0] == entry.soft_reserved
                     and self.origins[device.name]["namespace"] is None and not self.origins[device.name]["memory_devices"])

    # firmware and kernel

    @functools.cached_property
    def physical_map(self):
        """What :func:`.physical_map.read` finds."""
        found = physical_map.read(self.host)
        if found is None:
            self._unseen[physical_map.IOMEM] = "its addresses are for root only, or it was not recorded"
        return found

    @functools.cached_property
    def processor_flags(self):
        """Flags of the first processor, or ``None`` where there are none to read (other processors than x86 have none)."""
        for line in (self.text(CPUINFO) or "").splitlines():
            if line.startswith("flags"):
                return frozenset(line.partition(":")[2].split())
        return None

    @functools.cached_property
    def boot_words(self):
        return (self.text(CMDLINE) or "").split()

    @functools.cached_property
    def release(self):
        return self.host.read_optional(kernel.OSRELEASE) or ""

    @functools.cached_property
    def config_file(self):
        """The file with the kernel's configuration, or ``None``."""
        names = ("/proc/config.gz", "/boot/config-%s" % self.release, "/lib/modules/%s/config" % self.release)
        found = next((name for name in names if self.host.exists(name)), None)
        if found is None:
            self._unseen[names[1]] = "the kernel's configuration is neither there nor in /proc/config.gz"
        return found

    @property
    def config_name(self):
        """The same for evidence: where it would be, when there is none."""
        return self.config_file or "/boot/config-%s" % self.release

    @functools.cached_property
    def configuration(self):
        """The kernel's configuration as text; empty where there is none, or a damaged one."""
        try:
            content = self.host.read_bytes(self.config_file) if self.config_file else b""
            return (gzip.decompress(content) if (self.config_file or "").endswith(".gz") else content).decode("utf-8", "replace")
        except (TestbedError, OSError, EOFError, zlib.error) as exc:
            self._unseen[self.config_file] = str(exc)
            return ""

    @functools.cached_property
    def _options(self):
        return dict(re.findall(r"^(CONFIG_[A-Z0-9_]+)=(.*)$", self.configuration, re.MULTILINE))

    def option(self, name):
        """``y``, ``m`` or ``n``; ``None`` where the configuration cannot be read."""
        return self._options.get("CONFIG_" + name, "n") if self._options else None

    @functools.cached_property
    def modules(self):
        """Names of the modules that are installed or built in, with ``_``; ``None`` where no list of them can be read."""
        lists = [self.host.read_optional("/lib/modules/%s/%s" % (self.release, name)) for name in ("modules.dep", "modules.builtin")]
        if not any(lists):
            self._unseen["/lib/modules/%s/modules.dep" % self.release] = "absent or not recorded"
            return None
        lines = [line.split(":")[0] for text in lists if text for line in text.splitlines()]
        return frozenset(re.sub(r"[.]ko([.][a-z0-9]+)?$", "", line.rpartition("/")[2]).replace("-", "_") for line in lines)

    def loaded(self, module):
        """True for a module that is loaded, or built in and shows itself in /sys/module."""
        return self.host.exists("/sys/module/" + module)
