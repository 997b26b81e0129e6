# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where regions go on a host with two host bridges, a switch, and a window for each and for both; and why one cannot be made."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, decode_order, region_plan, regions
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map

MIB = 1 << 20
FIRST, SECOND, THIRD = 0x110000000, 0x210000000, 0x310000000
ACROSS = {"memory_devices": ["1", "3", "2", "4"]}
PMEM = {"memory_devices": ["5"], "type": "pmem"}


def refused(host, entries, said):
    """Refused with these words, in check mode too, and nothing was written or run."""
    del host.log[:]
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=said) as caught:
            regions.apply(host, entries, check_mode)
    assert host.log == []
    return caught.value


def absent(entry):
    return dict(entry, state="absent")


def test_routes_and_ports(bridges):
    behind_a_switch = next(device for device in cxl.memory_devices(bridges) if device.serial == 4)
    assert behind_a_switch.route == ("pci0000:0f", "0000:0f:01.0", "0000:12:00.0")
    assert behind_a_switch.ports == ("port1", "port3", "endpoint6")
    ports = cxl.ports(bridges)
    assert [(ports[name].owner, ports[name].decoders, ports[name].committed) for name in behind_a_switch.ports] == [
        ("pci0000:0f", (None,) * 4, 0), ("0000:11:00.0", (None,) * 4, 0), ("mem2", (None,) * 4, 0)]


@pytest.mark.parametrize("entry, decoder, start, size", [
    ({"memory_devices": ["1"]}, "decoder0.0", FIRST, 512 * MIB),
    ({"memory_devices": ["2", "1"], "size": "512M"}, "decoder0.0", FIRST, 512 * MIB),
    ({"memory_devices": ["4"]}, "decoder0.1", SECOND, 512 * MIB),
    ({"memory_devices": ["3", "4"]}, "decoder0.1", SECOND, 1024 * MIB),
    ({"memory_devices": ["1", "4"]}, "decoder0.2", THIRD, 1024 * MIB),
    (ACROSS, "decoder0.2", THIRD, 2048 * MIB),
    (PMEM, "decoder0.1", SECOND, 512 * MIB),
    (dict(PMEM, size="256M"), "decoder0.1", SECOND, 256 * MIB),
])
def test_the_window_is_chosen_by_what_it_can(bridges, entry, decoder, start, size):
    planned = regions.apply(bridges, [entry], True)[1][0]
    assert (planned["root_decoder"], planned["start"], planned["size"]) == (decoder, start, size)
    made = regions.apply(bridges, [entry])[1][0]
    assert {key: made[key] for key in planned} == planned
    assert regions.apply(bridges, [entry])[0] is False


def test_a_window_for_one_kind_goes_first(bridges):
    bridges.put("/sys/bus/cxl/devices/decoder0.2/cap_ram", "0")
    bridges.put("/sys/bus/cxl/devices/decoder0.2/target_list", "15")
    bridges.put("/sys/bus/cxl/devices/decoder0.2/interleave_ways", "1")
    assert regions.apply(bridges, [PMEM], True)[1][0]["root_decoder"] == "decoder0.2"
    assert regions.apply(bridges, [{"memory_devices": ["3"]}], True)[1][0]["root_decoder"] == "decoder0.1"


@pytest.mark.parametrize("entry, said", [
    ({"memory_devices": ["3", "1"]}, "^the order of .* does not fit the memory window decoder0.2.*: name them as serial 0x1 .*, serial 0x3"),
    ({"memory_devices": ["1", "3", "2"]}, "interleaves 2 host bridges, and 3 memory devices do not fit"),
    ({"memory_devices": ["1", "3"], "granularity": "256"}, "interleaves its host bridges at 4K, so a region in it cannot have granularity 256"),
    ({"memory_devices": ["1"], "root_decoder": "decoder0.1"}, "decoder0.1 leads to pci0000:0f, and serial 0x1 .* lies below pci0000:0c"),
    ({"memory_devices": ["1", "2"], "root_decoder": "decoder0.2"}, "decoder0.2 leads to pci0000:0c, pci0000:0f, and .* lies below pci0000:0c"),
    ({"memory_devices": ["5"]}, r"serial 0x5 .* has no volatile capacity \(512M persistent\): a ram region needs volatile capacity"),
    ({"memory_devices": ["3"], "type": "pmem"}, r"serial 0x3 .* has no persistent capacity \(512M volatile\)"),
    (dict(PMEM, size="1G"), "has 512M of persistent capacity, 1G is wanted of it"),
    (dict(PMEM, size="300M"), "300M is not a multiple of 256M"),
])
def test_refusals_change_nothing(bridges, entry, said):
    refused(bridges, [entry], said)


