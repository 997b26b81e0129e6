# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks in the amounts, zones and order declared, on the guest ``blocks``: a device of eight blocks and one of four."""
from __future__ import annotations

import pytest

FIRST, SECOND = {"memory_devices": ["0x1"]}, {"memory_devices": ["0x2"]}


@pytest.fixture(scope="module", name="guest")
def provisioned(open_guest):
    """Both devices system RAM, everything offline; afterwards as it was."""
    guest = open_guest("blocks")
    assert guest.module("cxl_region", regions=[FIRST, SECOND]).code == 0
    assert guest.module("dax_device", devices=[dict(FIRST, memmap="device"), dict(SECOND, memmap="dram")]).code == 0
    yield guest
    assert guest.memory_blocks(dict(FIRST, state="offline"), dict(SECOND, state="offline")).code == 0
    assert guest.module("cxl_region", regions=[dict(FIRST, state="absent"), dict(SECOND, state="absent")]).code == 0


@pytest.fixture(scope="module", name="ids")
def block_ids(controller, guest):
    """Ids of the blocks of each device, asked of the machine."""
    state = controller.state(guest.name)
    return {serial: list(range(entry["start"] // state["block_size"], (entry["start"] + entry["size"]) // state["block_size"]))
            for serial, entry in state["devices"].items()}


def test_shares_bytes_zones_and_order(controller, guest, ids):
    wanted = [dict(FIRST, count="50%", order="descending"), dict(SECOND, zone="kernel", count="256M")]
    done = controller.four_steps(guest.name, "memory_blocks", devices=wanted, pause=0.1, health={"free_memory": "64M", "kernel_log": True, "block_seconds": 30})
    assert guest.online() == dict([(block, "Movable") for block in ids["0x1"][4:]] + [(block, "Normal") for block in ids["0x2"][:2]])
    assert [result["id"] for result in done["devices"][0]["results"]] == ids["0x1"][:3:-1]
    assert all(result["errno"] is None and result["milliseconds"] > 0 for entry in done["devices"] for result in entry["results"])


def test_some_offline_and_the_rest_stays(controller, guest, ids):
    wanted = [dict(FIRST, state="offline", count=6), {"start": "%#x" % (ids["0x2"][0] << 27), "size": "512M", "state": "offline"}]
    controller.four_steps(guest.name, "memory_blocks", devices=wanted)
    assert guest.online() == {block: "Movable" for block in ids["0x1"][4:6]}


@pytest.mark.parametrize("options, said", [
    ({"health": {"free_memory": "1T"}}, "unhealthy before the first memory block: DRAM can give"),
    ({"block_timeout": 0}, "block_timeout: 0.0 is not a number of seconds above 0"),
])
def test_refused_beforehand(guest, options, said):
    before = guest.online()
    assert guest.refusal(guest.memory_blocks(FIRST, SECOND, **options), said)["changed"] is False
    assert guest.online() == before
