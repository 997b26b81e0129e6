# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A knob that reads right is no proof: where the page tables say otherwise, the memmap is moved or the call fails."""
from __future__ import annotations

import os

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import regions, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import page_tables

BLOCK, MEMMAP = 128 << 20, 2 << 20
ONE, TWO = {"memory_devices": ["1"], "memmap": "device"}, {"memory_devices": ["2"], "memmap": "dram"}
DRAM, DEVICE = 2 * BLOCK, 345 * BLOCK + MEMMAP  # physical addresses: of boot memory, and within device 1


@pytest.fixture(name="lies")
def place_memmaps(monkeypatch):
    """Have the page tables say that device 2's memmap begins at each of these addresses in turn; device 1's lies on itself."""
    def lies(*addresses):
        left = list(addresses)

        def read_leaves(host, ids, block_size):
            address = left.pop(0) if len(left) > 1 else left[0]
            return page_tables.Walk(64, [(number * MEMMAP, MEMMAP, number * BLOCK if number < 370 else address) for number in ids])
        monkeypatch.setattr(page_tables, "read_leaves", read_leaves)
    return lies


def proofs(reports):
    return [(report.get("proven"), report.get("unproven")) for report in reports]


def test_as_asked_for(bound, lies):
    lies(DRAM)
    for check_mode in (True, False):
        changed, reports = system_ram.apply(bound, [ONE, TWO], check_mode)[:2]
        assert (changed, proofs(reports)) == (False, [(True, None)] * 2)


def test_tables_that_cannot_be_read_prove_nothing(fresh):
    """The recorded guest has no /proc/kcore, as under lockdown."""
    regions.apply(fresh, [{"memory_devices": ["1"]}, {"memory_devices": ["2"]}])
    assert proofs(system_ram.apply(fresh, [ONE, TWO], check_mode=True)[1]) == [(None, None)] * 2
    for changed in (True, False):
        found = system_ram.apply(fresh, [ONE, TWO])
        assert found[0] is changed
        assert [(proven, "/proc/kcore" in why) for proven, why in proofs(found[1])] == [(False, True)] * 2
    assert proofs(system_ram.apply(fresh, [dict(ONE, mode="devdax", memmap=None), TWO])[1])[0] == (None, None)


def test_tables_without_a_memmap_prove_nothing(bound, monkeypatch):
    monkeypatch.setattr(page_tables, "read_leaves", lambda *unused: page_tables.Walk(64, []))
    changed, reports = system_ram.apply(bound, [ONE, TWO])[:2]
    assert (changed, proofs(reports)) == (False, [(False, "the kernel's page tables have no memmap of memory block %d" % number) for number in (338, 370)])


def test_dram_of_the_node_that_the_device_is_on_is_dram(bound, lies):
    """As verify has it: what counts is whose memory it is, not the node."""
    lies(DRAM)
    for number in range(370, 378):
        bound.unlink("/sys/devices/system/node/node2/memory%d" % number)
        os.symlink("../../memory/memory%d" % number, bound.path("/sys/devices/system/node/node0/memory%d" % number))
    bound.put("/sys/bus/dax/devices/dax1.0/target_node", "0")
    assert system_ram.apply(bound, [ONE, TWO])[0] is False


def test_astray_is_a_change(bound, lies):
    lies(DEVICE, DEVICE, DRAM)
    assert system_ram.apply(bound, [ONE, TWO], check_mode=True)[0] is True
    changed, reports = system_ram.apply(bound, [ONE, TWO])[:2]
    assert (changed, [report["changed"] for report in reports], proofs(reports)) == (True, [False, True], [(True, None)] * 2)


@pytest.mark.parametrize("entries, leave", [
    ([ONE, TWO], lambda host: None),
    ([TWO], lambda host: host.leave_behind("dax0.0")),
    ([TWO], lambda host: host.leave_behind("dax0.0", gone=True))], ids=["kmem has it", "no driver has it", "it is gone"])
def test_astray_again_is_an_error(bound, lies, entries, leave):
    lies(DEVICE)
    leave(bound)
    before = bound.dax_state()
    with pytest.raises(TestbedError, match="serial 0x2.*the memmap of memory block 370 lies on a device, on node 1, although the kernel was told otherwise"):
        system_ram.apply(bound, entries)
    assert bound.dax_state() == before


def test_astray_while_the_kernel_would_do_it_again(bound, lies):
    lies(DEVICE)
    bound.put("/sys/devices/system/memory/memory345/state", "online")
    bound.put("/sys/devices/system/memory/memory345/valid_zones", "Normal")
    with pytest.raises(TestbedError, match="its memmap would not go to DRAM") as caught:
        system_ram.apply(bound, [ONE, TWO])
    assert "lies on a device, on node 1 now, and keeps that from going offline; mode: devdax lets go of it" in str(caught.value)


def test_a_kernel_that_falls_back_in_silence(bound, lies):
    lies(DRAM)
    with pytest.raises(TestbedError, match="serial 0x2.*lies on node 0, not in the block itself"):
        system_ram.apply(bound, [ONE, dict(TWO, memmap="device")])
    assert bound.dax_state()["dax1.0"] == ("kmem", "0")
