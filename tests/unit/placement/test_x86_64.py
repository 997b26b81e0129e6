# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the memmap begins, from kcore's program headers alone."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import Segment
from ansible_collections.memlab.testbed.plugins.module_utils.placement.x86_64 import vmemmap_base
from ansible_collections.memlab.testbed.tests.synthetic.kcore import DIRECT_MAP, TEXT, VMEMMAP

MIB = 1 << 20
VMALLOC = Segment(0xFFFFC90000000000, None, 1 << 45, 0)
KERNEL_TEXT = Segment(TEXT, 16 * MIB, 32 * MIB, 0)


def headers(ram, base, move=0):
    """Segments of a kernel that has RAM at ``ram`` (first page, pages), each run's memmap apart from the others'."""
    found = [VMALLOC, KERNEL_TEXT]
    for first, pages in ram:
        found.append(Segment(DIRECT_MAP[4] + move + first * 4096, first * 4096, pages * 4096, 0))
        start, end = base + first * 64 & ~4095, base + (first + pages) * 64 + 4095 & ~4095
        found.append(Segment(start, None, end - start, 0))
    return found


def test_the_kernels_own_word_comes_first():
    assert vmemmap_base(123, [], 64) == 123


@given(strategies.lists(strategies.tuples(strategies.integers(16, 1 << 16), strategies.integers(256, 1 << 20)), min_size=2, max_size=6),
       strategies.integers(0, 1000), strategies.integers(0, 1000))
def test_runs_of_ram_give_it_away(gaps, moved, slid):
    ram, place = [], 0
    for gap, pages in gaps:
        ram.append((place + gap, pages))
        # Neighbours far enough apart not to share a page of memmap: those that do are tested below.
        place += gap + pages + 64
    base = VMEMMAP[4] + (moved << 30)
    assert vmemmap_base(None, headers(ram, base, slid << 30), 64) == base


def test_small_runs_between_firmware_tables_go_without():
    # 6.1 booted by UEFI with 2 GiB: RAM and the memmaps in kcore as seen there, the latter as offsets from their base. 0x808000's is not there.
    ram = [(0x1000, 0x9f000), (0x100000, 0x706000), (0x808000, 0x8000), (0x900000, 0x7e18a000), (0x7eb8c000, 0x960000), (0x7f7fe000, 0x6ee000)]
    memmaps = [(0x0, 0x3000), (0x4000, 0x1d000), (0x24000, 0x1f87000), (0x1fae000, 0x26000), (0x1fdf000, 0x1d000)]
    segments = [Segment(DIRECT_MAP[4] + start, start, size, 0) for start, size in ram] + [Segment(VMEMMAP[4] + start, None, size, 0) for start, size in memmaps]
    assert vmemmap_base(None, [VMALLOC, KERNEL_TEXT] + segments, 64) == VMEMMAP[4]


def test_a_memmap_is_cut_off_where_an_earlier_one_begins():
    # The second run lies below the first and ends in the page of memmap in which that begins.
    segments = [Segment(DIRECT_MAP[4] + page * 4096, page * 4096, pages * 4096, 0) for page, pages in ((0x1010, 0x4000), (0x800, 0x808))]
    memmaps = [Segment(VMEMMAP[4] + start, None, end - start, 0) for start, end in ((0x40000, 0x141000), (0x20000, 0x40000))]
    assert vmemmap_base(None, segments + memmaps, 64) == VMEMMAP[4]


@pytest.mark.parametrize("segments, count", [
    ([VMALLOC, KERNEL_TEXT], 0),
    (headers([(256, 1 << 18)], VMEMMAP[4]) + [Segment(VMEMMAP[4] + (8 << 30) + 256 * 64, None, 64 << 18, 0)], 2)])
def test_none_or_two_are_no_answer(segments, count):
    with pytest.raises(TestbedError, match="%d candidates" % count):
        vmemmap_base(None, segments, 64)


def test_no_ram():
    with pytest.raises(TestbedError, match="no RAM"):
        vmemmap_base(None, [VMALLOC], 64)
