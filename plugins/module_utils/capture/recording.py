# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recording what memlab.testbed.memmap_facts, memlab.testbed.memory_doctor and memlab.testbed.testbed_twin read on a machine, as one archive.

Recorded: memory blocks, nodes, zones, dax, CXL and NVDIMM objects below /sys and /proc, serial numbers of memory devices among them, and of the
kernel's memory what the proofs found there (see module_utils/placement/capture.py); firmware's map of memory and its tables of CXL host bridges and
windows, nodes and what lies between them (CEDT, SRAT, HMAT); of PCI the functions below CXL host bridges; of the processors the first one's flags; of
the kernel's configuration, modules and command line what is about memory devices; the declaration for the next boot. Not recorded: kernel virtual
addresses, page tables, host name.
"""
from __future__ import annotations

import fnmatch
import gzip
import io
import os
import re
import stat
import struct
import tarfile

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot.declared_file import PATH as DECLARED
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import PCI, Readings
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.windows import CXL_MEMORY_CLASS
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import capture, kernel, page_flags, page_tables

# Read as they are. A star stands for one part of a path.
FILES = (
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/arch",
    "/proc/meminfo",
    "/proc/zoneinfo",
    "/sys/devices/system/memory/block_size_bytes",
    "/sys/devices/system/memory/auto_online_blocks",
    "/sys/devices/system/memory/memory*/state",
    "/sys/devices/system/memory/memory*/valid_zones",
    "/sys/devices/system/memory/memory*/removable",
    "/sys/devices/system/node/node*/memory*",
    "/sys/devices/system/node/node*/meminfo",
    "/sys/devices/system/node/node*/cpulist",
    "/sys/devices/system/node/node*/distance",
    "/sys/devices/system/node/node*/access0/initiators/*",
    "/sys/module/memory_hotplug/parameters/*",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/security/lockdown",
    "/sys/bus/dax/drivers_autoprobe",
    "/sys/bus/dax/devices/*",
    "/sys/bus/dax/drivers/*/*",
    "/sys/bus/cxl/devices/*",
    "/sys/bus/cxl/drivers/*/*",
    "/sys/bus/nd/devices/*",
    "/sys/bus/nd/drivers/*/*",
    "/sys/bus/acpi/devices/ACPI0017:*",
    "/sys/firmware/memmap/*/*",
)
# Whole directories: devices, with what is below them, are wherever the links on their bus lead.
DEVICES = ("/sys/bus/dax/devices", "/sys/bus/cxl/devices", "/sys/bus/nd/devices")
DEPTH = 3
ACPI = "/sys/bus/acpi/devices"
# Reading wait_probe waits for the bus; power/ and the others say nothing of memory.
LEFT_OUT = frozenset(("power", "firmware", "wait_probe", "CDAT", "firmware_node", "of_node"))
LARGEST = 1 << 20
# That they are there says what firmware describes. Of these the contents count, too; NFIT is recorded as an empty file.
ACPI_TABLES = ("CEDT", "HMAT", "NFIT", "SRAT")
ACPI_CONTENTS = ("CEDT", "HMAT", "SRAT")
ACPI_HOST_BRIDGE = "ACPI0016:"
# The kernel's modules and options that are about memory devices.
MODULES = re.compile(r"(^|/)(kmem|dax|device_dax|dax_[a-z]+|cxl_[a-z]+|nd_[a-z]+|libnvdimm|nfit|hmem)[.]ko")
LOADED = ("kmem", "device_dax", "dax_cxl", "dax_pmem", "dax_hmem", "cxl_acpi", "cxl_pci", "cxl_mem", "cxl_port", "cxl_pmem", "cxl_core",
          "nd_pmem", "libnvdimm", "nfit")
OPTIONS = re.compile(r"^(# )?CONFIG_(CXL|DAX|DEV_DAX|FS_DAX|LIBNVDIMM|NVDIMM|ND|BLK_DEV_PMEM|ACPI_(NFIT|HMAT|NUMA)|MEMORY_HOT|MHP|ZONE_DEVICE|EFI_SOFT)"
                     r"[A-Z0-9_]*\b")
MEMORY_WORDS = re.compile(r"^(memory_hotplug\.|memhp_|memmap=|mem=|efi=|hugetlb|movable_node|movablecore|kernelcore|numa|dax|cxl|nd_|libnvdimm|efi_fake_mem)")


class Recording(object):
    """Entries of the archive to be: ``{path: bytes}`` and ``{path: target of a symbolic link}``."""

    def __init__(self, host):
        self.host = host
        self.files = {}
        self.links = {}

    def glob(self, pattern, done=""):
        """Record everything that fits ``pattern``, from the directory ``done`` on."""
        head, unused, rest = pattern.lstrip("/").partition("/")
        names = fnmatch.filter(self.host.listdir(done or "/"), head) if "*" in head else [head]
        for name in names:
            if rest:
                self.glob(rest, done + "/" + name)
            else:
                self.entry(done + "/" + name)

    def entry(self, name):
        """Record one file or link; what cannot be read is left out, as it would be for any reader."""
        path = self.host.path(name)
        try:
            kind = os.lstat(path).st_mode
            if stat.S_ISLNK(kind):
                self.links[name] = os.readlink(path)
            elif stat.S_ISREG(kind) and kind & 0o444:
                with open(path, "rb") as stream:
                    self.files[name] = stream.read(LARGEST)
        except OSError:
            return

    def tree(self, name, depth=DEPTH):
        """Record a device's directory."""
        for entry in self.host.listdir(name):
            place = name + "/" + entry
            if entry in LEFT_OUT or place in self.files or place in self.links:
                continue
            self.entry(place)
            path = self.host.path(place)
            if depth and os.path.isdir(path) and not os.path.islink(path):
                self.tree(place, depth - 1)

    def archive(self):
        """The same machine in the same state gives the same bytes."""
        content = io.BytesIO()
        # without the time, which gzip would write at its beginning
        with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            for name in sorted(list(self.files) + list(self.links)):
                member = tarfile.TarInfo("." + name)
                member.mode = 0o644
                if name in self.links:
                    member.type, member.linkname = tarfile.SYMTYPE, self.links[name]
                else:
                    member.size = len(self.files[name])
                archive.addfile(member, io.BytesIO(self.files.get(name, b"")))
        return content.getvalue()


