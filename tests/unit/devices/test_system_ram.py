# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as system RAM, their memmap where it was asked for."""
from __future__ import annotations

import errno
import os
import re
import signal

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, holds, preflight, regions, signals, stepwise, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import read_zones
from ansible_collections.memlab.testbed.tests.synthetic import kcore

ONE, TWO = "1", "2"
BIND = "/sys/bus/dax/drivers/kmem/bind"
MEMORY = "/sys/devices/system/memory"


def wanted(first="device", second="dram", **more):
    return [dict(more, memory_devices=[ONE], memmap=first), dict(more, memory_devices=[TWO], memmap=second)]


@pytest.fixture(name="made")
def make_regions(fresh):
    """A host with both regions, their dax devices unbound."""
    regions.apply(fresh, [{"memory_devices": [ONE]}, {"memory_devices": [TWO]}])
    del fresh.log[:]
    return fresh


def test_four_steps(made):
    assert system_ram.apply(made, wanted(), check_mode=True)[0] is True
    assert made.log == []
    changed, reports, before, policy = system_ram.apply(made, wanted())
    assert (changed, policy) == (True, "online")
    assert [report["mode"] for report in before] == [None, None]
    assert [(report["driver"], report["knob"], report["node"], report["blocks"], report["blocks_online"], report["first_block"]) for report in reports] == [
        ("kmem", True, 1, 8, 0, 338), ("kmem", False, 2, 8, 0, 370)]
    assert made.policies() == ("1", "online")
    assert system_ram.apply(made, wanted())[0] is False
    assert system_ram.apply(made, wanted(), check_mode=True)[0] is False


def test_knob_before_bind_and_dram_first(made):
    system_ram.apply(made, wanted())
    knob = made.log.index("/sys/bus/dax/devices/dax1.0/memmap_on_memory < 0")
    binds = [line for line in made.log if line.startswith(BIND)]
    assert binds == [BIND + " < dax1.0", BIND + " < dax0.0"]
    assert made.log.index("%s < offline" % holds.AUTO_ONLINE) < knob < made.log.index(binds[0])


def test_swap(bound):
    with pytest.raises(TestbedError, match="cannot move while memory blocks are online: 4 of 8 are, 338 is the first: set offline: true"):
        system_ram.apply(bound, wanted("dram", "device"))
    changed, reports = system_ram.apply(bound, wanted("dram", "device", offline=True))[:2]
    assert changed is True
    assert bound.dax_state() == {"dax0.0": ("kmem", "0"), "dax1.0": ("kmem", "1")}
    assert bound.online() == {}
    assert [report["changed"] for report in reports] == [True, True]
    assert bound.policies() == ("1", "online")


def test_only_what_differs_is_touched(bound):
    reports = system_ram.apply(bound, wanted("device", "device"))[1]
    assert [report["changed"] for report in reports] == [False, True]
    assert len(bound.online()) == 4


def test_check_mode_before_the_region_is_there(fresh):
    changed, reports = system_ram.apply(fresh, wanted(), check_mode=True)[:2]
    assert changed is True
    assert [report["changed"] for report in reports] == [True, True]
    with pytest.raises(TestbedError, match="no region is made of memory device serial 0x1"):
        system_ram.apply(fresh, wanted())


@pytest.mark.parametrize("value, said", [("N", "boot parameter memory_hotplug.memmap_on_memory is off .*reads N.*: boot with"),
                                         (None, "CONFIG_MHP_MEMMAP_ON_MEMORY")])
def test_boot_parameter(made, value, said):
    if value is None:
        os.unlink(made.path(dax.BOOT_PARAMETER))
    else:
        made.put(dax.BOOT_PARAMETER, value)
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="serial 0x1.*" + said):
            system_ram.apply(made, wanted(), check_mode)
    assert made.log == []
    assert system_ram.apply(made, wanted("dram"))[0] is True


