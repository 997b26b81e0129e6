# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An auto-online policy that was set before: held back for as long as it takes, then as it was."""
from __future__ import annotations

import pytest

POLICY = "/sys/devices/system/memory/auto_online_blocks"


@pytest.fixture(params=["online", "online_kernel"])
def policy(host, request):
    before = host.file(POLICY).content_string.strip()
    host.check_output("echo %s > %s", request.param, POLICY)
    yield request.param
    host.check_output("echo %s > %s", before, POLICY)


def test_blocks_go_where_they_are_declared_under_any_policy(controller, policy, state):
    place = {"online": "dram", "online_kernel": "device"}[policy]
    done = controller.play("memlab.testbed.provision", memory_devices=[{"serial": "0x1", "memmap": place}, {"serial": "0x2", "memmap": "device"}])
    assert done.code == 0, done.output
    found = state()
    assert found["auto_online_blocks"] == policy
    entry = found["devices"]["0x1"]
    assert entry["knob"] == {"device": "1", "dram": "0"}[place]
    blocks = [found["blocks"][number] for number in range(entry["start"] // found["block_size"], (entry["start"] + entry["size"]) // found["block_size"])]
    assert {(block["state"], *block["zones"]) for block in blocks} == {("online", "Movable")}
