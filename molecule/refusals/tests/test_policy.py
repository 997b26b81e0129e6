# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An auto-online policy that was set before: held back for as long as it takes, then as it was."""
from __future__ import annotations

import pytest

POLICY = "/sys/devices/system/memory/auto_online_blocks"


@pytest.fixture
def policy(host):
    """The policy that would do the most harm: blocks in a kernel zone may never go offline again."""
    before = host.file(POLICY).content_string.strip()
    host.check_output("echo online_kernel > %s", POLICY)
    yield "online_kernel"
    host.check_output("echo %s > %s", before, POLICY)


def test_blocks_go_where_they_are_declared_under_any_policy(controller, policy, state):
    done = controller.play("memlab.testbed.provision", memory_devices=[{"serial": "0x1", "memmap": "dram"}, {"serial": "0x2", "memmap": "device"}])
    assert done.code == 0, done.output
    found = state()
    assert found["auto_online_blocks"] == policy
    assert {serial: entry["knob"] for serial, entry in found["devices"].items()} == {"0x1": "0", "0x2": "1"}
    for entry in found["devices"].values():
        first, size = entry["start"] // found["block_size"], entry["size"] // found["block_size"]
        assert {(found["blocks"][number]["state"], *found["blocks"][number]["zones"]) for number in range(first, first + size)} == {("online", "Movable")}
