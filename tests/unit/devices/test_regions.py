# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL regions as declared state."""
from __future__ import annotations

import errno
import os
import shutil

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds, regions, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

GIB = 1 << 30
BOTH = [{"memory_devices": ["1"]}, {"memory_devices": ["0000:41:00.0"]}]
GONE = [dict(entry, state="absent") for entry in BOTH]
CREATE = "cxl create-region"


def commands(host):
    return [line for line in host.log if line.startswith("cxl ")]


def test_four_steps(fresh):
    assert regions.apply(fresh, BOTH, check_mode=True)[0] is True
    assert fresh.log == []
    changed, reports, before = regions.apply(fresh, BOTH)
    assert changed is True
    assert [report["state"] for report in before] == ["absent", "absent"]
    assert [(report["region"], report["root_decoder"], report["size"], report["dax"], report["driver"], report["node"]) for report in reports] == [
        ("region0", "decoder0.0", GIB, "dax0.0", None, 1), ("region1", "decoder0.1", GIB, "dax1.0", None, 2)]
    assert regions.apply(fresh, BOTH)[0] is False
    assert regions.apply(fresh, BOTH, check_mode=True)[0] is False


def test_the_new_dax_device_meets_no_driver(fresh):
    regions.apply(fresh, BOTH)
    held = fresh.log.index("%s < 0" % holds.AUTOPROBE)
    loaded = [fresh.log.index("modprobe -q %s" % name) for name in ("device_dax", "kmem", "dax_cxl")]
    made = [index for index, line in enumerate(fresh.log) if line.startswith(CREATE)]
    released = fresh.log.index("%s < 1" % holds.AUTOPROBE)
    assert held < min(loaded) and max(loaded) < min(made) and max(made) < released
    assert fresh.policies() == ("1", "online")


def test_kernel_names_are_resolved_when_needed(fresh):
    regions.apply(fresh, [{"memory_devices": ["0x1"], "size": "512M"}])
    assert commands(fresh) == ["cxl create-region -t ram -d decoder0.0 -s 536870912 -m mem1"]
    regions.apply(fresh, [{"memory_devices": ["0x2"], "granularity": "4K"}])
    assert commands(fresh)[1:] == ["cxl create-region -t ram -d decoder0.1 -s 1073741824 -g 4096 -m mem0"]


def test_removal(fresh):
    regions.apply(fresh, BOTH)
    assert regions.apply(fresh, GONE, check_mode=True)[0] is True
    changed, reports = regions.apply(fresh, GONE)[:2]
    assert changed is True
    assert [report["state"] for report in reports] == ["absent", "absent"]
    assert regions.apply(fresh, GONE)[0] is False
    assert regions.apply(fresh, GONE, check_mode=True)[0] is False


def test_removal_releases_a_device_whose_blocks_are_offline(bound):
    regions.apply(bound, [{"memory_devices": ["2"], "state": "absent"}])
    assert bound.dax_state() == {"dax0.0": ("kmem", "1")}


DEVDAX = [{"memory_devices": ["1"], "mode": "devdax", "parts": [{"size": "512M"}, {"size": "all"}]}]


def test_removal_releases_devices_that_no_program_has(fresh):
    regions.apply(fresh, BOTH)
    system_ram.apply(fresh, DEVDAX)
    assert regions.apply(fresh, GONE, check_mode=True)[0] is True
    assert regions.apply(fresh, GONE)[0] is True
    assert fresh.dax_state() == {}
    assert [regions.apply(fresh, GONE, check_mode)[0] for check_mode in (False, True)] == [False, False]


