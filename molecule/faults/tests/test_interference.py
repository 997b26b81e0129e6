# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Others at work on the same host: the kernel's own binding and onlining, someone who sets policies, broken tools, lockdown, a lost device, a lost supply."""
from __future__ import annotations

import concurrent.futures

import pytest

FIRST, SECOND = {"memory_devices": ["0x1"]}, {"memory_devices": ["0x2"]}
ABSENT = dict(SECOND, state="absent")
AUTO_ONLINE = "/sys/devices/system/memory/auto_online_blocks"


def good(done):
    assert done.code == 0, done.output
    return done.result


def provide(guest, *devices, memmap="dram"):
    """Each as system RAM, nothing online."""
    good(guest.module("cxl_region", regions=list(devices)))
    good(guest.module("dax_device", devices=[dict(device, memmap=memmap, offline=True) for device in devices]))


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    guest = open_guest("faults")
    if guest.online():
        nodes = guest.shell("cat /sys/bus/dax/devices/*/target_node | sort -u").split()
        good(guest.memory_blocks(*({"node": int(node), "state": "offline"} for node in nodes)))
    return guest


def seen(guest):
    """What none of the refused may change."""
    return guest.online(), guest.policies(), guest.left_behind(), guest.shell("ls -l /sys/bus/cxl/devices /sys/bus/dax/devices | sed 's/.*[0-9] //'")


def test_someone_sets_auto_online_meanwhile(guest, programs):
    """The module holds it back, notices, keeps theirs and says so; the next run gets what was asked for."""
    provide(guest, SECOND)
    try:
        with guest.beside(programs.once_held, "echo online_kernel > %s" % AUTO_ONLINE):
            done = guest.module("dax_device", devices=[dict(SECOND, memmap="device")])
        guest.refusal(done, "auto_online")
        assert guest.policies() == ["1", "online_kernel"]
        assert guest.left_behind() == ["lock"]
        good(guest.module("dax_device", devices=[dict(SECOND, memmap="device", offline=True)]))
        assert guest.online() == {}
        assert guest.policies() == ["1", "online_kernel"]
    finally:
        guest.shell("echo online > %s" % AUTO_ONLINE)


def test_killed_while_it_holds_policies_back(guest, programs):
    with guest.beside(programs.once_held, "kill -9 $(cat /run/memlab/lock)"):
        done = guest.module("dax_device", devices=[dict(SECOND, memmap="dram")])
    assert done.code not in (0, 250), done.output
    assert guest.left_behind() == ["held.json", "lock"]
    again = good(guest.module("dax_device", devices=[dict(SECOND, memmap="dram")]))
    assert any("left at offline by a run that was killed" in line for line in again["repaired"])
    assert (guest.policies(), guest.left_behind(), guest.online()) == (["1", "online"], ["lock"], {})


def test_the_kernel_binds_and_puts_online_first(guest):
    """A region made by hand: kmem takes it with its own idea of the knob, everything goes online."""
    good(guest.module("cxl_region", regions=[ABSENT]))
    guest.shell("for memdev in /sys/bus/cxl/devices/mem*; do test $(cat $memdev/serial) = 0x2 && "
                "cxl create-region -t ram -d decoder0.0 -m $(basename $memdev); done; "
                "for turn in $(seq 100); do ls -d /sys/bus/dax/drivers/kmem/dax* > /dev/null 2>&1 && exit; sleep 0.1; done; exit 1")
    online = guest.online()
    assert len(online) == 4
    said = {entry["finding"]: entry for entry in good(guest.module("memory_doctor", wanted=[{"serial": "0x1", "memmap": "dram"}]))["findings"]}
    assert said["online_unasked"]["subject"] == SECOND and said["online_unasked"]["message"].startswith("4 memory blocks of the device are online")
    assert said["device_absent"]["subject"] == FIRST
    done = guest.module("dax_device", devices=[dict(SECOND, memmap="dram")])
    guest.refusal(done, "memory blocks are online: 4 of 4 are", "offline: true")
    assert guest.online() == online
    good(guest.module("dax_device", devices=[dict(SECOND, memmap="dram", offline=True)]))
    assert guest.online() == {}
    assert guest.policies() == ["1", "online"]


@pytest.mark.parametrize("tool, said", [("", "the tool cxl is not installed"), ("#!/bin/sh\necho '[{\"rubbish\": }'\n", "")],
                         ids=["absent", "rubbish"])
def test_the_cxl_tool(guest, tool, said):
    """Put over the real one, in the guest's own view, and taken away again."""
    good(guest.module("cxl_region", regions=[ABSENT]))
    before = seen(guest)
    guest.shell("cat > /run/tool; chmod %s /run/tool; mount --bind /run/tool $(readlink -f /usr/bin/cxl)" % ("755" if tool else "644"), given=tool)
    try:
        done = guest.module("cxl_region", regions=[SECOND])
    finally:
        guest.shell("umount $(readlink -f /usr/bin/cxl)")
    guest.refusal(done, said)
    assert seen(guest) == before
    good(guest.module("cxl_region", regions=[SECOND]))