@pytest.mark.parametrize("kind, entry", [("ram", {"memory_devices": ["4"]}), ("pmem", PMEM)])
def test_window_that_does_not_take_the_kind(bridges, kind, entry):
    bridges.put("/sys/bus/cxl/devices/decoder0.1/cap_" + kind, "0")
    refused(bridges, [entry], "the memory window decoder0.1 takes no %s, and a %s region is wanted of serial" % (kind, kind))
    refused(bridges, [dict(entry, root_decoder="decoder0.1")], "the memory window decoder0.1 takes no %s" % kind)


def test_several_windows_that_all_refuse_are_listed_with_their_reasons(bridges):
    bridges.put("/sys/bus/cxl/devices/decoder0.0/cap_ram", "0")
    bridges.put("/sys/bus/cxl/devices/decoder0.1/target_list", "12")
    bridges.put("/sys/bus/cxl/devices/decoder0.1/size", "0x10000000")
    error = refused(bridges, [{"memory_devices": ["1", "2"]}], "no memory window takes a ram region of serial 0x1")
    assert [line.split(",")[0] for line in error.details] == ["the memory window decoder0.0 takes no ram", "the memory window decoder0.1 has 256M left"]


def test_full_window(bridges):
    bridges.put("/sys/bus/cxl/devices/decoder0.0/size", "0x30000000")
    regions.apply(bridges, [{"memory_devices": ["1"]}])
    refused(bridges, [{"memory_devices": ["2"], "size": "512M"}], "has 256M left, too little for the region of serial 0x2 .*: it has 768M, and 1 regions in it")
    # all is what there is
    assert regions.apply(bridges, [{"memory_devices": ["2"]}])[1][0]["size"] == 256 * MIB


@pytest.mark.parametrize("first, last, size", [(512, 1024, 512), (256, 512, 512), (512, 768, 512)], ids=["its end", "before its middle", "behind its middle"])
def test_all_is_what_firmware_left_of_the_window_in_one_piece(fresh, first, last, size):
    start = fresh.read_int("/sys/bus/cxl/devices/decoder0.0/start")
    fresh.put("/sys/bus/cxl/devices/decoder0.0/size", "0x40000000")
    fresh.put("/proc/iomem", "%x-%x : CXL Window 0\n  %x-%x : System RAM" % (start, start + (1 << 30) - 1, start + first * MIB, start + last * MIB - 1))
    assert regions.apply(fresh, [{"memory_devices": ["1"]}], True)[1][0]["size"] == size * MIB
    assert regions.apply(fresh, [{"memory_devices": ["1"]}])[1][0]["size"] == size * MIB
    assert [regions.apply(fresh, [{"memory_devices": ["1"]}], check_mode)[0] for check_mode in (False, True)] == [False, False]


def test_region_that_a_tool_left_without_devices_is_named_where_room_is_missing(bridges):
    regions.apply(bridges, [{"memory_devices": ["1"]}])
    bridges.run(["cxl", "disable-region", "region0"])
    for name, text in (("commit", "0"), ("target0", "")):
        bridges.put("/sys/bus/cxl/devices/region0/" + name, text)
    bridges.put("/sys/bus/cxl/devices/decoder0.0/size", "0x20000000")
    error = refused(bridges, [{"memory_devices": ["2"]}], "decoder0.0 has 0 left, too little")
    assert error.details == ["region0 was left without devices and holds 512M: echo region0 > /sys/bus/cxl/devices/decoder0.0/delete_region"]


