# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pages of a memory block are, as far as that decides whether they can move.

/proc/kpageflags: root only, no lockdown check. Only pages that never can be migrated are counted; others without a flag of their own may be per-cpu free pages.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import unmovable as pageflags
from ansible_collections.memlab.testbed.plugins.module_utils.placement.x86_64 import PAGE_SIZE


def unmovable(host, block, block_size):
    """``1207 of 32768 pages hold the kernel's own objects, 3 page tables``; ``None`` on a recorded tree, without root, or where there are none."""
    if not host.live:
        return None
    pages = block_size // PAGE_SIZE
    kinds = pageflags.scan(host, [block], pages)[0].get(block, {})
    slab, tables = kinds.get("slab", 0), kinds.get("page table", 0)
    return "%d of %d pages hold the kernel's own objects, %d page tables" % (slab, pages, tables) if slab or tables else None