@pytest.mark.parametrize("allow", [False, True])
def test_no_removal_of_a_device_that_a_program_has(fresh, allow):
    """The second part is open in a process."""
    regions.apply(fresh, BOTH)
    system_ram.apply(fresh, DEVDAX)
    number = os.stat("/dev/null").st_rdev
    fresh.put("/sys/bus/dax/devices/dax0.1/dev", "%d:%d" % (os.major(number), os.minor(number)))
    fresh.put("/proc/77/comm", "database")
    os.makedirs(fresh.path("/proc/77/fd"))
    os.symlink("/dev/null", fresh.path("/proc/77/fd/3"))
    before = fresh.dax_state()
    del fresh.log[:]
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="will not remove the region of serial 0x1 .*: it is in use") as caught:
            regions.apply(fresh, [dict(GONE[0], allow_data_loss=allow)], check_mode)
        assert caught.value.details == ["found: in use by process 77 (database), which has it open"]
    assert (fresh.log, fresh.dax_state()) == ([], before)


def test_no_removal_of_a_device_that_holds_something(fresh):
    """Of its second part, unless it may be lost; what is system RAM holds nothing that is anybody's."""
    regions.apply(fresh, BOTH)
    system_ram.apply(fresh, DEVDAX)
    fresh.filled = {"dax0.1": 0x2000}
    before = fresh.dax_state()
    del fresh.log[:]
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="will not remove the region of serial 0x1 .*: it holds data: say allow_data_loss: true") as caught:
            regions.apply(fresh, GONE[:1], check_mode)
        assert caught.value.details == ["found: bytes that are not zero, at 0x2000 and perhaps elsewhere, without a known signature"]
    assert (fresh.log, fresh.dax_state()) == ([], before)
    assert regions.apply(fresh, [dict(GONE[0], allow_data_loss=True), GONE[1]])[0] is True
    regions.apply(fresh, BOTH)
    system_ram.apply(fresh, [{"memory_devices": ["1"], "memmap": "device"}])
    fresh.filled = {"dax0.0": 0}
    assert regions.apply(fresh, GONE[:1])[0] is True


def test_a_removal_that_fails_gives_a_device_back_to_device_dax(fresh):
    regions.apply(fresh, BOTH)
    system_ram.apply(fresh, [{"memory_devices": ["1"], "mode": "devdax"}])
    fresh.faults["cxl destroy-region"] = [errno.EBUSY]
    with pytest.raises(TestbedError, match="cxl destroy-region region0 failed") as caught:
        regions.apply(fresh, GONE[:1])
    assert caught.value.changed is False
    assert fresh.dax_state()["dax0.0"][0] == "device_dax"
    assert fresh.policies() == ("1", "online") and fresh.ids == set()


def test_no_removal_of_a_device_that_was_added_in_part(bound):
    """Linux 6.12 would follow a null pointer."""
    shutil.rmtree(bound.path("/sys/devices/system/memory/memory377"))
    gone = [{"memory_devices": ["2"], "state": "absent"}]
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="cannot go: dax1.0 was added in part, and the kernel may crash when it is released: it stays with kmem: reboot"):
            regions.apply(bound, gone, check_mode)
    assert bound.log == []
    # 7.3 has a state, and can
    bound.put("/sys/bus/dax/devices/dax1.0/state", "offline")
    assert regions.apply(bound, gone, check_mode=True)[0] is True


@pytest.mark.parametrize("command", ["cxl disable-region", "cxl destroy-region"])
def test_a_removal_that_fails_is_undone(bound, command):
    before = bound.dax_state(), bound.online()
    bound.faults[command] = [errno.EBUSY]
    with pytest.raises(TestbedError, match="%s region1 failed" % command) as caught:
        regions.apply(bound, [{"memory_devices": ["2"], "state": "absent"}])
    assert caught.value.details[-1] == "undone: the dax device of the region of serial 0x2 (0000:41:00.0) released from kmem"
    assert caught.value.changed is False
    assert (bound.dax_state(), bound.online()) == before
    assert bound.policies() == ("1", "online")
    assert len([name for name in bound.listdir("/sys/devices/system/memory") if name.startswith("memory37")]) == 8