def test_gaps():
    window = cxl.RootDecoder("decoder0.0", 1 << 32, 4 << 30, 1, 256, True, True, ("hb0",))

    def taken(first, size):
        return cxl.Region("region0", "decoder0.0", "ram", (1 << 32) + first * MIB, size * MIB, 1, 256, (), True, True, ())
    assert region_plan.gaps(window, [], []) == [(1 << 32, 4 << 30)]
    assert region_plan.gaps(window, [taken(1024, 512), taken(0, 512)], []) == [((1 << 32) + 512 * MIB, 512 * MIB), ((1 << 32) + 1536 * MIB, 2560 * MIB)]
    assert region_plan.gaps(window, [taken(0, 100)], []) == [((1 << 32) + 256 * MIB, 3840 * MIB)]
    assert region_plan.gaps(window, [taken(0, 4096)], []) == []

    def ram(first, size, name="System RAM"):
        start = (1 << 32) + first * MIB
        return physical_map.Range(start, start + size * MIB - 1, name, ("CXL Window 0",))
    assert region_plan.gaps(window, [], [ram(-512, 1024), ram(3840, 512)]) == [((1 << 32) + 512 * MIB, 3328 * MIB)]
    # firmware set up that region itself, and handed it over as RAM
    assert region_plan.gaps(window, [taken(0, 512)], [ram(0, 512), ram(512, 256, "System RAM (kmem)")]) == [((1 << 32) + 512 * MIB, 3584 * MIB)]


def test_a_window_that_firmware_handed_over_as_ram(boot):
    """The kernel answers "set_size failed: Numerical result out of range" there, and shows the whole window as available."""
    error = refused(boot("ram_window-6.12"), [{"memory_devices": ["1"]}], "the memory window decoder0.0 has 0 left, too little for the region of serial 0x1")
    assert error.details == ["0x100000000-0x13fffffff is ordinary RAM since boot: firmware handed it over as such"]


# the order of decoders


def test_a_region_below_the_address_of_another_one_through_the_same_port(bridges):
    """What ``cxl create-region`` calls "failed to set target0": seen on the guest, with ``HPA order violation`` in the kernel's debug messages."""
    regions.apply(bridges, [ACROSS])
    refused(bridges, [PMEM], r"serial 0x5 .* would start at 0x210000000, and the region of serial 0x1 .*, serial 0x4 \(0000:13:00.0\), at 0x310000000 already, "
                             "goes through the same host bridge pci0000:0f, whose decoders take addresses in ascending order only: remove it, then")
    regions.apply(bridges, [absent(ACROSS)])
    assert regions.apply(bridges, [PMEM, ACROSS])[0] is True


@pytest.mark.parametrize("entries", [[ACROSS, PMEM], [PMEM, ACROSS]])
def test_one_task_makes_them_from_the_lowest_address_up(bridges, entries):
    changed, reports = regions.apply(bridges, entries)[:2]
    assert [report["memory_devices"] for report in reports] == [entry["memory_devices"] for entry in entries]
    assert [line.split()[5] for line in bridges.log if line.startswith("cxl create")] == ["decoder0.1", "decoder0.2"]


def test_removal_goes_from_the_highest_address_down(bridges):
    regions.apply(bridges, [PMEM, {"memory_devices": ["4"]}, {"memory_devices": ["1", "3"]}])
    del bridges.log[:]
    regions.apply(bridges, [absent(PMEM), absent({"memory_devices": ["1", "3"]}), absent({"memory_devices": ["4"]})])
    starts = {line.split()[-1] for line in bridges.log if line.startswith("cxl destroy")}
    assert [line.split()[-1] for line in bridges.log if line.startswith("cxl destroy")] == sorted(starts, reverse=True)
    assert {port.committed for port in cxl.ports(bridges).values()} == {0}


def test_one_region_makes_room_for_another_one_of_its_devices(bridges):
    regions.apply(bridges, [ACROSS])
    entries = [{"memory_devices": ["3", "4"]}, absent(ACROSS), {"memory_devices": ["1"]}]
    assert [regions.apply(bridges, entries, check_mode)[0] for check_mode in (True, False, False, True)] == [True, True, False, False]
    refused(bridges, [{"memory_devices": ["1"]}, absent({"memory_devices": ["1"]})], "serial 0x1 .* is to be present and absent at once")


