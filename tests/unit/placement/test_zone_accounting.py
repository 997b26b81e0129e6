# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Present and managed pages of nodes."""
from __future__ import annotations

from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import Block
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import Zone
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry
from ansible_collections.memlab.testbed.plugins.module_utils.placement.zone_accounting import Account, accounts

GEOMETRY = Geometry(4096, 64, 128 << 20, 512, False)
PAGES = GEOMETRY.pages


def blocks(online, offline=0, node=1):
    states = ["online"] * online + ["offline"] * offline
    return {number: Block(number, state, (), (node,)) for number, state in enumerate(states)}


def test_three_hosted_blocks_in_two_zones():
    zones = [Zone(1, "Normal", 0, 0, PAGES, PAGES - 512, 0), Zone(1, "Movable", 0, 0, 2 * PAGES, 2 * PAGES - 1024, 0), Zone(0, "Normal", 0, 0, 9, 1, 0)]
    assert accounts(zones, blocks(3, 2), [1], GEOMETRY) == {1: Account(1, 3, 3 * PAGES, 1536, 3, True)}


def test_nodes_not_asked_for_or_without_online_blocks_are_left_out():
    assert accounts([], blocks(3), [], GEOMETRY) == {}
    assert accounts([], blocks(0, 3), [1], GEOMETRY) == {}
    assert accounts([], blocks(3), [2], GEOMETRY) == {}


@given(strategies.integers(0, 40), strategies.integers(1, 40))
def test_only_a_whole_number_of_blocks_counts(unmanaged, online):
    account = accounts([Zone(1, "Normal", 0, 0, online * PAGES, online * PAGES - unmanaged * 256, 0)], blocks(online), [1], GEOMETRY)[1]
    assert account.hosted == (unmanaged // 2 if unmanaged % 2 == 0 and unmanaged // 2 <= online else None)


def test_a_force_padded_block_keeps_whole_pageblocks():
    padded = GEOMETRY._replace(pageblock=1024, padded=True)
    assert accounts([Zone(1, "Normal", 0, 0, PAGES, PAGES - 1024, 0)], blocks(1), [1], padded)[1].hosted == 1
