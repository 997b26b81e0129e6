# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What physical addresses lead to, as the kernel sees it: /proc/iomem."""
from __future__ import annotations

import collections
import re

IOMEM = "/proc/iomem"
SYSTEM_RAM = "System RAM"
SOFT_RESERVED = "Soft Reserved"

# first and last byte; the kernel's word for the range; the words of the ranges around it
Range = collections.namedtuple("Range", "first last name around")

_LINE = re.compile(r"^( *)([0-9a-f]+)-([0-9a-f]+) : (.*)$")


def read(host):
    """The list of :class:`Range`, outer ones first, or ``None`` where there is none to read: to anybody but root all addresses read as zero."""
    found, around = [], []
    for line in (host.read_optional(IOMEM) or "").splitlines():
        parts = _LINE.match(line)
        if parts:
            depth = len(parts.group(1)) // 2
            del around[depth:]
            found.append(Range(int(parts.group(2), 16), int(parts.group(3), 16), parts.group(4), tuple(around)))
            around.append(parts.group(4))
    return found if any(entry.last for entry in found) else None


def ordinary_ram(ranges, start, size):
    """The :class:`Range` of memory that the kernel uses as RAM since boot and that lies at least in part in the ``size`` bytes from ``start`` on.

    What kmem added has a name of its own, "System RAM (kmem)".
    """
    return [entry for entry in ranges if entry.name == SYSTEM_RAM and entry.first < start + size and entry.last >= start]