def test_what_no_other_kernel_changes_is_said_before_what_this_one_lacks(made):
    """Whoever is about to reboot into another kernel asks in check mode first."""
    made.put(dax.BOOT_PARAMETER, "N")
    made.put("/proc/zoneinfo", "Node 0, zone   Normal\n  pages free     1\n        high     1\n        present  1\n  start_pfn:     1\n")
    with pytest.raises(TestbedError, match="needs .* of DRAM, and node") as raised:
        system_ram.apply(made, wanted("device", "dram"), check_mode=True)
    assert raised.value.fail_arguments()["any_kernel"]
    with pytest.raises(TestbedError, match="boot parameter memory_hotplug.memmap_on_memory is off") as raised:
        system_ram.apply(made, wanted("device", "device"), check_mode=True)
    assert "any_kernel" not in raised.value.fail_arguments()


def test_boot_parameter_counts_for_a_device_that_looks_right(bound):
    bound.put(dax.BOOT_PARAMETER, "N")
    with pytest.raises(TestbedError, match="boot parameter memory_hotplug.memmap_on_memory is off"):
        system_ram.apply(bound, wanted())


def test_kernel_that_cannot(made):
    made.self_hosting = False
    with pytest.raises(TestbedError, match=r"will not keep a memmap on dax0.0 \(EOPNOTSUPP\) although the boot parameter is on"):
        system_ram.apply(made, wanted())
    assert made.dax_state() == {"dax0.0": (None, "1"), "dax1.0": (None, "1")}


@pytest.mark.parametrize("capable", [True, False])
def test_probe_leaves_the_knob(bound, capable):
    bound.self_hosting = capable
    for name in ("dax0.0", "dax1.0"):
        device = dax.read(bound, name)
        if capable:
            dax.probe_self_hosting(bound, device)
        else:
            with pytest.raises(TestbedError, match="EOPNOTSUPP"):
                dax.probe_self_hosting(bound, device)
    assert bound.dax_state() == {"dax0.0": ("kmem", "1"), "dax1.0": ("kmem", "0")}


def test_probe_of_an_unbound_device_puts_its_0_back(made):
    dax.write_knob(made, "dax0.0", False)
    dax.probe_self_hosting(made, dax.read(made, "dax0.0"))
    assert made.dax_state()["dax0.0"] == (None, "0")


def test_a_signal_during_the_probe_waits_for_its_end(made):
    knob = "/sys/bus/dax/devices/dax0.0/memmap_on_memory"
    dax.write_knob(made, "dax0.0", False)
    made.hooks[knob] = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(signals.Interrupted), signals.as_errors():
        dax.probe_self_hosting(made, dax.read(made, "dax0.0"))
    assert made.read(knob) == "0"


def test_kernel_without_the_knob(made):
    made.put("/proc/sys/kernel/osrelease", "6.1.0-39-amd64")
    for name in ("dax0.0", "dax1.0"):
        os.unlink(made.path("/sys/bus/dax/devices/%s/memmap_on_memory" % name))
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="has no knob memmap_on_memory.*came with kernel 6.8; this is 6.1.0-39-amd64"):
            system_ram.apply(made, wanted(), check_mode)
    changed, reports = system_ram.apply(made, wanted("dram"))[:2]
    assert changed is True
    assert [report["knob"] for report in reports] == [None, None]
    assert system_ram.apply(made, wanted("dram"))[0] is False


def test_too_little_dram(made, monkeypatch):
    zoneinfo = re.sub(r"pages free +[0-9]+", "pages free 4000", made.read("/proc/zoneinfo"))
    made.put("/proc/zoneinfo", re.sub(r"(nr_zone_(?:in)?active_file) [0-9]+", r"\1 0", zoneinfo))
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=r"memmap of 2G needs 32.0 MiB of DRAM, and node 0 can give [0-9.]+ MiB: use memmap: device"):
            system_ram.apply(made, wanted("dram", "dram"), check_mode)
    assert made.log == []