# Each with a word of what the user reads.
BAD = [
    ("memory_blocks", {"devices": [{"memory_devices": ["mem0"]}]}, "kernel's own numbering"),
    ("memory_blocks", {"devices": [{"memory_devices": ["0x99"]}]}, "no CXL memory device with serial 0x99"),
    ("memory_blocks", {"devices": [{"memory_devices": []}]}, ""),
    ("memory_blocks", {"devices": [{}]}, ""),
    ("memory_blocks", {"devices": [{"node": 77}]}, "there is no memory node 77"),
    ("memory_blocks", {"devices": [{"node": 0, "zone": "movable"}]}, "no dax device brought it"),
    ("memory_blocks", {"devices": [{"start": "0x1", "size": "128M"}]}, "does not begin and end at memory blocks"),
    ("memory_blocks", {"devices": [{"start": "0x7000000000", "size": "128M"}]}, "there is no memory block"),
    ("memory_blocks", {"devices": [{"node": 0, "count": "1000%"}]}, ""),
    ("memory_blocks", {"devices": [{"node": 0, "state": "offline", "count": "100M"}]}, "is not a multiple"),
    ("memory_blocks", {"devices": [{"node": 0, "state": "offline"}], "health": {"free_memory": "some"}}, "free_memory is not a size"),
    ("memory_blocks", {"devices": [{"node": 0, "state": "offline"}], "pause": -1}, "pause: -1.0 is not"),
    ("cxl_region", {"regions": [{"memory_devices": ["0x1", "0x1"]}]}, "named twice"),
    ("cxl_region", {"regions": [{"memory_devices": ["0000:00:1f.7"]}]}, "no CXL memory device at PCI address"),
    ("cxl_region", {"regions": [{"memory_devices": ["0x1"], "size": "-5"}]}, ""),
    ("cxl_region", {"regions": [{"memory_devices": ["0x1"], "size": "1T"}]}, ""),
    ("cxl_region", {"regions": [{"memory_devices": ["0x1"], "root_decoder": "decoder9.9"}]}, ""),
    ("dax_device", {"devices": [{"memory_devices": ["0x1"], "memmap": "sky"}]}, "memmap"),
    ("dax_device", {"devices": [{"memory_devices": ["0x99"], "memmap": "dram"}]}, "no CXL memory device"),
    ("dax_device", {"devices": [{"memory_devices": ["0x2"], "memmap": "dram"}, {"memory_devices": ["2"], "memmap": "dram"}]}, "named twice"),
]


def test_bad_parameters_change_nothing(guest):
    before = seen(guest)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [(pool.submit(guest.module, module, **options), said) for module, options, said in BAD]
    for run, said in runs:
        guest.refusal(run.result(), said)
    assert seen(guest) == before


def test_a_device_pulled_out_between_tasks(guest, controller):
    """After the region was made: the next task says which devices there are. Plugged in again, the same tasks do everything."""
    definition = guest.variables()

    def plug(*names):
        good(controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=guest.name, plugged=list(names)))
    good(guest.module("cxl_region", regions=[ABSENT]))
    provide(guest, FIRST, memmap="device")
    good(guest.module("cxl_region", regions=[SECOND]))
    try:
        plug("mem_a")
        done = guest.module("dax_device", devices=[dict(SECOND, memmap="dram")])
        guest.refusal(done, "no CXL memory device with serial 0x2: there are serial 0x1")
        good(guest.memory_blocks(dict(FIRST, count=1)))
    finally:
        plug("mem_a", "mem_b")
        guest.wait_for_memory_devices(2)
    good(guest.memory_blocks(dict(FIRST, state="offline")))
    provide(guest, SECOND)
    good(guest.memory_blocks(SECOND))
    assert len(guest.online()) == 4
    good(guest.memory_blocks(dict(SECOND, state="offline")))


def test_lockdown(guest):
    """It can be raised but not lowered before the next start. Blocks go online and offline, the facts say what they could not look at."""
    guest.shell("echo confidentiality > /sys/kernel/security/lockdown")
    good(guest.memory_blocks(dict(FIRST, count=2, zone="kernel"), dict(SECOND, count=1)))
    facts = good(guest.module("memmap_facts", gather="ranges"))["ansible_facts"]["memmap"]
    assert facts["proofs"]["page_tables"]["available"] is False and "lockdown" in facts["proofs"]["page_tables"]["why_not"]
    good(guest.memory_blocks(dict(FIRST, state="offline"), dict(SECOND, state="offline")))
    assert guest.online() == {}


def test_a_power_loss_in_the_middle(guest, controller):
    definition, boot = guest.variables(), guest.shell("cat /proc/sys/kernel/random/boot_id")
    run = guest.start_memory_blocks(FIRST, pause=5)
    # a block that is offline names the zones that it could go to
    guest.shell("for turn in $(seq 1200); do ! grep -qsx Movable /sys/devices/system/memory/memory*/valid_zones || exit 0; sleep 0.1; done; exit 1")
    good(controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=guest.name, state="powercycled"))
    done = controller.finish(run)
    assert done.code not in (0, 250) and "Traceback" not in done.output, done.output
    guest.connect()
    assert guest.shell("cat /proc/sys/kernel/random/boot_id") != boot
    assert guest.online() == {}
    guest.refusal(guest.memory_blocks(FIRST), "no region is made of memory device serial 0x1")
    provide(guest, FIRST, SECOND)
    good(guest.memory_blocks(FIRST, SECOND))
    assert set(guest.online().values()) == {"Movable"} and len(guest.online()) == 12