def test_a_removal_that_cannot_be_undone_is_a_change(bound):
    bound.faults = {"cxl destroy-region": [errno.EBUSY], "cxl enable-region": [errno.EBUSY]}
    with pytest.raises(TestbedError, match="could not undo: the region of serial 0x2 .* disabled: cxl enable-region region1 failed") as caught:
        regions.apply(bound, [{"memory_devices": ["2"], "state": "absent"}])
    assert caught.value.changed is True


@pytest.mark.parametrize("said", ["the tool cxl is not installed", None], ids=["absent", "rubbish"])
def test_no_removal_with_a_cxl_that_does_nothing(bound, said):
    before, plain = (bound.dax_state(), bound.online()), bound.run

    def run(argv, timeout=120):
        if argv[0] != "cxl":
            return plain(argv, timeout)
        if said:
            raise TestbedError(said)
        return "[{"
    bound.run = run
    with pytest.raises(TestbedError, match=said or "the region of serial 0x2 .* is still there although it was removed without an error") as caught:
        regions.apply(bound, [{"memory_devices": ["2"], "state": "absent"}])
    assert caught.value.changed is False
    assert (bound.dax_state(), bound.online(), bound.policies()) == before + (("1", "online"),)
    assert not said or bound.log == []


def test_no_removal_with_blocks_online(bound):
    with pytest.raises(TestbedError, match="has 4 memory blocks online, 338 is the first: removing it would take memory away that is in use"):
        regions.apply(bound, GONE)
    assert bound.log == []


@pytest.mark.parametrize("left", ["driver", ""], ids=["kmem has let go of it", "firmware made it memory"])
def test_no_removal_with_blocks_online_that_no_driver_has(bound, left):
    if left:
        os.unlink(bound.path("/sys/bus/dax/devices/dax0.0/driver"))
    else:
        os.unlink(bound.path("/sys/bus/dax/devices/dax0.0"))
    with pytest.raises(TestbedError, match="has 4 memory blocks online, 338 is the first"):
        regions.apply(bound, [{"memory_devices": ["1"], "state": "absent"}])
    assert bound.log == []


@pytest.mark.parametrize("entry, said", [
    ({"memory_devices": ["9"]}, "no CXL memory device with serial 0x9: there are"),
    ({"memory_devices": ["mem0"]}, "changes between boots"),
    ({"memory_devices": []}, "names no memory device"),
    ({"memory_devices": ["1"], "size": "300M"}, "300M is not a multiple of this host's memory block, 128M"),
    ({"memory_devices": ["1"], "size": "128M"}, "128M is not a multiple of 256M"),
    ({"memory_devices": ["1"], "size": "0"}, "not a multiple"),
    ({"memory_devices": ["1"], "size": "plenty"}, "is not a size"),
    ({"memory_devices": ["1"], "size": "2G"}, "has 1G of volatile capacity, 2G is wanted of it"),
    ({"memory_devices": ["1", "2"]}, "no memory window takes a ram region of .*decoder0.0: ram and pmem to pci0000:0c; decoder0.1: ram and pmem to"),
    ({"memory_devices": ["1"], "root_decoder": "decoder0.7"}, "no root decoder decoder0.7"),
])
def test_refusals_change_nothing(fresh, entry, said):
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=said):
            regions.apply(fresh, [entry], check_mode)
    assert fresh.log == []


def test_one_device_in_two_entries(fresh):
    with pytest.raises(TestbedError, match="named in two regions"):
        regions.apply(fresh, [{"memory_devices": ["1"]}, {"memory_devices": ["0000:0d:00.0"]}])


def test_another_size_is_not_a_resize(fresh):
    regions.apply(fresh, [{"memory_devices": ["1"], "size": "512M"}])
    assert regions.apply(fresh, [{"memory_devices": ["1"], "size": "512M"}])[0] is False
    with pytest.raises(TestbedError, match="has 512M, wanted 1G: regions cannot be resized"):
        regions.apply(fresh, [{"memory_devices": ["1"], "size": "1G"}])
    with pytest.raises(TestbedError, match="has 512M, wanted all: 512M more is there"):
        regions.apply(fresh, [{"memory_devices": ["1"]}])


