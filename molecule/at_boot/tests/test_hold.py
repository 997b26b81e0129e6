# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory that is there before any service runs, and that Linux would give to kmem and put online at once, with the knob as it is: soft-reserved memory."""
from __future__ import annotations

import os

GUEST = "softhost"
SOFT = {"soft_reserved": "0x100000000", "memmap": "device"}


def restart(controller, guest):
    """From outside. Returns what systemd calls it in the end, and what the service has said where that is not "running"."""
    done = controller.module("localhost", "qemu_guest", testbed_file=os.path.abspath(os.environ["MEMLAB_TESTBED"]), name=GUEST, state="restarted")
    assert done.code == 0, done.output
    guest.connect()
    return guest.shell("systemctl is-system-running --wait || SYSTEMD_COLORS=0 journalctl -b -u memlab-memory.service -o cat --no-pager")


def test_kmem_gets_no_memory_before_its_knob_is_written(controller, open_guest):
    """What has come online with another memmap would have to go offline again, which the service is told not to do."""
    guest = open_guest(GUEST)
    before = controller.state(GUEST)
    device = before["dax"]["0x100000000"]
    assert (device["driver"], device["knob"], before["auto_online_blocks"]) == ("kmem", "0", "online"), "the kernel's own choice"
    assert {before["blocks"][str(number)]["state"] for number in range(32, 40)} == {"online"}
    done = guest.module("memory_boot_service", memory_devices=[SOFT], offline=False)
    assert done.code == 0, done.output
    assert restart(controller, guest) == "running\n"
    now = controller.state(GUEST)
    assert now["boot"] != before["boot"]
    device = now["dax"]["0x100000000"]
    assert (device["driver"], device["knob"], now["auto_online_blocks"], now["drivers_autoprobe"], now["left_behind"]) == ("kmem", "1", "online", "1", [])
    found = [now["blocks"][str(number)] for number in range(32, 40)]
    assert [(block["state"], block["zones"], block["self_hosted"]) for block in found] == [("online", ["Movable"], [512, 512])] * 8


def test_a_module_ends_the_hold_of_a_service_that_cannot_run(controller, open_guest):
    guest = open_guest(GUEST)
    guest.shell("mv /usr/local/lib/memlab/memory-at-boot.pyz /root")
    try:
        assert restart(controller, guest).startswith("degraded\n")
        assert (guest.policies()[0], guest.left_behind(), guest.online()) == ("0", ["at-boot"], {})
        done = guest.module("dax_device", devices=[SOFT])
        assert done.code == 0, done.output
        assert done.result["repaired"] == ["the hold on /sys/bus/dax/drivers_autoprobe since early boot is ended, as memlab-memory.service had not"]
        assert (guest.policies(), guest.left_behind()) == (["1", "online"], ["lock"])
        assert controller.state(GUEST)["dax"]["0x100000000"]["knob"] == "1"
    finally:
        guest.shell("mv /root/memory-at-boot.pyz /usr/local/lib/memlab")
