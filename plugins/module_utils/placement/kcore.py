# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""/proc/kcore: the running kernel's memory as an ELF core file.

Read with CAP_SYS_RAWIO; refused under lockdown=confidentiality. The program headers are made at open(2), so a file opened before a hot-add
does not know the added memory. Kernel: fs/proc/kcore.c, 6.1 to 7.3.
"""
from __future__ import annotations

import collections
import errno
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.placement.vmcoreinfo import Vmcoreinfo

KCORE = "/proc/kcore"
LOCKDOWN = "/sys/kernel/security/lockdown"
EM_X86_64 = 62

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
_PT_LOAD, _PT_NOTE = 1, 4
# p_paddr of what is not plain RAM: vmalloc, modules, vmemmap (kcore.c: elf_kcore_write_headers).
_NO_PHYSICAL = (1 << 64) - 1

# Headers of 65,535 segments are less, as are the notes.
_LARGEST_READ = 1 << 22

# virtual, physical (None: not plain RAM), size in bytes, offset in the file
Segment = collections.namedtuple("Segment", ("virtual", "physical", "size", "offset"))


class Kcore(object):
    """An opened kcore: ``machine`` (ELF number), ``segments``, ``vmcoreinfo``; reads by virtual or physical address.

    A context manager. Every method raises :class:`TestbedError` with a sentence that says why this kernel's memory cannot be read.
    """

    def __init__(self, host):
        try:
            self._file = host.open_binary(KCORE)
        except OSError as exc:
            raise TestbedError(refusal(host, KCORE, exc, "CAP_SYS_RAWIO", "CONFIG_PROC_KCORE", "confidentiality"))
        self.segments = []
        self.vmcoreinfo = None
        try:
            self._read_headers()
        except BaseException:
            self._file.__exit__()
            raise
        self._ram = direct_map(self.segments)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._file.__exit__(*unused)

    def read_virtual(self, address, size):
        """``size`` bytes at a kernel virtual address."""
        for segment in self.segments:
            if segment.virtual <= address and address + size <= segment.virtual + segment.size:
                return self._read(segment.offset + address - segment.virtual, size)
        raise TestbedError("%s does not cover an address that the kernel names" % KCORE)

    def read_physical(self, address, size):
        """``size`` bytes at a physical address, through the kernel's direct map."""
        for segment in self._ram:  # a handful of runs
            if segment.physical <= address and address + size <= segment.physical + segment.size:
                return self._read(segment.offset + address - segment.physical, size)
        raise TestbedError("%s does not cover physical address 0x%x: memory was added or removed meanwhile, or the tables are damaged" % (KCORE, address))

    def _read(self, offset, size):
        if offset >= 1 << 63 or size > _LARGEST_READ:
            raise TestbedError("%s is damaged: its headers name a place that no file has" % KCORE)
        try:
            data = self._file.read_at(offset, size)
        except OSError as exc:
            raise TestbedError("%s cannot be read (%s)" % (KCORE, errno_name(exc.errno)))
        if len(data) != size:
            raise TestbedError("%s ended early: %d of %d bytes" % (KCORE, len(data), size))
        return data

    def _read_headers(self):
        header = self._read(0, _HEADER.size)
        fields = _HEADER.unpack(header)
        if header[:6] != b"\x7fELF\x02\x01":
            raise TestbedError("%s is not a 64-bit little-endian ELF file" % KCORE)
        self.machine = fields[2]
        offset, entry_size, count = fields[5], fields[9], fields[10]
        if entry_size != _PROGRAM_HEADER.size:
            raise TestbedError("%s has program headers of %d bytes" % (KCORE, entry_size))
        headers = self._read(offset, entry_size * count)
        for kind, unused, place, virtual, physical, size, unused2, unused3 in _PROGRAM_HEADER.iter_unpack(headers):
            if kind == _PT_LOAD:
                self.segments.append(Segment(virtual, None if physical == _NO_PHYSICAL else physical, size, place))
            elif kind == _PT_NOTE:
                text = _note(self._read(place, size), b"VMCOREINFO")
                if text is not None:
                    self.vmcoreinfo = Vmcoreinfo(text.decode("ascii", "replace"))
        if self.vmcoreinfo is None:
            raise TestbedError("%s has no VMCOREINFO note" % KCORE, remedy="it needs CONFIG_VMCORE_INFO (before 6.9: CONFIG_CRASH_CORE)")


def direct_map(segments):
    """The segments that are RAM seen through the direct map, which lies below the second mapping of the kernel's own text."""
    ram = [segment for segment in segments if segment.physical is not None]
    shift = min([segment.virtual - segment.physical for segment in ram], default=0)
    return [segment for segment in ram if segment.virtual - segment.physical == shift]


def _note(notes, wanted):
    """Contents of the note called ``wanted`` in a PT_NOTE segment, or ``None``."""
    place = 0
    while place + _NOTE.size <= len(notes):
        name_size, size, unused = _NOTE.unpack_from(notes, place)
        place += _NOTE.size
        name = notes[place:place + name_size].rstrip(b"\0")
        place += (name_size + 3) & ~3
        if name == wanted:
            return notes[place:place + size].rstrip(b"\0")
        place += (size + 3) & ~3
    return None


def refusal(host, name, exc, capability, option, lockdown=None):
    """Why the kernel did not let us open a file, in words.

    :arg exc: the ``OSError``. :arg capability: what it takes. :arg option: the kernel option that makes the file.
    :arg lockdown: the lockdown level that closes the file, where one does.
    """
    if exc.errno == errno.ENOENT:
        return "there is no %s (kernel without %s, or a tree that was recorded without it)" % (name, option)
    if exc.errno in (errno.EPERM, errno.EACCES):
        if lockdown and "[%s]" % lockdown in (host.read_optional(LOCKDOWN) or ""):
            return "kernel lockdown (%s) closes %s" % (lockdown, name)
        return "%s needs root (%s)" % (name, capability)
    return "cannot open %s (%s)" % (name, errno_name(exc.errno))
