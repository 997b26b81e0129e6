# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task names, and the dax devices that it is."""
from __future__ import annotations

import os

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import lookup, regions, stepwise
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices


def find(host, **entry):
    return lookup.Inventory(host).dax_region(entry)


def test_a_namespace_by_name_and_by_uuid(mixed):
    region = find(mixed, namespace="ram")
    assert (region.named, region.who, region.node, [device.name for device in region.devices]) == ({"namespace": "ram"}, "namespace ram", 2, ["dax2.0"])
    for place in ("namespace2.0", "dax2.0"):
        uuid = mixed.read("/sys/bus/nd/devices/%s/uuid" % place)
        assert find(mixed, namespace=uuid.upper()).devices == region.devices
        assert lookup.Inventory(mixed).dax_region({"namespace": uuid.upper()}, may_be_missing=True).devices == region.devices


def test_soft_reserved_by_address(mixed):
    region = find(mixed, soft_reserved="0x100000000")
    assert (region.start, region.size, region.node, [device.name for device in region.devices]) == (1 << 32, 1 << 30, 1, ["dax1.0"])


def test_soft_reserved_memory_without_a_device_at_its_start(mixed):
    """While it is divided anew its first device has no bytes: /proc/iomem tells; 7.3 does not list such ranges, and then the first device does."""
    mixed.put("/sys/bus/dax/devices/dax1.0/mapping0/start", "0x108000000")
    assert find(mixed, soft_reserved="0x100000000").start == 1 << 32
    mixed.put("/proc/iomem", "100000000-13fffffff : dax1.0")
    assert find(mixed, soft_reserved="0x108000000").start == 0x108000000


def test_a_device_with_a_region_of_each_kind(bridges):
    (device,) = lookup.Inventory(bridges).members(["5"])
    bridges.put("/sys/bus/cxl/devices/%s/ram/size" % device.name, "%#x" % (1 << 30))
    both = [{"memory_devices": ["5"], "type": kind, "size": "256M"} for kind in ("pmem", "ram")]
    regions.apply(bridges, both[:1])
    with pytest.raises(TestbedError, match="the region of memory device .* is persistent: dax devices there belong to namespaces"):
        find(bridges, memory_devices=["5"])
    assert lookup.Inventory(bridges).dax_region({"memory_devices": ["5"]}, may_be_missing=True).place is None
    regions.apply(bridges, [dict(both[0], state="absent", allow_data_loss=True)])
    regions.apply(bridges, both)
    found = lookup.Inventory(bridges)
    # in whatever order the kernel lists them
    for found.regions in (found.regions, found.regions[::-1]):
        assert found.dax_region({"memory_devices": ["5"]}).size == 256 << 20


@pytest.mark.parametrize("entry, said", [
    ({}, "name a dax region in one way, by memory_devices or namespace or soft_reserved; found none of them"),
    ({"namespace": "ram", "soft_reserved": "0x1"}, "found namespace and soft_reserved"),
    ({"namespace": "rom"}, "no namespace has the name or uuid rom.*there are ram"),
    ({"namespace": "namespace2.0"}, "the kernel's own numbering"),
    ({"namespace": "dax2.0"}, "the kernel's own numbering"),
    ({"soft_reserved": "4294967296"}, "is not an address in hexadecimal.*quote it"),
    ({"soft_reserved": "0x200000000"}, "no dax region of soft-reserved memory at 0x200000000: there are 0x100000000"),
    ({"memory_devices": ["0x1"]}, "no region is made of memory device serial 0x1"),
])
def test_refusals(mixed, entry, said):
    with pytest.raises(TestbedError, match=said):
        find(mixed, **entry)


def test_a_namespace_that_is_no_devdax(mixed):
    mixed.put("/sys/bus/nd/devices/namespace2.0/mode", "memory")
    with pytest.raises(TestbedError, match="namespace ram is in mode fsdax, and only mode devdax has a dax device"):
        find(mixed, namespace="ram")
    assert lookup.Inventory(mixed).dax_region({"namespace": "ram"}, may_be_missing=True).place is None


def test_blocks_by_each_identity(mixed):
    regions.apply(mixed, [{"memory_devices": ["1"]}])
    reports = stepwise.apply(mixed, [{"soft_reserved": "0x100000000", "count": "2"}])[1]
    assert (reports[0]["soft_reserved"], reports[0]["blocks"], reports[0]["online"], reports[0]["nodes"]) == ("0x100000000", 8, 2, [1])
    with pytest.raises(TestbedError, match="namespace ram is not system RAM: its dax device is with device_dax"):
        stepwise.apply(mixed, [{"namespace": "ram"}])
    assert stepwise.apply(mixed, [{"namespace": "ram"}], check_mode=True)[0] is True


def test_soft_reserved_memory_that_firmware_did_not_hand_over(mixed):
    os.unlink(mixed.path("/sys/bus/dax/devices/dax1.0"))
    with pytest.raises(TestbedError, match="firmware must hand the range over as soft-reserved"):
        find(mixed, soft_reserved="0x100000000")


def test_the_facts_name_soft_reserved_memory_alike(mixed):
    found = devices.origins(mixed, devices.read_dax_devices(mixed))
    assert sorted(entry["soft_reserved"] or 0 for entry in found.values()) == [0, 1 << 32]
