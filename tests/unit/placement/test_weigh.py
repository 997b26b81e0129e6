# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proofs put together: by agreement, alone, and in conflict."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import Zone
from ansible_collections.memlab.testbed.plugins.module_utils.placement import zone_accounting
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry
from ansible_collections.memlab.testbed.plugins.module_utils.placement.page_flags import Flags
from ansible_collections.memlab.testbed.plugins.module_utils.placement.page_tables import NOWHERE, Location
from ansible_collections.memlab.testbed.plugins.module_utils.placement.weigh import weigh

GEOMETRY = Geometry(4096, 64, 128 << 20, 512, False)
PAGES = GEOMETRY.pages
BLOCKS = {number: Block(number, "online", ("Movable",), (1,)) for number in (5, 6, 7)}
SELF = Flags(0x2000000000, 512, 0)
OTHER = Flags(0x400, 0, None)
SENSELESS = Flags(0x2000000000, 3, 0)


def here(number):
    return Location("self", ((1, GEOMETRY.memmap),), ((number * GEOMETRY.block_size, GEOMETRY.memmap),))


def there(number):
    return Location("other_node", ((0, GEOMETRY.memmap),), ((number << 21, GEOMETRY.memmap),))


def account(hosted, online=3):
    zones = [Zone(1, "Movable", 0, 0, present=online * PAGES, managed=online * PAGES - hosted, start_pfn=0)]
    return zone_accounting.accounts(zones, BLOCKS, [1], GEOMETRY)


def placements(located, flags, accounts):
    verdicts, conflicts = weigh(BLOCKS, located, flags, accounts, GEOMETRY)
    return [verdict.placement for verdict in verdicts.values()], [verdict.proofs for verdict in verdicts.values()], conflicts


def every(make):
    return {number: make(number) for number in BLOCKS}


def test_all_agree_on_self():
    found, proofs, conflicts = placements(every(here), every(lambda number: SELF), account(3 * 512))
    assert found == ["self"] * 3 and not conflicts
    assert proofs == [("page_tables", "page_flags", "zone_accounting")] * 3


def test_all_agree_on_elsewhere():
    found, proofs, conflicts = placements(every(there), every(lambda number: OTHER), account(0))
    assert found == ["other_node"] * 3 and not conflicts and len(proofs[0]) == 3


def test_some_of_each():
    located = {5: here(5), 6: there(6), 7: here(7)}
    found, unused, conflicts = placements(located, {5: SELF, 6: OTHER, 7: SELF}, account(2 * 512))
    assert found == ["self", "other_node", "self"] and not conflicts


@pytest.mark.parametrize("flags, accounts, placement, proofs", [
    ({}, {}, "unknown", ()),
    (every(lambda number: SELF), {}, "self", ("page_flags",)),
    (every(lambda number: OTHER), {}, "unknown", ()),
    ({}, account(3 * 512), "self", ("zone_accounting",)),
    ({}, account(512), "unknown", ()),
    ({}, account(0), "unknown", ()),
    (every(lambda number: OTHER), account(0), "unknown", ()),
    (every(lambda number: SELF), account(3 * 512), "self", ("page_flags", "zone_accounting"))])
def test_without_page_tables_only_self_can_be_told(flags, accounts, placement, proofs):
    assert placements({}, flags, accounts) == ([placement] * 3, [proofs] * 3, [])


def test_tables_against_flags():
    found, proofs, conflicts = placements(every(here), {5: OTHER, 6: OTHER, 7: SELF}, {})
    assert found == ["unknown", "unknown", "self"] and proofs[0] == ()
    assert conflicts == [{"first_block": 5, "last_block": 6, "node": 1, "statements": {"page_tables": "self", "page_flags": "not self"}}]


def test_flags_against_tables():
    found, unused, conflicts = placements(every(there), every(lambda number: SELF), {})
    assert found == ["unknown"] * 3 and conflicts[0]["statements"] == {"page_tables": "other_node", "page_flags": "self"}


@pytest.mark.parametrize("flags, word", [(SELF, "self"), (OTHER, "not self")])
def test_flags_against_tables_that_map_nothing(flags, word):
    """An online block has struct pages, or nothing could read their flags."""
    found, proofs, conflicts = placements({**every(here), 6: NOWHERE}, {5: SELF, 6: flags, 7: SELF}, {})
    assert found == ["self", "unknown", "self"] and proofs[1] == ()
    assert conflicts == [{"first_block": 6, "last_block": 6, "node": 1, "statements": {"page_tables": "nothing mapped", "page_flags": word}}]