def test_a_kernel_with_a_larger_struct_page_needs_more_dram(made):
    kcore.write(made.path("/proc/kcore"), [], struct_page=128)
    made.put("/proc/zoneinfo", "Node 0, zone   Normal\n  pages free     1\n        high     1\n        present  1\n  start_pfn:     1\n")
    with pytest.raises(TestbedError, match="memmap of 2G needs 64.0 MiB of DRAM"):
        system_ram.apply(made, wanted("dram", "dram"), check_mode=True)


def test_zoneinfo_of_a_real_guest(bound):
    zones = {(zone.node, zone.name): zone for zone in read_zones(bound)}
    dma = zones[0, "DMA"]
    assert 0 < dma.low < dma.high < dma.free < 3840
    assert zones[1, "Movable"].free > 100000
    assert preflight.dram_nodes(bound, dax.read_all(bound), 128 << 20) == [0]
    assert 1 << 17 < preflight.available(zones.values(), [0]) < 1 << 19
    assert preflight.available(zones.values(), [1]) == 0


def test_memmap_is_a_64th():
    assert preflight.memmap_bytes(1 << 30, 4096) == 1 << 24
    assert preflight.memmap_bytes(1 << 30, 65536) == 1 << 20


@pytest.mark.parametrize("node, distances, refused", [
    (1, "20 10", True),
    (2, None, True),
    (2, "20 20 10", True),
    (2, "30 20 10", True),
    (2, "20 30 10", False),
    (2, "20 10", True),
])
def test_a_device_online_in_a_kernel_zone_draws_the_memmap(bound, node, distances, refused):
    """Measured on 6.12: device 1 online in node 1's kernel zone, all distances 20; all of device 2's memmap, node 2, lay on device 1."""
    bound.put("/sys/bus/dax/devices/dax1.0/target_node", str(node))
    bound.put("/sys/bus/dax/devices/dax1.0/memmap_on_memory", "1")
    bound.put("/sys/devices/system/memory/memory345/state", "online")
    bound.put("/sys/devices/system/memory/memory345/valid_zones", "Normal")
    if distances:
        bound.put("/sys/devices/system/node/node%d/distance" % node, distances)
    if node == 1:
        for block in range(370, 378):
            os.rename(bound.path("/sys/devices/system/node/node2/memory%d" % block), bound.path("/sys/devices/system/node/node1/memory%d" % block))
    if not refused:
        assert system_ram.apply(bound, wanted())[0] is True
        return
    with pytest.raises(TestbedError, match="would not go to DRAM: memory block 345 of another device is online in a kernel zone of node 1, and the kernel "
                       "takes the memmap of memory on node %d from there first" % node):
        system_ram.apply(bound, wanted())
    assert bound.log == []


@pytest.mark.parametrize("gone", [False, True])
def test_memory_that_a_driver_left_behind_draws_the_memmap(bound, gone):
    bound.leave_behind("dax0.0", gone)
    bound.put("/sys/bus/dax/devices/dax1.0/memmap_on_memory", "1")
    bound.put("/sys/devices/system/memory/memory338/valid_zones", "Normal")
    with pytest.raises(TestbedError, match="would not go to DRAM: memory block 338 of another device is online in a kernel zone of node 1"):
        system_ram.apply(bound, wanted()[1:])
    assert bound.log == []


def test_bind_failure_is_undone(bound):
    bound.faults[BIND] = [0, errno.ENOMEM]
    before = bound.online()
    with pytest.raises(TestbedError) as caught:
        system_ram.apply(bound, wanted("dram", "device", offline=True))
    assert caught.value.summary == "memory device serial 0x2 (0000:41:00.0): dax1.0: bind of kmem failed (ENOMEM)"
    assert caught.value.remedy == "there was no memory for the memmap"
    assert all(line.startswith("undone: ") for line in caught.value.details)
    assert bound.dax_state() == {"dax0.0": ("kmem", "1"), "dax1.0": ("kmem", "0")}
    assert bound.online() == before
    assert bound.policies() == ("1", "online")


