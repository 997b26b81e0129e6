# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Words of messages and tables."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies

from ansible_collections.memlab.testbed.plugins.module_utils.report import words


def test_block_list():
    assert words.block_list([]) == "blocks none"
    assert words.block_list([(3, 3)]) == "block 3"
    assert words.block_list([(338, 345), (346, 346), (350, 350)]) == "blocks 338-346, 350"
    assert words.block_list([(number, number) for number in range(0, 20, 2)]) == "blocks 0, 2, 4, 6, 8, 10 and 4 more"


@given(strategies.sets(strategies.integers(0, 60)))
def test_every_block_is_named_or_counted(numbers):
    text = words.block_list([(number, number) for number in sorted(numbers)])
    more = int(text.split(" and ")[1].split()[0]) if " and " in text else 0
    named = set()
    for run in text.split(" and ")[0].split(" ", 1)[1].split(", ") if numbers else []:
        first, unused, last = run.partition("-")
        named.update(range(int(first), int(last or first) + 1))
    assert named <= numbers and len(named) + more == len(numbers)


def test_nodes():
    assert words.on_nodes({"10": 1 << 20, "unknown": 4096, "2": 3 << 20}) == "3M on node 2, 1M on node 10, 4K on an unknown node"
    assert words.on_nodes({}) == ""
    assert words.add_nodes([{"0": 1}, {"0": 2, "1": 3}]) == {"0": 3, "1": 3}


def test_identities():
    assert words.identities({"memory_devices": [{"serial": 16, "pci": "0000:0d:00.0"}, {"serial": None, "pci": "0000:0e:00.0"}]}) == ["0x10", "0000:0e:00.0"]
    assert words.identities({"memory_devices": [], "namespace": None}) == []
