# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pages of a memory block are, as far as that decides whether they can move.

/proc/kpageflags (include/uapi/linux/kernel-page-flags.h): root only, no lockdown check. Only flags that always mean a page that cannot be migrated
are counted; others without a flag of their own may be per-cpu free pages.
"""
from __future__ import annotations

import array

PAGEFLAGS = "/proc/kpageflags"
PAGE = 4096
SLAB, PAGE_TABLE = 1 << 7, 1 << 26


def unmovable(host, block, block_size):
    """``1207 of 32768 pages hold the kernel's own objects, 3 page tables``; ``None`` on a recorded tree, without root, or where there are none."""
    if not host.live:
        return None
    pages = block_size // PAGE
    try:
        with host.open_binary(PAGEFLAGS) as stream:
            words = array.array("Q", stream.read_at(block * pages * 8, pages * 8))
    except (OSError, ValueError):
        return None
    slab = sum(1 for word in words if word & SLAB)
    tables = sum(1 for word in words if word & PAGE_TABLE)
    return "%d of %d pages hold the kernel's own objects, %d page tables" % (slab, pages, tables) if slab or tables else None