def test_decoder_given_back_before_a_later_one(bridges):
    """Seen on the guest: ``unable to allocate decoder1.2 due to out of order shutdown``."""
    regions.apply(bridges, [{"memory_devices": ["3"]}, {"memory_devices": ["4"]}])
    regions.apply(bridges, [absent({"memory_devices": ["3"]})])
    assert cxl.ports(bridges)["port1"][2:] == ((None, "region1", None, None), 2)
    refused(bridges, [{"memory_devices": ["1", "3"]}], "host bridge pci0000:0f has decoders of removed regions before that of the region of serial 0x4 .*"
                                                       "the kernel gives out no other until that one is removed, too")
    # both in one task: what is planned counts
    assert regions.apply(bridges, [absent({"memory_devices": ["4"]}), {"memory_devices": ["1", "3"]}])[0] is True


def test_no_decoder_left(bridges):
    for name in ("decoder1.1", "decoder1.2", "decoder1.3"):
        for attribute in ("region", "size"):
            path = "/sys/bus/cxl/devices/%s/%s" % (name, attribute)
            bridges.unlink(path)
    regions.apply(bridges, [{"memory_devices": ["3"]}])
    error = refused(bridges, [{"memory_devices": ["4"]}], "host bridge pci0000:0f has 1 decoder, and none is left")
    assert error.details == ["in use by the region of serial 0x3 (0000:10:00.0)"]


def test_pass_through_host_bridge():
    """One root port: a decoder that is never committed, so one region (seen on a guest: ``next decoder to commit (decoder1.0) is already reserved``)."""
    port = cxl.Port("port1", "pci0000:0f", ("region1",), 0)
    device = cxl.MemoryDevice("mem0", 1, "a", 1, 0, "pci0000:0f", True, ("pci0000:0f",), ("port1",))
    with pytest.raises(TestbedError, match="host bridge pci0000:0f has 1 decoder, and none is left"):
        decode_order.check({"port1": port}, [], [device], [device], 0)
    decode_order.check({"port1": decode_order.given_back(port, "region1")}, [], [device], [device], 0)


def test_decoders_that_do_not_tell_their_regions_forbid_nothing(fresh):
    assert set(cxl.ports(fresh)) and not any(port.decoders for port in cxl.ports(fresh).values())


# persistent regions


def test_pmem_four_steps(bridges):
    assert [regions.apply(bridges, [PMEM], check_mode)[0] for check_mode in (True, False, False, True)] == [True, True, False, False]
    report = regions.apply(bridges, [PMEM])[1][0]
    assert (report["region"], report["nvdimm_region"], report["available"], report["namespaces"]) == ("region0", "region7", 512 * MIB, [])
    assert "dax" not in report
    assert [regions.apply(bridges, [absent(PMEM)], check_mode)[0] for check_mode in (True, False, False, True)] == [True, True, False, False]


def test_pmem_needs_no_kmem(bridges):
    regions.apply(bridges, [PMEM])
    assert not [line for line in bridges.log if "kmem" in line]
    assert [line for line in bridges.log if "modprobe" in line][:2] == ["modprobe -q cxl_pmem", "modprobe -q nd_pmem"]


def test_the_namespaces_of_a_new_region_are_waited_for(bridges, monkeypatch):
    """The labels on the device say what there is; whoever reads wait_probe goes on when the kernel has made it."""
    real = bridges.read

    def read(name):
        if name.endswith("/ndbus0/wait_probe"):
            # kmem may have a name of its dax device on its list
            assert bridges.policies()[0] == "0"
            bridges.put_namespace("store")
        return real(name)
    monkeypatch.setattr(bridges, "read", read)
    assert [entry["name"] for entry in regions.apply(bridges, [PMEM])[1][0]["namespaces"]] == ["store"]
    assert bridges.policies()[0] == "1"


def test_a_region_with_a_namespace_stays_unless_it_may_be_lost(bridges):
    regions.apply(bridges, [PMEM])
    bridges.put_namespace("store")
    assert regions.apply(bridges, [PMEM])[1][0]["namespaces"] == [
        {"name": "store", "uuid": "0c6e1f0a-0000-4000-8000-000000000001", "size": 256 * MIB}]
    error = refused(bridges, [absent(PMEM)], "the region of serial 0x5 .* has 1 namespace: remove them first .*or say allow_data_loss: true")
    assert error.details == ['namespace "store", 256M']
    assert regions.apply(bridges, [dict(absent(PMEM), allow_data_loss=True)])[0] is True


