# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What memory costs in struct pages."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size


def memmap_cost(size, page_size=4096, struct_page_size=64):
    """Bytes of memmap for ``size`` bytes of memory: one struct page for each page begun.

    :arg size, page_size, struct_page_size: bytes, or text as :func:`parse_size` takes it.
    Raises :class:`TestbedError` for what is no size, and for a page that is not a power of two.
    """
    page, struct_page = parse_size(page_size, "page_size"), parse_size(struct_page_size, "struct_page_size")
    if page == 0 or page & (page - 1):
        raise TestbedError("page_size is not a power of two: %d" % page)
    if struct_page == 0:
        raise TestbedError("struct_page_size is 0")
    return -(-parse_size(size) // page) * struct_page
