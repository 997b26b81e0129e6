# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How large things are: a page, its struct page, a memory block, and the memmap of a block."""
from __future__ import annotations

import collections


class Geometry(collections.namedtuple("Geometry", ("page_size", "struct_page", "block_size", "pageblock", "padded"))):
    """``page_size``, ``struct_page``, ``block_size`` in bytes; ``struct_page`` is ``None`` where nothing tells it.

    ``pageblock``: pages of a pageblock, the unit in which the kernel groups pages by mobility.
    ``padded``: memmap_on_memory=force, under which the kernel reserves whole pageblocks (6.6 to 7.3).
    """

    __slots__ = ()

    @property
    def pages(self):
        """Pages per block."""
        return self.block_size // self.page_size

    @property
    def memmap(self):
        """Bytes of struct pages per block: 1/64 of it at 64 bytes per 4 KiB page."""
        return self.pages * self.struct_page

    @property
    def reserved(self):
        """Pages that a self-hosted block keeps for its memmap (kernel: mm/memory_hotplug.c: memory_block_memmap_on_memory_pages)."""
        pages = -(-self.memmap // self.page_size)
        return -(-pages // self.pageblock) * self.pageblock if self.padded else pages
