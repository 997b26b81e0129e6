# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pages that keep a block from going offline. Page flags are those that a 6.12 guest showed."""
from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import stepwise, unmovable
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

PAGES = 32768
STATE = "/sys/devices/system/memory/memory%d/state"
SELF_HOSTED, BUDDY, SLAB, PAGE_TABLE, ANONYMOUS, MARKED_HEAD = 0x2000000000, 0x400, 0x80, 1 << 26, 0x5828, 1 << 15
GAVE_UP = """\
4,700,1,-;page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:%#x
4,703,2,-;page_type: f5(slab)
4,705,3,-;page dumped because: unmovable page
"""


def flags(host, blocks):
    """/proc/kpageflags with these words at the start of these blocks, holes elsewhere."""
    host.put("/proc/kpageflags", "")
    with open(host.path("/proc/kpageflags"), "r+b") as stream:
        for number, words in blocks.items():
            stream.seek(number * PAGES * 8)
            stream.write(struct.pack("<%dQ" % PAGES, *(list(words) + [BUDDY] * (PAGES - len(words)))))


@pytest.mark.parametrize("word, expected", [
    (SLAB, "slab"), (SLAB | MARKED_HEAD, "slab"), (PAGE_TABLE, "page table"), (1 << 19 | 0x20, "poisoned"), (0, "kernel memory"), (1 << 16, "kernel memory"),
    (BUDDY, None), (ANONYMOUS, None), (SELF_HOSTED, None), (0x2100000000, None), (1 << 20, None), (1 << 17 | 1 << 15, None)])
def test_kinds(word, expected):
    assert unmovable.kind(word) == expected


@given(st.integers(0, (1 << 64) - 1))
def test_any_word_has_an_answer(word):
    assert unmovable.kind(word) in (None, "slab", "page table", "poisoned", "kernel memory")


def test_a_block_that_stays_says_why_and_which_others_will(bound):
    flags(bound, {338: [SELF_HOSTED] * 512 + [0] * 3, 339: [PAGE_TABLE], 340: [ANONYMOUS] * 9, 341: [SELF_HOSTED] * 512 + [SLAB, SLAB]})
    bound.put("/dev/kmsg", "")
    bound.faults[STATE % 341] = [errno.EBUSY]
    real = bound.write

    def write(name, value):
        if name == STATE % 341:
            bound.put("/dev/kmsg", "\n" + GAVE_UP % (341 * PAGES + 512))
        real(name, value)
    bound.write = write
    with pytest.raises(TestbedError, match=r"memory block 341 could not be put offline \(EBUSY\): it holds pages that cannot be moved away") as caught:
        stepwise.apply(bound, [{"memory_devices": ["1"], "state": "offline"}])
    assert caught.value.results[0]["unmovable"] == [
        {"id": 341, "pages": {"slab": 2}, "memmap_of": [], "at": "0xaa8200000", "said": "unmovable page (slab)"},
        {"id": 339, "pages": {"page table": 1}, "memmap_of": [], "at": None, "said": None},
        {"id": 338, "pages": {"kernel memory": 3}, "memmap_of": [], "at": None, "said": None}]
    assert "memory block 341 holds 2 pages of slab; the kernel gave up at 0xaa8200000: unmovable page (slab)" in caught.value.details
    assert "memory block 338 holds 3 pages of kernel memory" in caught.value.details


def test_check_mode_foretells(bound):
    flags(bound, {338: [SLAB], 339: [], 340: [], 341: []})
    planned = stepwise.apply(bound, [{"memory_devices": ["1"], "state": "offline"}], check_mode=True)[1][0]
    assert ([entry["id"] for entry in planned["unmovable"]], planned["unscanned"]) == ([338], 0)
    assert bound.log == []


def test_many_blocks_are_all_looked_at(bound):
    flags(bound, dict.fromkeys(range(300, 340), []) | {300: [SLAB], 339: [PAGE_TABLE]})
    found, unscanned = unmovable.report(bound, None, range(300, 340), [])
    assert ([(entry["id"], entry["pages"]) for entry in found], unscanned) == ([(300, {"slab": 1}), (339, {"page table": 1})], [])


def test_time_that_does_not_do_for_all_blocks(bound, monkeypatch):
    """Each block lasts a second here. Whose memmap lies in a block is known of all of them."""
    flags(bound, dict.fromkeys(range(300, 340), []) | {300: [SLAB], 339: [PAGE_TABLE]})
    ticks = iter(range(1000))
    monkeypatch.setattr(unmovable.time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(unmovable, "memmaps", lambda host, ids: {339: [370]})
    found, unscanned = unmovable.report(bound, None, range(300, 340), [])
    assert [(entry["id"], entry["pages"], entry["memmap_of"]) for entry in found] == [(300, {"slab": 1}, []), (339, {}, [370])]
    assert unscanned == list(range(300 + int(unmovable.BUDGET) - 1, 340))


def test_without_witnesses(bound):
    bound.faults[STATE % 341] = [errno.EBUSY]
    with pytest.raises(TestbedError) as caught:
        stepwise.apply(bound, [{"memory_devices": ["1"], "state": "offline"}])
    assert "memory block 341 holds nothing that could be recognised as unmovable" in caught.value.details
    assert "the pages of 4 of the memory blocks were not looked at" in caught.value.details
    assert (caught.value.results[0]["unmovable"][1:], caught.value.results[0]["unscanned"]) == ([], 4)


def test_memmap_of_others(bound, monkeypatch):
    """Blocks 370 to 372 have theirs at the start of block 341 and across into 342, 338 hosts its own."""
    piece = PAGES * 64
    leaves = [(338 * piece, piece, 338 << 27), (370 * piece, 2 * piece, 341 << 27), (372 * piece, piece, (342 << 27) - piece // 2)]
    monkeypatch.setattr(unmovable.page_tables, "read_leaves", lambda host, ids, size: unmovable.page_tables.Walk(64, leaves))
    monkeypatch.setattr(unmovable.kernel, "_struct_page", lambda host: 64)
    assert unmovable.memmaps(bound, [338, 341]) == {341: [370, 371, 372]}
    assert unmovable.sentence({"id": 341, "pages": {}, "memmap_of": [370, 371, 372, 375], "said": None}) == (
        "memory block 341 holds the memmap of memory blocks 370 to 372, 375")
