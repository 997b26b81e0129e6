# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The walk, on tables made for it."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block
from ansible_collections.memlab.testbed.plugins.module_utils.placement import page_tables
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry
from ansible_collections.memlab.testbed.tests.synthetic import kcore as synthetic

SIZE = 128 << 20
MEMMAP = 2 << 20
GEOMETRY = Geometry(4096, 64, SIZE, 512, False)


@pytest.fixture(name="root", scope="module")
def make_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("tables")
    (root / "proc").mkdir()
    return root


def walk(root, mappings, ids, **options):
    synthetic.write(str(root / "proc/kcore"), mappings, **options)
    return page_tables.read_leaves(Host(str(root)), ids, SIZE).leaves


@pytest.mark.parametrize("levels", [4, 5])
@pytest.mark.parametrize("symbol", [True, False])
@pytest.mark.parametrize("base", [None, 7 << 30])
@pytest.mark.parametrize("largest", [30, 21, 12])
@pytest.mark.parametrize("sme_mask", [0, 1 << 47, 1 << 51])
def test_every_kind_of_table(root, levels, symbol, base, largest, sme_mask):
    mappings = [(number * MEMMAP, MEMMAP, number * SIZE) for number in (600, 601, 1200)]
    found = walk(root, mappings, [600, 601, 1200], levels=levels, symbol=symbol, base=None if base is None else synthetic.VMEMMAP[levels] + base,
                 largest=largest, sme_mask=sme_mask, ram=((1 << 20, 1 << 37), (1 << 39, 1 << 30)))
    assert found == mappings


def test_a_leaf_of_1_gib_is_cut_to_what_was_asked_for(root):
    found = walk(root, [(0, 1 << 30, 5 << 30)], [3, 4], largest=30)
    assert found == [(3 * MEMMAP, 2 * MEMMAP, (5 << 30) + 3 * MEMMAP)]


def test_neighbours_in_both_spaces_are_joined(root):
    found = walk(root, [(0, MEMMAP, 1 << 30), (MEMMAP, MEMMAP, (1 << 30) + MEMMAP), (2 * MEMMAP, MEMMAP, 1 << 29)], [0, 1, 2])
    assert found == [(0, 2 * MEMMAP, 1 << 30), (2 * MEMMAP, MEMMAP, 1 << 29)]


def test_what_is_not_mapped_is_left_out(root):
    assert walk(root, [(5 * MEMMAP, 4096, 1 << 30)], [4, 5, 6]) == [(5 * MEMMAP, 4096, 1 << 30)]


@given(strategies.dictionaries(strategies.integers(0, 4000), strategies.integers(0, 1 << 20), min_size=1, max_size=12),
       strategies.sampled_from([4, 5]), strategies.sampled_from([12, 21]))
def test_the_walk_finds_what_was_mapped(root, placed, levels, largest):
    mappings = [(number * MEMMAP, MEMMAP, frame << 21) for number, frame in sorted(placed.items())]
    found = walk(root, mappings, sorted(placed), levels=levels, largest=largest)
    assert sum(size for unused, size, unused2 in found) == len(placed) * MEMMAP
    for offset, size, physical in mappings:
        # Joined leaves hold the mapping at the same distance.
        assert any(start <= offset and offset + size <= start + length and place + offset - start == physical for start, length, place in found)


@pytest.mark.parametrize("options, words", [
    ({"machine": 183}, "x86-64"),
    ({"lines": ["SIZE(page)="]}, "SIZE"),
    ({"lines": ["SYMBOL(swapper_pg_dir)="]}, "swapper_pg_dir"),
    ({"lines": ["SYMBOL(swapper_pg_dir)=1000"]}, "does not cover"),
    ({"ram": ((1 << 40, 1 << 20),)}, "does not cover physical"),
    ({"symbol": False, "ram": ()}, "0 candidates"),
])
def test_why_it_cannot_be_done(root, options, words):
    with pytest.raises(TestbedError, match=words):
        walk(root, [(0, MEMMAP, 1 << 30)], [0], **options)


def machine(**nodes):
    """block7=(1,) -> blocks by id, online."""
    return {int(name[5:]): Block(int(name[5:]), "online", ("Normal",), own) for name, own in sorted(nodes.items(), key=lambda item: int(item[0][5:]))}


