# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Firmware's tables of CXL windows (CEDT), of nodes (SRAT) and of what lies between nodes (HMAT).

ACPI 6.5, 5.2.16 (SRAT) and 5.2.28 (HMAT); CXL 3.1, 9.18.1 (CEDT). Linux numbers nodes in the order in which their proximity domains first
appear in the SRAT, processors and generic initiators before memory (drivers/acpi/numa/srat.c, 6.1 to 7.3).
"""
from __future__ import annotations

import collections
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

TABLES = "/sys/firmware/acpi/tables"
CEDT, SRAT, HMAT = ("%s/%s" % (TABLES, name) for name in ("CEDT", "SRAT", "HMAT"))
WAYS = {0: 1, 1: 2, 2: 4, 3: 8, 4: 16, 8: 3, 9: 6, 10: 12}
# What a window lets in (CFMWS, Window Restrictions), by bit.
TYPE2, TYPE3, VOLATILE, PERSISTENT, FIXED = (1 << bit for bit in range(5))
UNREACHABLE = 0xffff
MIB = 1 << 20

# bytes from start on; granularity in bytes; restrictions as bits; False for interleaving by exclusive or; ACPI uids of the host bridges
Window = collections.namedtuple("Window", "start size granularity restrictions modulo uids")
# (initiator, target), both proximity domains -> nanoseconds, bytes per second, either of them None; whether writing differs from reading;
# number of memory-side caches
Figures = collections.namedtuple("Figures", "ways asymmetric caches")


def _structures(host, name, start, head):
    """(type, bytes) of each structure in a table; none where the table was not recorded."""
    content = host.read_bytes(name) if host.exists(name) else b""
    offset = start
    try:
        while offset < len(content):
            kind, length = head(content, offset)
            if length < 4 or offset + length > len(content):
                raise TestbedError("%s is damaged: a structure at %d has %d bytes" % (name, offset, length))
            yield kind, content[offset:offset + length]
            offset += length
    except struct.error as exc:
        raise TestbedError("%s is damaged (%s)" % (name, exc))


def _byte_head(content, offset):
    return struct.unpack_from("<BB", content, offset)


def _cedt_head(content, offset):
    return struct.unpack_from("<BxH", content, offset)


def _hmat_head(content, offset):
    return struct.unpack_from("<HxxI", content, offset)


def windows(host):
    """All :class:`Window` of the CEDT, in its order. Raises :class:`TestbedError` for a damaged table."""
    found = []
    for kind, content in _structures(host, CEDT, 36, _cedt_head):
        if kind != 1:
            continue
        start, size, ways, arithmetic, granularity, restrictions = struct.unpack_from("<QQBBxxIH", content, 8)
        if ways not in WAYS or granularity > 6 or not size:
            raise TestbedError("%s is damaged: the window at %#x has %d ways, granularity %d and %d bytes" % (CEDT, start, ways, granularity, size))
        found.append(Window(start, size, 256 << granularity, restrictions, arithmetic == 0, struct.unpack_from("<%dI" % WAYS[ways], content, 36)))
    return found


def domains(host):
    """Proximity domains in the order of the kernel's node numbers; empty where there is no SRAT."""
    found = _affinities(host)
    return list(dict.fromkeys([domain for kind, domain in found if kind != 1] + [domain for kind, domain in found if kind == 1]))


def initiators(host):
    """Proximity domains of generic initiators, such as accelerators, in which there are neither processors nor memory (ACPI 6.3, 5.2.16.6)."""
    found = _affinities(host)
    return sorted({domain for kind, domain in found if kind == 5}.difference(domain for kind, domain in found if kind != 5))


def _affinities(host):
    """(kind of structure, domain) of those that are enabled: processors (0, 2), memory (1), generic initiators (5)."""
    found = []
    for kind, content in _structures(host, SRAT, 48, _byte_head):
        if kind == 0 and struct.unpack_from("<I", content, 4)[0] & 1:
            found.append((kind, content[2] | content[9] << 8 | content[10] << 16 | content[11] << 24))
        elif kind == 1 and struct.unpack_from("<I", content, 28)[0] & 1:
            found.append((kind, struct.unpack_from("<I", content, 2)[0]))
        elif kind == 2 and struct.unpack_from("<I", content, 12)[0] & 1 or kind == 5 and struct.unpack_from("<I", content, 24)[0] & 1:
            found.append((kind, struct.unpack_from("<I", content, 4)[0]))
    return found


def figures(host):
    """:class:`Figures` of the HMAT: reading's where reading and writing differ. Raises :class:`TestbedError` for a damaged table."""
    found, caches = collections.defaultdict(dict), 0
    for kind, content in _structures(host, HMAT, 40, _hmat_head):
        caches += kind == 2
        if kind != 1 or content[8] & 0xf:
            continue
        initiators, targets = struct.unpack_from("<II", content, 12)
        base = struct.unpack_from("<Q", content, 24)[0]
        if 32 + 4 * (initiators + targets) + 2 * initiators * targets > len(content):
            raise TestbedError("%s is damaged: %d initiators and %d targets do not fit in a structure of %d bytes" % (
                HMAT, initiators, targets, len(content)))
        names = struct.unpack_from("<%dI" % (initiators + targets), content, 32)
        entries = struct.unpack_from("<%dH" % (initiators * targets), content, 32 + 4 * len(names))
        for index, entry in enumerate(entries):
            if entry not in (0, UNREACHABLE):
                way = names[index // targets], names[initiators + index % targets]
                found[content[9]][way] = entry * base
    ways = {}
    for way in sorted(set().union(*found.values())):
        latency, bandwidth = (next((found[kind][way] for kind in kinds if way in found[kind]), None) for kinds in ((0, 1, 2), (3, 4, 5)))
        ways[way] = (None if latency is None else max(1, round(latency / 1000)), None if bandwidth is None else bandwidth * MIB)
    asymmetric = any(found[one].get(way) != found[other].get(way) for one, other in ((1, 2), (4, 5)) for way in set(found[one]) | set(found[other]))
    return Figures(ways, asymmetric, caches)