def test_first_bind_failure_leaves_an_unbound_device_as_it_was(made):
    made.faults[BIND] = [errno.ENOSPC]
    with pytest.raises(TestbedError, match="ENOSPC.*holds no whole memory block"):
        system_ram.apply(made, wanted())
    assert made.dax_state() == {"dax0.0": (None, "1"), "dax1.0": (None, "1")}


def test_offline_refused_is_undone(bound):
    bound.faults[MEMORY + "/memory339/state"] = [errno.EBUSY]
    before = bound.online()
    with pytest.raises(TestbedError, match=r"memory block 339 could not be put offline \(EBUSY\): it holds pages that cannot be moved away"):
        system_ram.apply(bound, wanted("dram", offline=True))
    assert bound.online() == before
    assert bound.dax_state()["dax0.0"] == ("kmem", "1")


def test_partial_capacity_is_an_error_and_stays(made):
    made.partial = 1
    with pytest.raises(TestbedError, match="only 7 of its 8 memory blocks were added") as caught:
        system_ram.apply(made, wanted()[:1])
    assert any("may crash when it is released: it stays with kmem" in line for line in caught.value.details)
    assert made.dax_state()["dax0.0"] == ("kmem", "1")
    assert made.policies() == ("1", "online")


@pytest.mark.parametrize("count", [1, 8])
def test_auto_online_by_someone_else(made, count):
    """A udev rule puts new blocks online, one or all: the call ends in one message, and what it did is undone."""
    def udev():
        for number in range(370, 370 + count):
            if made.exists("%s/memory%d" % (MEMORY, number)):
                made._change_block(number, "online")
    made.hooks[BIND] = udev
    with pytest.raises(TestbedError, match="%d of its memory blocks went online by themselves.*auto-online policy was set by someone else" % count):
        system_ram.apply(made, wanted())
    assert made.dax_state() == {"dax0.0": (None, "1"), "dax1.0": (None, "1")}
    assert made.online() == {}
    assert made.policies() == ("1", "online")


def test_policy_changed_meanwhile_is_theirs_and_an_error(made):
    made.hooks[BIND] = lambda: made.put(holds.AUTO_ONLINE, "online_movable")
    with pytest.raises(TestbedError, match="auto_online_blocks was set to online_movable by someone else while it had to stay at offline"):
        system_ram.apply(made, wanted()[:1])
    assert made.policies() == ("1", "online_movable")


@pytest.mark.parametrize("path, value", [(holds.AUTO_ONLINE, "online_movable"), (holds.AUTOPROBE, "1")])
def test_policy_changed_meanwhile_is_undone(bound, path, value):
    """It shows when the holds end, after the last device was bound: what the call did is put back, under holds of its own."""
    before, last = bound.online(), []
    bound.hooks[BIND] = lambda: last.append(1) or len(last) == 2 and bound.put(path, value)
    with pytest.raises(TestbedError, match="by someone else while it had to stay") as caught:
        system_ram.apply(bound, wanted("dram", "device", offline=True))
    assert caught.value.details and all(line.startswith("undone: ") for line in caught.value.details)
    assert caught.value.changed is False
    assert bound.dax_state() == {"dax0.0": ("kmem", "1"), "dax1.0": ("kmem", "0")}
    assert bound.online() == before
    assert bound.policies() == ("1", "online_movable" if path == holds.AUTO_ONLINE else "online")
    assert not bound.exists(holds.NOTES)


def test_a_signal_as_the_holds_end_is_undone(made):
    once = [signal.SIGTERM]
    made.hooks[holds.AUTOPROBE] = lambda: made.read(holds.AUTOPROBE) == "1" and once and signal.raise_signal(once.pop())
    with pytest.raises(signals.Interrupted), signals.as_errors():
        system_ram.apply(made, wanted())
    assert made.dax_state() == {"dax0.0": (None, "1"), "dax1.0": (None, "1")}
    assert made.policies() == ("1", "online")


