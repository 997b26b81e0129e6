# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real machines, recorded by scripts/record_capture.py on guests, and what is known of how each was set up."""
from __future__ import annotations

import json
import pathlib
import re
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"

# Capture: serial number -> (placement, blocks online, blocks offline, knob).
SETUPS = {
    "linux-6.12-device": {1: ("self", 8, 0, "device"), 2: ("self", 8, 0, "device")},
    "linux-6.12-device-and-dram-offline-blocks": {1: ("self", 8, 0, "device"), 2: ("other_node", 5, 3, "dram")},
    "linux-6.12-no-support": {1: ("other_node", 8, 0, "dram"), 2: ("other_node", 8, 0, "dram")},
    "linux-7.3-device-and-dram": {1: ("self", 8, 0, "device"), 2: ("other_node", 8, 0, "dram")},
    "linux-7.3-offline-blocks": {1: ("self", 8, 0, "device"), 2: ("other_node", 4, 4, "dram")},
}


@pytest.mark.parametrize("name", sorted(SETUPS))
def test_every_device_is_found_as_it_was_set_up(captured, name):
    found = facts.collect(captured(name))
    devices = {device["memory_devices"][0]["serial"]: device for device in found["devices"]}
    seen = {serial: (device["placement"], device["blocks"]["online"], device["blocks"]["offline"], device["intent"]) for serial, device in devices.items()}
    assert seen == SETUPS[name]
    assert found["conflicts"] == []
    assert all(proof["available"] for proof in found["proofs"].values())
    for device in devices.values():
        # 1/64 of a GiB, and on the device's own node only where it is self-hosted.
        assert device["memmap_bytes"] == 16 << 20
        assert (device["target_node"] in map(int, device["memmap_nodes"])) == (device["placement"] == "self")


@pytest.mark.parametrize("name", sorted(SETUPS))
@pytest.mark.parametrize("proof", ["page_tables", "page_flags"])
def test_each_proof_alone_says_the_same_of_self_hosted_blocks(captured, name, proof):
    """Page flags see online blocks only, so offline ones are left out."""
    host = captured(name)
    alone = facts.collect(host, gather="blocks", proofs=[proof])["blocks"]
    together = facts.collect(host, gather="blocks")["blocks"]
    for one, all_three in zip(alone, together):
        if one["state"] == "online" and one["device"] is not None:
            assert (one["placement"] == "self") == (all_three["placement"] == "self")


def test_a_kernel_started_without_the_parameter_says_so(captured):
    kernel = facts.collect(captured("linux-6.12-no-support"))["kernel"]
    assert kernel["supported"] is False
    assert "memory_hotplug.memmap_on_memory" in kernel["why_not"]


@pytest.mark.parametrize("name", sorted(SETUPS))
def test_a_capture_holds_no_kernel_address(name):
    with tarfile.open(CAPTURES / (name + ".tgz")) as archive:
        for member in archive:
            if member.isfile():
                assert not re.search(rb"\bf{4}[89a-f][0-9a-f]{11}\b", archive.extractfile(member).read()), member.name


@pytest.mark.parametrize("name", sorted(SETUPS))
def test_an_answer_is_short_and_plain(captured, name):
    assert len(json.dumps(facts.collect(captured(name)))) < 64 << 10
