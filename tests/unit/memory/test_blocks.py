# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks read from a tree."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.memory import blocks
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine

SIZE = 128 << 20


@pytest.fixture(name="tree", scope="module")
def make_tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("machine")
    Machine(3, [Device(16, 4, 1, "self", "Movable", 2)]).write(str(root))
    memory = root / "sys/devices/system/memory"
    (memory / "memory2/valid_zones").write_text("none\n")
    (root / "sys/devices/system/node/node1/memory2").symlink_to("../../memory/memory2")
    (memory / "memory18/state").write_text("going-offline\n")
    (memory / "memory19/state").unlink()
    return Host(str(root))


def test_states_zones_nodes(tree):
    found = blocks.read_blocks(tree)
    assert list(found) == [0, 1, 2, 16, 17, 18, 19]
    assert found[0] == blocks.Block(0, "online", ("Normal",), (0,))
    assert (found[0].online, found[0].zone, found[0].node) == (True, "Normal", 0)
    assert (found[2].zone, found[2].nodes, found[2].node) == (blocks.SEVERAL_ZONES, (0, 1), None)
    assert (found[18].online, found[18].zone, found[18].zones) == (True, None, ("Normal", "Movable"))
    assert (found[19].online, found[19].state) == (False, None)


def test_what_is_no_number():
    assert blocks.numbered(["memory7", "memory\u00b2", "memory\u0663", "memory", "memory-1", "uevent"], "memory") == [7]


def test_only_some(tree):
    assert list(blocks.read_blocks(tree, [17, 1, 99])) == [1, 17]


def test_block_size(tree, tmp_path):
    assert blocks.block_size(tree) == SIZE
    with pytest.raises(TestbedError, match="no memory blocks.*CONFIG_MEMORY_HOTPLUG"):
        blocks.block_size(Host(str(tmp_path)))


@pytest.mark.parametrize("text", ["", "zz", "0", "3", "-8000000", "1", "800000", "2000000000", "f" * 5000])
def test_damaged_block_size(text, tmp_path):
    directory = tmp_path / "sys/devices/system/memory"
    directory.mkdir(parents=True)
    (directory / "block_size_bytes").write_text(text + "\n")
    with pytest.raises(TestbedError, match="block_size_bytes does not hold"):
        blocks.block_size(Host(str(tmp_path)))


def test_a_machine_without_blocks_or_nodes(tmp_path):
    assert blocks.read_blocks(Host(str(tmp_path))) == {}


@pytest.mark.parametrize("start, size, expected", [
    (0, SIZE, [0]), (SIZE, 2 * SIZE, [1, 2]), (1, SIZE, []), (1, 2 * SIZE, [1]), (SIZE - 1, SIZE + 1, [1]), (0, 0, []), (0, SIZE - 1, [])])
def test_a_range_is_trimmed_to_whole_blocks(start, size, expected):
    assert list(blocks.blocks_of_range(start, size, SIZE)) == expected


@given(strategies.integers(0, 1 << 46), strategies.integers(0, 1 << 36), strategies.sampled_from([1 << 27, 1 << 28, 1 << 31]))
def test_blocks_of_a_range_lie_in_it_and_their_neighbours_do_not(start, size, block_size):
    found = blocks.blocks_of_range(start, size, block_size)
    for number in (found[0], found[-1]) if found else ():
        assert start <= number * block_size and (number + 1) * block_size <= start + size
    if found:
        assert (found[0] - 1) * block_size < start and (found[-1] + 2) * block_size > start + size
