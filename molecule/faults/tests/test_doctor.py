# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes wrong before there is any memory, and what the doctor says of it: a region begun, a decoder kept, a driver gone, two serial numbers alike."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import paths
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.monitor import Monitor
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

CXL = "/sys/bus/cxl/devices"
FIRST, SECOND = {"memory_devices": ["0x1"]}, {"memory_devices": ["0x2"]}


def good(done):
    assert done.code == 0, done.output
    return done.result


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    """Without a region."""
    guest = open_guest("faults")
    if guest.online():
        good(guest.memory_blocks(dict(FIRST, state="offline"), dict(SECOND, state="offline")))
    good(guest.module("cxl_region", regions=[dict(FIRST, state="absent"), dict(SECOND, state="absent")]))
    return guest


def findings(guest):
    """Finding -> its entry."""
    answer = good(guest.module("memory_doctor", wanted=[]))
    assert answer["changed"] is False
    return {entry["finding"]: entry for entry in answer["findings"]}


def named(guest, serial):
    """The kernel's name for a memory device, this time."""
    return guest.shell("cd %s; grep -lx %s mem*/serial" % (CXL, serial)).partition("/")[0]


def test_what_was_begun_and_not_set_up_to_its_end(guest):
    """As a tool leaves it that was killed, and as it is while a driver is not there."""
    first, second = named(guest, "0x1"), named(guest, "0x2")
    region = guest.shell("cat %s/decoder0.0/create_ram_region" % CXL).strip()
    guest.shell("cxl reserve-dpa -t ram -s 256M {1}; echo {2} > {0}/decoder0.0/create_ram_region; echo {3} > /sys/bus/cxl/drivers/cxl_mem/unbind".format(
        CXL, second, region, first))
    try:
        found = findings(guest)
    finally:
        guest.shell("echo {3} > /sys/bus/cxl/drivers/cxl_mem/bind; echo {2} > {0}/decoder0.0/delete_region; cxl free-dpa -t ram {1}".format(
            CXL, second, region, first))
    assert found["memory_device_unbound"]["evidence"] == [{"file": "%s/%s/driver" % (CXL, first), "value": None}]
    assert found["memory_device_unbound"]["subject"] == FIRST
    assert {"file": "%s/%s/commit" % (CXL, region), "value": "0"} in found["region_half_made"]["evidence"]
    assert found["decoder_left_over"]["subject"] == SECOND and "cxl free-dpa -t ram" in found["decoder_left_over"]["remedy"]
    assert "0x10000000" in [item["value"] for item in found["decoder_left_over"]["evidence"]]
    assert not {"memory_device_unbound", "region_half_made", "decoder_left_over"}.intersection(findings(guest))


def test_two_devices_with_one_serial_number(guest, controller):
    """A testbed file cannot say that, QEMU can: a device of the first one's number in the place of the second."""
    definition = guest.variables()

    def plug(*names):
        good(controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=guest.name, plugged=list(names)))

    try:
        plug("mem_a")
        with Monitor(paths.guest_directory(definition["memlab_testbed"], guest.name)) as monitor:
            monitor.execute("object-add", {"qom-type": "memory-backend-ram", "id": "double", "size": 256 << 20, "share": True})
            monitor.execute("device_add", {"driver": "cxl-type3", "bus": "rp1", "id": "stranger", "volatile-memdev": "double", "sn": 1})
        guest.wait_for_memory_devices(2)
        places = guest.shell("for device in %s/mem*; do basename $(dirname $(readlink -f $device)); done" % CXL).split()
        found = findings(guest)["serials_not_unique"]
        assert sorted(found["subject"]["memory_devices"]) == sorted(places) and all(place in found["remedy"] for place in places)
        for module, options in (("cxl_region", {"regions": [FIRST]}), ("dax_device", {"devices": [dict(FIRST, memmap="dram")]})):
            guest.refusal(guest.module(module, **options), "2 CXL memory devices have serial 0x1", "PCI address", *places)
        assert guest.shell("ls %s | grep -c region || :" % CXL).strip() == "0"
        # the smaller one is the stranger
        small = guest.shell("for device in %s/mem*; do test $(($(cat $device/ram/size))) != 268435456 || "
                            "basename $(dirname $(readlink -f $device)); done" % CXL)
        made = good(guest.module("cxl_region", regions=[{"memory_devices": [small.strip()]}]))["regions"][0]
        assert (made["size"], made["pci"]) == (256 << 20, [small.strip()])
        good(guest.module("cxl_region", regions=[{"memory_devices": [small.strip()], "state": "absent"}]))
    finally:
        try:
            with Monitor(paths.guest_directory(definition["memlab_testbed"], guest.name)) as monitor:
                monitor.execute("device_del", {"id": "stranger"})
                # the port is free when QEMU has let go of it, which is after the guest has
                Host().wait_until(lambda: "stranger" not in [entry["name"] for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"})],
                                  "QEMU letting go of the second device", 120)
            guest.wait_for_memory_devices(1)
        finally:
            plug("mem_a", "mem_b")
            guest.wait_for_memory_devices(2)
