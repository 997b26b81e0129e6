# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A kernel that was started without the boot parameter: a refusal where a reboot is not allowed, a reboot where it is."""
from __future__ import annotations

import pytest

PROVISION = "memlab.testbed.provision"
PARAMETER = "memory_hotplug.memmap_on_memory"
DEVICES = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"}]


@pytest.fixture(scope="module")
def without_parameter(controller, definition):
    """The guest, after its power went and came back, with the parameter off."""
    done = controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=definition["memlab_guest"], state="powercycled",
                             kernel_parameters=[PARAMETER + "=0"])
    assert done.code == 0, done.output


@pytest.fixture
def look(controller, without_parameter):
    """The state of a guest whose port has changed since the inventory was read for these tests: through ansible, which reads it anew."""
    return controller.state


def test_a_reboot_that_is_not_allowed(controller, look):
    before = look()
    assert PARAMETER + "=0" in before["parameters"]
    assert before["devices"] == {}
    controller.play(PROVISION, memory_devices=DEVICES, memmap_policy_reboot=False).refusal(PARAMETER + "=1", "a reboot is needed", "memmap_policy_reboot")
    assert look() == before


def test_a_device_that_cannot_hold_its_memmap(controller, look):
    """The boot parameter is somebody else's business here; what the kernel would do with the device is not."""
    before = look()
    controller.play(PROVISION, memory_devices=DEVICES, memmap_policy_boot_parameters=[]).refusal("0x1", PARAMETER)
    after = look()
    assert after["blocks"] == before["blocks"]
    assert {entry["driver"] for entry in after["devices"].values()} == {None}
    assert (after["auto_online_blocks"], after["drivers_autoprobe"], after["left_behind"]) == (before["auto_online_blocks"], before["drivers_autoprobe"], [])


def test_a_reboot_that_is_allowed(controller, look):
    before = look()
    done = controller.play(PROVISION, memory_devices=DEVICES, memmap_policy_reboot=True)
    assert done.code == 0, done.output
    after = look()
    assert after["boot"] != before["boot"]
    assert PARAMETER + "=1" in after["parameters"]
    assert {serial: entry["knob"] for serial, entry in after["devices"].items()} == {"0x1": "1", "0x2": "0"}