def test_what_a_device_of_volatile_memory_holds_counts_in_mode_devdax(made):
    """A program may come back for it. Without a driver, as a region is made, it counts for nothing."""
    made.filled = {"dax0.0": 4096}
    system_ram.apply(made, wanted())
    before = made.dax_state()
    system_ram.apply(made, [{"memory_devices": [ONE], "mode": "devdax"}])
    assert made.dax_state() == dict(before, **{"dax0.0": ("device_dax", "1")})
    held, writes = made.dax_state(), len(made.log)
    for entry in (wanted()[0], {"memory_devices": [ONE], "memmap": "device", "parts": [{"size": "512M"}, {"size": "all"}]}):
        for check_mode in (True, False):
            with pytest.raises(TestbedError, match="will not change memory device serial 0x1 .*: it holds data: say allow_data_loss: true"):
                system_ram.apply(made, [entry], check_mode)
    assert (made.dax_state(), len(made.log)) == (held, writes)
    (report,) = system_ram.apply(made, [dict(wanted()[0], allow_data_loss=True)])[1]
    assert report["lost"] == ["bytes that are not zero, at 0x1000 and perhaps elsewhere, without a known signature"]
    assert made.dax_state() == before


def test_device_with_another_driver(made):
    os.makedirs(made.path("/sys/bus/dax/drivers/fsdev_dax"), exist_ok=True)
    os.symlink("../drivers/fsdev_dax", made.path("/sys/bus/dax/devices/dax0.0/driver"))
    with pytest.raises(TestbedError, match="in use through fsdev_dax: release it first"):
        system_ram.apply(made, wanted())


def test_device_smaller_than_a_block(made):
    made.put("/sys/bus/dax/devices/dax0.0/mapping0/end", "%#x" % (0xa90000000 + (64 << 20) - 1))
    made.put("/sys/bus/dax/devices/dax0.0/../dax_region/size", str(64 << 20))
    with pytest.raises(TestbedError, match="holds no whole memory block of 128M"):
        system_ram.apply(made, wanted())


@pytest.mark.parametrize("text", [None, "-1", "none", "\u00b2"])
def test_a_device_without_a_node(bound, text):
    """The kernel shows no target_node where there is none: what is wanted of other devices does not depend on it."""
    place = "/sys/bus/dax/devices/dax1.0/target_node"
    bound.unlink(place)
    if text is not None:
        with open(bound.path(place), "w", encoding="utf-8") as stream:
            stream.write(text)
    os.unlink(bound.path("/sys/bus/dax/devices/dax1.0/driver"))
    assert system_ram.apply(bound, wanted()[:1])[0] is False
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="serial 0x2 .*: its dax device has no target node, so it cannot become system RAM: .*memory_doctor"):
            system_ram.apply(bound, wanted(), check_mode)
    assert system_ram.apply(bound, [{"memory_devices": [TWO], "mode": "devdax"}], check_mode=True)[1][0]["node"] is None
    found = stepwise.apply(bound, [{"node": 1, "zone": "movable", "count": "all"}], check_mode=True)[1]
    assert found[0]["blocks"] == 8


def test_a_device_that_another_driver_got_meanwhile_is_left_alone(bound):
    def taken():
        bound.unlink("/sys/bus/dax/devices/dax1.0/driver")
        os.symlink("../drivers/device_dax", bound.path("/sys/bus/dax/devices/dax1.0/driver"))
    bound.hooks["/sys/devices/system/memory/memory338/state"] = taken
    with pytest.raises(TestbedError, match="its dax device went from kmem to device_dax meanwhile: something else works on it, too"):
        system_ram.apply(bound, [dict(entry, offline=True) for entry in wanted("dram", "device")])
    assert bound.dax_state()["dax1.0"][0] == "device_dax"


def test_named_twice(made):
    with pytest.raises(TestbedError, match="is named twice"):
        system_ram.apply(made, wanted()[:1] * 2)