def located(leaves, **nodes):
    return page_tables.locate(machine(**nodes), leaves, GEOMETRY)


def test_self():
    found = located([(7 * MEMMAP, MEMMAP, 7 * SIZE)], block7=(1,))
    assert found[7] == page_tables.Location("self", ((1, MEMMAP),), ((7 * SIZE, MEMMAP),))


@pytest.mark.parametrize("physical", [7 * SIZE + 4096, 7 * SIZE + MEMMAP, 8 * SIZE - MEMMAP, 8 * SIZE])
def test_elsewhere_in_the_block_or_on_the_node_is_not_self(physical):
    assert located([(7 * MEMMAP, MEMMAP, physical)], block7=(1,), block8=(1,))[7].placement == "same_node"


def test_the_first_pages_in_another_order_are_not_self():
    half = MEMMAP // 2
    found = located([(7 * MEMMAP, half, 7 * SIZE + half), (7 * MEMMAP + half, half, 7 * SIZE)], block7=(1,))
    assert found[7].placement == "same_node"


def test_part_of_the_first_pages_is_not_self():
    assert located([(7 * MEMMAP, MEMMAP - 4096, 7 * SIZE)], block7=(1,))[7].placement == "same_node"


def test_other_node_and_mixed_and_bytes():
    leaves = [(7 * MEMMAP, MEMMAP, 0), (8 * MEMMAP, 4096, SIZE), (8 * MEMMAP + 4096, MEMMAP - 4096, 7 * SIZE)]
    found = located(leaves, block0=(0,), block1=(0,), block7=(1,), block8=(1,))
    assert found[7] == page_tables.Location("other_node", ((0, MEMMAP),), ((0, MEMMAP),))
    assert (found[8].placement, found[8].nodes) == ("mixed", ((0, 4096), (1, MEMMAP - 4096)))
    assert found[0] == page_tables.NOWHERE


def test_a_run_over_the_border_of_blocks_on_two_nodes():
    found = located([(7 * MEMMAP, MEMMAP, SIZE - 4096)], block0=(0,), block1=(2,), block7=(1,))
    assert (found[7].placement, found[7].nodes) == ("other_node", ((0, 4096), (2, MEMMAP - 4096)))


@pytest.mark.parametrize("physical, nodes", [(9 * SIZE, {}), (0, {"block0": (0, 1)})])
def test_memory_of_no_known_node(physical, nodes):
    assert located([(7 * MEMMAP, MEMMAP, physical)], block7=(1,), **nodes)[7].placement == "unknown"


def test_shared_pages_count_once():
    # Hugetlb vmemmap optimisation: of eight pages of struct pages seven are one.
    leaves = [(7 * MEMMAP + page * 4096, 4096, 0x100000 + (0 if page % 8 else 4096)) for page in range(512)]
    found = located(leaves, block0=(0,), block7=(1,))[7]
    assert (found.placement, found.nodes, found.runs) == ("other_node", ((0, 8192),), ((0x100000, 8192),))


def test_one_joined_run_holds_the_memmap_of_many():
    found = located([(0, 4 * MEMMAP, 2 * SIZE)], block0=(0,), block1=(0,), block2=(0,), block3=(0,))
    assert [found[number].runs for number in range(4)] == [((2 * SIZE + number * MEMMAP, MEMMAP),) for number in range(4)]
    # Offset 2 * MEMMAP stands at 2 * SIZE + 2 * MEMMAP: inside block 2, not at its start.
    assert {entry.placement for entry in found.values()} == {"same_node"}


@given(strategies.lists(strategies.tuples(strategies.integers(0, 1000), strategies.integers(1, 30)), max_size=30))
def test_distinct_runs_hold_each_page_once(pieces):
    found = page_tables.distinct(pieces)
    wanted = {page for start, size in pieces for page in range(start, start + size)}
    assert sum(size for unused, size in found) == len(wanted)
    assert all(one[0] + one[1] < two[0] for one, two in zip(found, found[1:]))


@given(strategies.sets(strategies.integers(0, 60)))
def test_runs_of_ids(ids):
    found = page_tables.runs(sorted(ids))
    assert [number for first, last in found for number in range(first, last + 1)] == sorted(ids)
    assert all(one[1] + 1 < two[0] for one, two in zip(found, found[1:]))
