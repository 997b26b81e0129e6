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

# first: word of the block's first page; run: how many pages in a row have it, counted up to one more than reserved; following: the word after the run
Flags = collections.namedtuple("Flags", ("first", "run", "following"))

SELF = "self"
NOT_SELF = "not self"

_WORD = struct.Struct("<Q")


def read_flags(host, blocks, geometry):
    """``{block id: Flags}`` of the online blocks. Raises :class:`TestbedError` saying why there is no telling."""
    wanted = geometry.reserved
    size = _WORD.size * (wanted + 1)
    stride = _WORD.size * geometry.pages
    expected = [(_WORD.pack(marker) * wanted, marker) for marker in MARKERS]
    found = {}
    try:
        stream = host.open_binary(KPAGEFLAGS)
    except OSError as exc:
        raise TestbedError(refusal(host, KPAGEFLAGS, exc, "CAP_SYS_ADMIN", "CONFIG_PROC_PAGE_MONITOR"))
    with stream:
        for number, block in blocks.items():
            if not block.online:
                continue
            try:
                data = stream.read_at(number * stride, size)
            except OSError as exc:
                raise TestbedError("cannot read %s (%s)" % (KPAGEFLAGS, errno_name(exc.errno)))
            if len(data) < _WORD.size:
                continue  # beyond the end of the file: the block was removed meanwhile
            for run, marker in expected:
                if data.startswith(run) and len(data) == size:
                    following = _WORD.unpack_from(data, size - _WORD.size)[0]
                    found[number] = Flags(marker, wanted if following != marker else wanted + 1, following)
                    break
            else:
                found[number] = _leading(data)
    return found


def _leading(data):
    """:class:`Flags` of the words in ``data``."""
    words = [word for (word,) in _WORD.iter_unpack(data[:len(data) // _WORD.size * _WORD.size])]
    run = 1
    while run < len(words) and words[run] == words[0]:
        run += 1
    return Flags(words[0], run, words[run] if run < len(words) else None)


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