def record(host):
    """:class:`Recording` of a machine. Raises :class:`TestbedError` where it has no memory blocks."""
    recording = Recording(host)
    for pattern in FILES:
        recording.glob(pattern)
    for directory in DEVICES:
        for name in host.listdir(directory):
            recording.tree(host.resolve(directory + "/" + name))
    _firmware_and_kernel(host, recording)
    recording.files["/proc/cmdline"] = _memory_words(host.read_optional("/proc/cmdline") or "")
    recording.files["/proc/iomem"] = _physical_map(host.read_optional("/proc/iomem") or "")
    if host.exists(DECLARED):
        recording.entry(DECLARED)
    recording.files[capture.RECORD] = _evidence(host).encode("ascii")
    return recording


def _firmware_and_kernel(host, recording):
    """What tells why devices are not there: PCI functions of CXL memory, ACPI's part, the processor's flags, the kernel's configuration and modules."""
    for address in host.listdir(PCI):
        if (host.read_optional("%s/%s/class" % (PCI, address)) or "").startswith(CXL_MEMORY_CLASS):
            place = host.resolve("%s/%s" % (PCI, address))
            for name in ("%s/%s" % (PCI, address), place + "/class", place + "/driver"):
                recording.entry(name)
    for name in ("/sys/bus/platform/devices/ACPI0017:00", host.resolve("/sys/bus/platform/devices/ACPI0017:00") + "/driver"):
        recording.entry(name)
    _host_bridges(host, recording)
    for table in ACPI_TABLES:
        name = "/sys/firmware/acpi/tables/" + table
        if host.exists(name):
            recording.files[name] = _table(host, name, table) if table in ACPI_CONTENTS else b""
    for module in LOADED:
        recording.entry("/sys/module/%s/initstate" % module)
    readings = Readings(host)
    if readings.processor_flags is not None:
        recording.files["/proc/cpuinfo"] = ("flags\t\t: %s\n" % " ".join(sorted(readings.processor_flags))).encode("ascii", "replace")
    if readings.configuration:
        recording.files["/boot/config-%s" % readings.release] = _lines(OPTIONS, readings.configuration)
    for name in ("modules.dep", "modules.builtin"):
        name = "/lib/modules/%s/%s" % (readings.release, name)
        text = host.read_optional(name)
        if text is not None:
            # A module's own line; the modules it needs stand behind the colon.
            recording.files[name] = _lines(MODULES, "\n".join(line.split(":")[0] + ":" * (":" in line) for line in text.splitlines()))


def _host_bridges(host, recording):
    """CXL host bridges, and below each of them all PCI functions by their class alone: ports, those that nothing is in among them."""
    bridges = set()
    for name in host.listdir(ACPI):
        if name.startswith(ACPI_HOST_BRIDGE):
            place = host.resolve("%s/%s" % (ACPI, name))
            for entry in ("%s/%s" % (ACPI, name), place + "/uid", place + "/physical_node"):
                recording.entry(entry)
            bridges.add(host.link_name(place + "/physical_node"))
    for address in host.listdir(PCI):
        target = host.link_target("%s/%s" % (PCI, address)) or ""
        if bridges.intersection(target.split("/")):
            recording.entry("%s/%s" % (PCI, address))
            recording.entry(host.resolve("%s/%s" % (PCI, address)) + "/class")


def _table(host, name, signature):
    """An ACPI table's bytes; none where it cannot be read, or is something else than its name says."""
    try:
        content = host.read_bytes(name)[:LARGEST]
    except TestbedError:
        return b""
    whole = len(content) >= 36 and content[:4] == signature.encode("ascii") and struct.unpack_from("<I", content, 4)[0] == len(content)
    return content if whole else b""


def _lines(expression, text):
    return "".join(line + "\n" for line in text.splitlines() if expression.search(line)).encode("utf-8")


def _evidence(host):
    earlier = capture.load(host)
    size = block_size(host)
    blocks = read_blocks(host)
    geometry = kernel.read_geometry(host, size, earlier.struct_page if earlier else None)
    walk = _attempt(earlier.leaves if earlier else lambda: page_tables.read_leaves(host, list(blocks), size))
    if not geometry.struct_page:
        flags = TestbedError("the size of struct page is not known")
    else:
        flags = _attempt(earlier.flags if earlier else lambda: page_flags.read_flags(host, blocks, geometry))
    return capture.dump(geometry.struct_page, walk, flags)


def _attempt(action):
    try:
        return action()
    except TestbedError as exc:
        return exc


def _memory_words(line):
    """Of the kernel's command line only what is about memory: the rest may hold secrets."""
    return (" ".join(word for word in line.split() if MEMORY_WORDS.match(word)) + "\n").encode("utf-8")


def _physical_map(text):
    """/proc/iomem without the lines that tell where the kernel itself lies (Kernel code, data, bss)."""
    return "".join(line + "\n" for line in text.splitlines() if " : Kernel " not in line).encode("utf-8")
