# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A CXL memory device comes and goes while the guest runs."""
from __future__ import annotations


def plugged(qmp):
    """Names of the guest's memory devices, asked of QEMU."""
    return sorted(entry["name"] for entry in qmp("qom-list", path="/machine/peripheral") if entry["type"] == "child<cxl-type3>")


def plug(controller, definition, *names):
    return controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=definition["memlab_guest"], plugged=list(names))


def test_a_device_is_plugged_in_made_memory_of_and_pulled_out(controller, definition, qmp, state, open_guest):
    assert plugged(qmp) == ["mem_a", "mem_b"]
    before = state()

    first, again = [plug(controller, definition, "mem_a", "mem_b", "mem_c") for attempt in range(2)]
    assert (first.code, first.result["changed"]) == (0, True), first.output
    assert (again.code, again.result["changed"]) == (0, False), again.output
    assert plugged(qmp) == ["mem_a", "mem_b", "mem_c"]
    open_guest("molehost").wait_for_memory_devices(3)

    region = controller.module("molehost", "cxl_region", regions=[{"memory_devices": ["0x3"]}])
    assert region.code == 0, region.output
    there = state()
    assert there["serials"] == [1, 2, 3]
    assert there["devices"]["0x3"]["size"] == 256 << 20
    removed = controller.module("molehost", "cxl_region", regions=[{"memory_devices": ["0x3"], "state": "absent"}])
    assert removed.code == 0, removed.output

    first, again = [plug(controller, definition, "mem_a", "mem_b") for attempt in range(2)]
    assert (first.code, first.result["changed"]) == (0, True), first.output
    assert (again.code, again.result["changed"]) == (0, False), again.output
    assert plugged(qmp) == ["mem_a", "mem_b"]
    assert state() == before


def test_a_device_that_is_not_declared_is_refused(controller, definition, qmp):
    there = plugged(qmp)
    plug(controller, definition, "mem_a", "mem_b", "mem_x").refusal("no memory device mem_x", "mem_a, mem_b, mem_c")
    assert plugged(qmp) == there