def test_tables_that_map_nothing_are_no_proof():
    assert placements(every(lambda number: NOWHERE), {}, {}) == (["unknown"] * 3, [()] * 3, [])
    found, unused, conflicts = placements(every(lambda number: NOWHERE), {}, account(3 * 512))
    assert found == ["unknown"] * 3 and conflicts[0]["statements"]["page_tables"] == "0 of 3 online blocks are self-hosted"
    offline = {5: Block(5, "offline", ("Movable", "Normal"), (1,))}
    verdicts, conflicts = weigh(offline, {5: NOWHERE}, {}, {}, GEOMETRY)
    assert verdicts[5].placement == "unknown" and not conflicts


def test_flags_without_sense():
    found, unused, conflicts = placements({}, every(lambda number: SENSELESS), {})
    assert found == ["unknown"] * 3 and "3 pages carry" in conflicts[0]["statements"]["page_flags"]


@pytest.mark.parametrize("hosted", [0, 512, 3 * 512 + 1, 4 * 512, 17])
def test_figures_against_blocks(hosted):
    found, unused, conflicts = placements(every(here), every(lambda number: SELF), account(hosted))
    assert found == ["unknown"] * 3
    assert conflicts == [{"first_block": 5, "last_block": 7, "node": 1, "statements": dict.fromkeys(
        ("page_tables", "page_flags"), "3 of 3 online blocks are self-hosted") | {"zone_accounting": conflicts[0]["statements"]["zone_accounting"]}}]
    assert "%d of them unmanaged" % hosted in conflicts[0]["statements"]["zone_accounting"]


def test_blocks_that_zoneinfo_has_on_another_node():
    # A guest restored from a snapshot without its CXL decoders: sysfs says node 1, zoneinfo node 0.
    accounts = zone_accounting.accounts([Zone(0, "Normal", 0, 0, 3 * PAGES, 3 * PAGES, 0)], BLOCKS, [1], GEOMETRY)
    found, unused, conflicts = placements(every(there), every(lambda number: OTHER), accounts)
    assert found == ["unknown"] * 3
    assert conflicts[0]["statements"] == {
        "sysfs": "3 online blocks", "zone_accounting": "0 pages present, 0 of them unmanaged, on 3 online blocks: 0 self-hosted"}


def test_offline_blocks_rest_on_page_tables_alone():
    blocks = dict(BLOCKS)
    blocks[8] = Block(8, "offline", ("Movable", "Normal"), (1,))
    located = dict(every(here))
    located[8] = here(8)
    verdicts, conflicts = weigh(blocks, located, every(lambda number: SELF), account(3 * 512), GEOMETRY)
    assert (verdicts[8].placement, verdicts[8].proofs) == ("self", ("page_tables",)) and not conflicts
    verdicts, conflicts = weigh(blocks, {}, {}, account(3 * 512), GEOMETRY)
    assert (verdicts[8].placement, verdicts[7].placement) == ("unknown", "self")


STATEMENT = strategies.sampled_from([None, "self", "other_node", "same_node", "mixed", "unknown"])
FLAGS = strategies.sampled_from([None, SELF, OTHER, SENSELESS, Flags(1 << 20, 0, None)])


@given(strategies.tuples(STATEMENT, STATEMENT, STATEMENT), strategies.tuples(FLAGS, FLAGS, FLAGS),
       strategies.one_of(strategies.none(), strategies.integers(0, 2000)))
def test_never_self_against_a_word_of_anyone(placed, flagged, hosted):
    located = {number: Location(word, ((1, 1),), ()) for number, word in zip(BLOCKS, placed) if word}
    flags = {number: word for number, word in zip(BLOCKS, flagged) if word}
    verdicts, conflicts = weigh(BLOCKS, located, flags, {} if hosted is None else account(hosted), GEOMETRY)
    assert list(verdicts) == list(BLOCKS)
    in_conflict = {number for entry in conflicts for number in range(entry["first_block"], entry["last_block"] + 1)}
    for number, verdict in verdicts.items():
        if number in in_conflict:
            assert verdict.placement == "unknown" and not verdict.proofs
        if verdict.placement == "self":
            assert located.get(number, here(number)).placement == "self"
            assert flags.get(number, SELF) in (SELF, Flags(1 << 20, 0, None))
        if verdict.placement != "unknown":
            assert verdict.proofs