def test_a_device_of_another_region(fresh):
    regions.apply(fresh, [{"memory_devices": ["1"]}])
    with pytest.raises(TestbedError, match="already part of a region of 1"):
        regions.apply(fresh, [{"memory_devices": ["1", "2"]}])


def test_the_same_devices_in_another_order_are_another_region(bridges):
    regions.apply(bridges, [{"memory_devices": ["1", "2"]}])
    for state in ("present", "absent"):
        entry = [{"memory_devices": ["2", "1"], "state": state}]
        if state == "present":
            with pytest.raises(TestbedError, match="already part of a region of 2, the same ones in another order: serial 0x1 .*, serial 0x2"):
                regions.apply(bridges, entry)
        else:
            assert regions.apply(bridges, entry)[0] is False


def test_another_granularity_is_another_region(bridges):
    regions.apply(bridges, [{"memory_devices": ["1", "2"], "granularity": "1K"}])
    assert regions.apply(bridges, [{"memory_devices": ["1", "2"], "granularity": "1024"}])[0] is False
    assert regions.apply(bridges, [{"memory_devices": ["1", "2"]}])[0] is False
    with pytest.raises(TestbedError, match="has granularity 1K, wanted 4K: remove it first"):
        regions.apply(bridges, [{"memory_devices": ["1", "2"], "granularity": "4K"}])
    with pytest.raises(TestbedError, match="granularity of the region of .* is not a size"):
        regions.apply(bridges, [{"memory_devices": ["1", "2"], "granularity": "coarse"}])


def test_memory_device_that_its_driver_refused(fresh):
    place = "/sys/bus/cxl/devices/mem1"
    os.unlink(fresh.path(place + "/driver"))
    with pytest.raises(TestbedError, match="is there, but its driver cxl_mem could not set it up"):
        regions.apply(fresh, BOTH)


def test_half_made_region_is_not_taken_for_a_region(fresh):
    regions.apply(fresh, BOTH)
    fresh.put("/sys/bus/cxl/devices/region0/commit", "0")
    with pytest.raises(TestbedError, match="was not set up to its end"):
        regions.apply(fresh, BOTH)


def leave_unfinished(host):
    """A tool that died after it had set the first of two targets."""
    regions.apply(host, [{"memory_devices": ["1", "3"]}])
    for name, text in (("commit", "0"), ("target1", "")):
        host.put("/sys/bus/cxl/devices/region0/" + name, text)
    host.put("/sys/bus/cxl/devices/decoder5.0/dpa_size", "0x20000000")
    host.run(["cxl", "disable-region", "region0"])
    del host.log[:]


def test_region_that_somebody_left_half_made(bridges):
    leave_unfinished(bridges)
    for state in ({"memory_devices": ["1", "3"]}, {"memory_devices": ["1"]}):
        with pytest.raises(TestbedError, match="begun and not set up to its end: remove it|the next decoder of|already part of a region of 2"):
            regions.apply(bridges, [state])
    assert bridges.log == []
    assert regions.apply(bridges, [{"memory_devices": ["1", "3"], "state": "absent"}])[0] is True
    assert bridges.log == ["/sys/bus/cxl/devices/decoder0.2/delete_region < region0", "/sys/bus/cxl/devices/decoder5.0/dpa_size < 0"]
    assert regions.apply(bridges, [{"memory_devices": ["1", "3"]}])[0] is True