def test_what_is_in_use_stays_whatever_the_task_says(bridges, monkeypatch):
    regions.apply(bridges, [PMEM])
    seed = bridges.put_namespace("store")

    def in_use(host, device, who, allow=False, doing="change"):
        assert (device, allow, doing) == (seed, True, "remove")
        raise TestbedError("will not remove %s: it is in use" % who)
    monkeypatch.setattr(regions.contents, "refuse_loss", in_use)
    refused(bridges, [dict(absent(PMEM), allow_data_loss=True)], 'will not remove namespace "store" in the region of serial 0x5')


def test_region_whose_namespaces_cannot_be_seen(bridges):
    regions.apply(bridges, [PMEM])
    for name in bridges.listdir("/sys/bus/nd/devices"):
        if name.startswith(("region", "namespace")):
            bridges.unlink("/sys/bus/nd/devices/" + name)
    refused(bridges, [absent(PMEM)], "has no NVDIMM region that is enabled, so what it holds cannot be seen")
    refused(bridges, [PMEM], "has no NVDIMM region: load cxl_pmem")


def test_a_disabled_nvdimm_region_is_not_an_empty_one(bridges):
    """The kernel has no namespaces of it then; labels and contents are there all the same."""
    regions.apply(bridges, [PMEM])
    bridges.unlink("/sys/bus/nd/devices/region7/driver")
    refused(bridges, [absent(PMEM)], "has no NVDIMM region that is enabled, so what it holds cannot be seen")
    assert regions.apply(bridges, [dict(absent(PMEM), allow_data_loss=True)])[0] is True


def test_absence_of_the_other_kind_is_not_taken_for_the_one_there_is(bridges):
    regions.apply(bridges, [PMEM])
    refused(bridges, [{"memory_devices": ["5"], "state": "absent"}], "is a pmem region, not ram: say type: pmem if that is the one to remove")


def both_kinds(host):
    place = "/sys/bus/cxl/devices/mem0/ram/size"
    host.put(place, "0x20000000")


def test_a_device_with_both_kinds_is_in_a_region_of_each(bridges):
    both_kinds(bridges)
    ram = {"memory_devices": ["5"]}
    changed, reports = regions.apply(bridges, [PMEM, ram])[:2]
    assert [(report["mode"], report["start"]) for report in reports] == [("pmem", SECOND + 512 * MIB), ("ram", SECOND)]
    assert regions.apply(bridges, [PMEM, ram])[0] is False
    refused(bridges, [absent(ram)], "the ram region of serial 0x5 .* cannot go before the pmem region of memory device serial 0x5 .*, which was made after it")
    regions.apply(bridges, [absent(ram), absent(PMEM)])
    regions.apply(bridges, [PMEM])
    assert regions.apply(bridges, [PMEM, absent(ram)])[0] is False
    refused(bridges, [ram], "its persistent capacity is in a region already, and the kernel gives out volatile capacity only before that")


def test_twins_are_told_apart_by_address(bridges):
    for name in ("mem1", "mem4"):
        bridges.put("/sys/bus/cxl/devices/%s/serial" % name, "0x0")
    refused(bridges, [{"memory_devices": ["0", "0x3"]}],
            "2 CXL memory devices have serial 0x0: name the one you mean by PCI address: 0000:0d:00.0, 0000:0e:00.0")
    made = regions.apply(bridges, [{"memory_devices": ["0000:0d:00.0", "0000:0e:00.0"]}])[1][0]
    assert (made["serials"], made["pci"], made["ways"]) == (["0x0", "0x0"], ["0000:0d:00.0", "0000:0e:00.0"], 2)


def test_a_kernel_before_regions_of_volatile_memory(bridges):
    bridges.put("/proc/sys/kernel/osrelease", "6.1.0-56-amd64")
    exc = refused(bridges, [{"memory_devices": ["1"]}], r"no region can be made of serial 0x1 .*: Linux 6.1.0-56-amd64 makes none of volatile CXL memory")
    assert exc.remedy == "use Linux 6.3 or newer"
    assert regions.apply(bridges, [PMEM], True)[0] is True
