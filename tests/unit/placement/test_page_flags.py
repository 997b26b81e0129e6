# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Words of /proc/kpageflags."""
from __future__ import annotations

import struct

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry
from ansible_collections.memlab.testbed.plugins.module_utils.placement.page_flags import Flags, read_flags, statement

GEOMETRY = Geometry(4096, 64, 128 << 20, 512, False)
OLD, NEW, BUDDY, NOPAGE = 0x2100000000, 0x2000000000, 0x400, 1 << 20


@pytest.fixture(name="flags_of")
def write_flags(tmp_path):
    """Flags of block 1 when its first pages have the given words."""
    (tmp_path / "proc").mkdir()

    def read(words, state="online"):
        with open(tmp_path / "proc/kpageflags", "wb") as stream:
            stream.seek(GEOMETRY.pages * 8)
            stream.write(struct.pack("<%dQ" % len(words), *words))
        return read_flags(Host(str(tmp_path)), {1: Block(1, state, ("Normal",), (1,))}, GEOMETRY).get(1)
    return read


@pytest.mark.parametrize("marker", [OLD, NEW])
@pytest.mark.parametrize("run, following", [(512, BUDDY), (512, 0), (512, NOPAGE)])
def test_exactly_the_reserved_pages_is_self(flags_of, marker, run, following):
    flags = flags_of([marker] * run + [following] * 8)
    assert flags == Flags(marker, run, following)
    assert statement(flags, GEOMETRY) == "self"


@pytest.mark.parametrize("words, expected", [
    ([NEW] * 511 + [BUDDY] * 8, "511 pages carry the mark of self-hosted memmap, 512 expected"),
    ([NEW] * 520, "at least 513 pages carry the mark of self-hosted memmap, 512 expected"),
    ([NEW] + [OLD] * 600, "1 pages carry the mark of self-hosted memmap, 512 expected"),
    ([NEW] * 256 + [OLD] * 256 + [0], "256 pages carry the mark of self-hosted memmap, 512 expected")])
def test_any_other_number_makes_no_sense(flags_of, words, expected):
    assert statement(flags_of(words), GEOMETRY) == expected


@pytest.mark.parametrize("word", [0, BUDDY, NEW | BUDDY, 1 << 32, NEW | 1 << 62])
def test_the_whole_word_counts(flags_of, word):
    assert flags_of([word] * 513) == Flags(word, 0, None)
    assert statement(flags_of([word] * 513), GEOMETRY) == "not self"


def test_a_block_without_pages_says_nothing(flags_of):
    assert statement(flags_of([NOPAGE] * 513), GEOMETRY) is None
    assert statement(None, GEOMETRY) is None


def test_offline_and_vanished_blocks_are_not_read(flags_of):
    assert flags_of([NEW] * 513, "offline") is None
    assert flags_of([]) is None
    assert flags_of([NEW] * 513, "going-offline") is not None


def test_padding_of_force_carries_the_mark_too():
    padded = GEOMETRY._replace(pageblock=1024, padded=True)
    assert padded.reserved == 1024
    assert statement(Flags(NEW, 1024, BUDDY), padded) == "self"
    assert statement(Flags(NEW, 512, BUDDY), padded) != "self"


def test_a_marked_block_after_an_unmarked_one_and_the_other_way(tmp_path):
    (tmp_path / "proc").mkdir()
    own = struct.pack("<513Q", *[NEW] * 512 + [BUDDY])
    marked = (1, 2, 5)
    with open(tmp_path / "proc/kpageflags", "wb") as stream:
        for number in range(7):
            stream.seek(number * GEOMETRY.pages * 8)
            stream.write(own if number in marked else struct.pack("<Q", BUDDY))
    found = read_flags(Host(str(tmp_path)), {number: Block(number, "online", ("Normal",), (1,)) for number in range(7)}, GEOMETRY)
    assert [number for number in range(7) if statement(found[number], GEOMETRY) == "self"] == list(marked)


def test_no_file(tmp_path):
    with pytest.raises(TestbedError, match="CONFIG_PROC_PAGE_MONITOR"):
        read_flags(Host(str(tmp_path)), {}, GEOMETRY)