def test_what_a_failing_tool_leaves_is_taken_away(bridges):
    def die():
        leave_unfinished(bridges)
        raise TestbedError("cxl create-region failed with exit code 1")
    bridges.hooks[CREATE] = lambda: (bridges.hooks.clear(), die())
    with pytest.raises(TestbedError) as caught:
        regions.apply(bridges, [{"memory_devices": ["1", "3"]}])
    assert caught.value.details[-1].startswith("undone: the region of serial 0x1")
    assert not [name for name in bridges.listdir("/sys/bus/cxl/devices") if name.startswith("region")]
    assert bridges.policies() == ("1", "online")


def test_tool_failure_restores_policies_and_names_what_was_made(fresh):
    fresh.faults[CREATE] = [0, errno.ENOSPC]
    with pytest.raises(TestbedError) as caught:
        regions.apply(fresh, BOTH)
    assert caught.value.summary == "the region of serial 0x2 (0000:41:00.0) could not be made"
    assert "less free capacity" in caught.value.remedy
    assert caught.value.details[-1] == "made before that, and kept: the region of serial 0x1 (0000:0d:00.0)"
    assert fresh.policies() == ("1", "online")
    assert regions.apply(fresh, BOTH)[0] is True


def test_commit_refused_under_a_hypervisor_bit(fresh):
    fresh.faults[CREATE] = [errno.ENXIO] * 2
    fresh.put("/proc/cpuinfo", "flags\t\t: fpu hypervisor lahf_lm")
    fresh.fault_text = "region0: failed to commit decode: %s"
    with pytest.raises(TestbedError, match="could not be made: .*hypervisor bit.*-cpu max,-hypervisor"):
        regions.apply(fresh, BOTH)
    fresh.put("/proc/cpuinfo", "flags\t\t: fpu lahf_lm")
    with pytest.raises(TestbedError) as caught:
        regions.apply(fresh, BOTH)
    assert caught.value.remedy is None
    fresh.put("/proc/cpuinfo", "Features\t: fp asimd")
    fresh.faults[CREATE] = [errno.ENXIO]
    with pytest.raises(TestbedError, match="this architecture's kernel may not be able to invalidate CPU caches"):
        regions.apply(fresh, BOTH)


def test_hypervisor_bit_is_seen_beforehand_where_the_kernel_tells_its_configuration(fresh):
    fresh.put("/proc/cpuinfo", "flags\t\t: fpu hypervisor lahf_lm")
    fresh.put("/proc/sys/kernel/osrelease", "6.12.0")
    fresh.put("/boot/config-6.12.0", "# CONFIG_CXL_REGION_INVALIDATION_TEST is not set")
    with pytest.raises(TestbedError, match="^no CXL region can be made here: .*hypervisor bit"):
        regions.apply(fresh, BOTH)
    assert fresh.log == []
    fresh.put("/boot/config-6.12.0", "CONFIG_CXL_REGION_INVALIDATION_TEST=y")
    assert regions.apply(fresh, BOTH)[0] is True


def test_region_without_its_dax_device_is_taken_back(fresh, monkeypatch):
    def lose_dax():
        os.unlink(fresh.path("/sys/bus/dax/devices/dax0.0"))
    fresh.hooks[CREATE] = lose_dax
    real = fresh.wait_until
    monkeypatch.setattr(fresh, "wait_until", lambda condition, what, timeout=30.0, interval=0.02: real(condition, what, 0.05, interval))
    with pytest.raises(TestbedError, match="dax device of the region of serial 0x1.*not seen") as caught:
        regions.apply(fresh, BOTH[:1])
    assert caught.value.details == ["undone: the region of serial 0x1 (0000:0d:00.0)"]
    assert commands(fresh)[-1] == "cxl destroy-region region0"
    assert fresh.policies() == ("1", "online")


def test_no_kmem_at_all(fresh):
    shutil.rmtree(fresh.path("/sys/bus/dax/drivers/kmem"))
    fresh.faults["modprobe -q kmem"] = [errno.ENOENT]
    with pytest.raises(TestbedError, match="the driver kmem.*cannot be loaded: the kernel needs CONFIG_DEV_DAX_KMEM"):
        regions.apply(fresh, BOTH)
    assert commands(fresh) == []


