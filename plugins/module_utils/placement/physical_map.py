# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What physical addresses lead to, as the kernel sees it: /proc/iomem."""
from __future__ import annotations

import bisect
import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import blocks_of_range

IOMEM = "/proc/iomem"
SYSTEM_RAM = "System RAM"
SOFT_RESERVED = "Soft Reserved"
HOT_ADDED = "System RAM (kmem)"

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

    What kmem added has a name of its own.
    """
    return [entry for entry in ranges if entry.name == SYSTEM_RAM and entry.first < start + size and entry.last >= start]


def hot_added(host, ids, block_size):
    """Those of the memory blocks ``ids``, a list in ascending order, that kmem has added; none where that cannot be read.

    The name stays until reboot on what the kernel could not take back, whatever becomes of the device (drivers/dax/kmem.c:dev_dax_kmem_remove, 5.8 to 7.3).
    """
    found = []
    for entry in read(host) or ():
        if entry.name == HOT_ADDED:
            whole = blocks_of_range(entry.first, entry.last + 1 - entry.first, block_size)
            found += ids[bisect.bisect_left(ids, whole.start):bisect.bisect_left(ids, whole.stop)]
    return found
