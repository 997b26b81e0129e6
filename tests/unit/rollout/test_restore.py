# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What brings memory devices back."""
from __future__ import annotations

import copy

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.rollout import restore

DECLARED = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"}]
NONE = {"devices": [], "namespaces": [], "ranges": []}


def facts(*devices):
    return dict(NONE, devices=[{"name": "dax%d.0" % number, "mode": "system-ram", "intent": None, "placement": placement,
                                "blocks": {"online": online}, "zones": ["Movable"], "ranges": [{"start": number}],
                                "memory_devices": [{"serial": number, "pci": None}]} for number, placement, online in devices])


def test_what_was_not_there_is_removed():
    was = restore.before(NONE, DECLARED)
    assert was == [{"there": False, "parts": 0}] * 2
    found = restore.back(facts((1, "self", 4)), DECLARED, was)
    assert found == {"offline": [{"memory_devices": ["0x1"], "state": "offline"}], "absent": [{"memory_devices": ["0x1"], "state": "absent"}],
                     "regions": [], "devices": [], "blocks": []}
    assert restore.different(facts((1, "self", 4)), DECLARED, was) == ["0x1"]


def test_what_was_placed_elsewhere_is_placed_there_again():
    was = restore.before(facts((1, "other_node", 2), (2, "other_node", 8)), DECLARED)
    found = restore.back(facts((1, "self", 8), (2, "other_node", 8)), DECLARED, was)
    assert found["devices"] == [{"memory_devices": ["0x1"], "mode": "system-ram", "offline": True, "memmap": "dram"}]
    assert found["blocks"] == [{"memory_devices": ["0x1"], "zone": "movable", "count": "2"}] and found["absent"] == []


def test_what_a_reboot_took_is_made_again():
    was = restore.before(facts((1, "self", 8)), DECLARED)
    found = restore.back(NONE, DECLARED, was)
    assert [region["memory_devices"] for region in found["regions"]] == [["0x1"]] and found["devices"] and found["blocks"] and not found["absent"]


def test_what_is_as_it_was_is_left_alone():
    now = facts((1, "self", 8))
    was = restore.before(copy.deepcopy(now), DECLARED)
    assert not any(restore.back(now, DECLARED, was).values()) and restore.different(now, DECLARED, was) == []


def test_another_declaration_than_then_is_refused():
    with pytest.raises(Exception, match="declared 1 memory devices when the rollout began, and 2 now"):
        restore.back(NONE, DECLARED, [{"there": False, "parts": 0}])