SIZE = "/sys/bus/cxl/devices/region0/size"
UNSETTLED = "the region of serial 0x1 .* is being made or taken down: the kernel tells no size of it: run again when that has ended"


def unreadable(host, name):
    """As of an object that goes: the attribute is there, and reading it fails, for root too."""
    host.unlink(name)
    os.makedirs(host.path(name))


@pytest.fixture(name="unsettled", params=["", "0x0", "-", None], ids=["empty", "zero", "rubbish", "unreadable"])
def bound_while_the_size_cannot_be_read(bound, request):
    """The recorded guest; changed: the size of the committed region of serial 0x1."""
    unreadable(bound, SIZE) if request.param is None else bound.put(SIZE, request.param)
    return bound


@pytest.mark.parametrize("size", ["all", "1G"])
def test_a_committed_region_without_size_is_being_made_and_left_alone(unsettled, size):
    before = unsettled.online(), unsettled.dax_state()
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=UNSETTLED):
            regions.apply(unsettled, [dict(BOTH[0], size=size)], check_mode)
    assert unsettled.log == [] and (unsettled.online(), unsettled.dax_state()) == before


def test_regions_of_other_windows_are_none_of_its_business(unsettled):
    assert regions.apply(unsettled, BOTH[1:])[0] is False
    regions.apply(unsettled, GONE[1:])
    assert regions.apply(unsettled, BOTH[1:])[1][0]["size"] == GIB


def test_one_that_stays_without_size_goes(unsettled):
    for number in unsettled.online():
        unsettled.write("/sys/devices/system/memory/memory%d/state" % number, "offline")
    inventory, wanted = regions.parse_all(unsettled, GONE[:1])
    report = regions.status(unsettled, inventory, wanted[0])
    assert (report["state"], report["size"]) == ("present", None)
    assert regions.apply(unsettled, GONE[:1])[1][0]["state"] == "absent"


def test_where_a_region_would_lie_beside_one_without_size_cannot_be_said(bridges):
    """The recorded guest with a region; changed: that one's size."""
    regions.apply(bridges, [{"memory_devices": ["1"], "size": "256M"}, {"memory_devices": ["3"]}])
    size = next(path for path in ("/sys/bus/cxl/devices/%s/size" % name for name in ("region0", "region1")) if bridges.read(path) == "0x10000000")
    bridges.put(size, "")
    del bridges.log[:]
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=r"where a region of serial 0x2 .* would lie in the memory window decoder0.0 cannot be said: "
                                               "the region of serial 0x1 .* there is being made or taken down"):
            regions.apply(bridges, [{"memory_devices": ["2"]}], check_mode)
    assert bridges.log == []
    assert regions.apply(bridges, [{"memory_devices": ["3"]}])[0] is False
    # Of one that was only begun, somebody gave up: it takes no room, and is no reason to wait.
    bridges.put(os.path.dirname(size) + "/commit", "0")
    bridges.unlink(os.path.dirname(size) + "/driver")
    bridges.put(os.path.dirname(size) + "/resource", "0xffffffffffffffff")
    assert regions.apply(bridges, [{"memory_devices": ["2"]}], True)[1][0]["start"] == 0x110000000


def test_a_new_region_is_waited_for_until_it_has_its_size(fresh, monkeypatch):
    fresh.hooks[CREATE] = lambda: fresh.put(SIZE, "")
    real = fresh.wait_until

    def wait(condition, what, timeout=30.0, interval=0.02):
        assert not condition()
        fresh.put(SIZE, "%#x" % GIB)
        return real(condition, what, timeout, interval)
    monkeypatch.setattr(fresh, "wait_until", wait)
    assert regions.apply(fresh, BOTH[:1])[1][0]["size"] == GIB
