# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof by page flags: pages that hold their own block's memmap carry a flag that /proc/kpageflags shows.

Of a self-hosted online block exactly the first ``reserved`` pages carry it. Nothing is said about offline blocks. Where the memmap of a block
without the flag lies, this proof cannot tell. Kernel: mm/memory_hotplug.c: mhp_init_memmap_on_memory (SetPageVmemmapSelfHosted), fs/proc/page.c.
"""
from __future__ import annotations

import collections
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import ONLINE
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import refusal

NAME = "page_flags"
KPAGEFLAGS = "/proc/kpageflags"

# include/uapi/linux/kernel-page-flags.h, include/linux/kernel-page-flags.h
_OWNER_PRIVATE = 1 << 37
_RESERVED = 1 << 32
_NOPAGE = 1 << 20
# The whole word of a page of self-hosted memmap. Until 6.10 hot-added pages were reserved until online and these stayed so; from 6.11 on they
# start as PageOffline instead, and the reserved bit is gone.
MARKERS = (_OWNER_PRIVATE | _RESERVED, _OWNER_PRIVATE)

# first: word of the block's first page; run: where that is a marker, how many pages in a row have it, counted up to one more than reserved, else 0;
# following: the word after the run, or None
Flags = collections.namedtuple("Flags", ("first", "run", "following"))

SELF = "self"
NOT_SELF = "not self"

_WORD = struct.Struct("<Q")
_MARKED = frozenset(_WORD.pack(marker) for marker in MARKERS)


def read_flags(host, blocks, geometry):
    """``{block id: Flags}`` of the online blocks. Raises :class:`TestbedError` saying why there is no telling."""
    wanted = geometry.reserved
    stride = _WORD.size * geometry.pages
    found = {}
    try:
        stream = host.open_binary(KPAGEFLAGS)
    except OSError as exc:
        raise TestbedError(refusal(host, KPAGEFLAGS, exc, "CAP_SYS_ADMIN", "CONFIG_PROC_PAGE_MONITOR"))
    with stream:
        read = stream.read_at
        unmarked = {}  # the word's bytes -> Flags: few words are ever first
        # The kernel works out each word when it is asked, so one word is read first, or all of them after a block that needed all.
        size, whole = _WORD.size, _WORD.size * (wanted + 1)
        for number, block in blocks.items():
            if block.state not in ONLINE:
                continue
            try:
                data = read(number * stride, size)
                first = data[:_WORD.size]
                if first in unmarked:
                    found[number] = unmarked[first]
                    size = _WORD.size
                elif first in _MARKED:
                    if size != whole:
                        size = whole
                        data = read(number * stride, size)
                    found[number] = _count(first, data, wanted)
                elif len(first) == _WORD.size:
                    found[number] = unmarked[first] = Flags(_WORD.unpack(first)[0], 0, None)
                # Shorter: beyond the end of the file, the block was removed meanwhile.
            except OSError as exc:
                raise TestbedError("cannot read %s (%s)" % (KPAGEFLAGS, errno_name(exc.errno)))
    return found


def _count(first, data, wanted):
    """:class:`Flags` of a block whose first page is marked. ``data``: the words of its first ``wanted`` + 1 pages."""
    run = wanted
    if not data.startswith(first * wanted):
        run = 1
        while data.startswith(first, run * _WORD.size):
            run += 1
    elif data.startswith(first, wanted * _WORD.size):
        run += 1
    following = data[run * _WORD.size:(run + 1) * _WORD.size]
    return Flags(_WORD.unpack(first)[0], run, _WORD.unpack(following)[0] if len(following) == _WORD.size else None)


def statement(flags, geometry):
    """What a block's flags say: ``self``, ``not self``, a sentence where they make no sense, or ``None`` where they say nothing."""
    if flags is None or flags.first & _NOPAGE:
        return None
    if flags.first not in MARKERS:
        return NOT_SELF
    if flags.run == geometry.reserved:
        return SELF
    return "%s%d pages carry the mark of self-hosted memmap, %d expected" % (
        "at least " if flags.run > geometry.reserved else "", flags.run, geometry.reserved)
