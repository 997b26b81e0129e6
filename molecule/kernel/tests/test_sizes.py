# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The series with every size that a memory block can have on x86-64 beside 128 MiB, which all other tests have.

Where the memory that Linux boots with ends at or beyond 64 GiB, a block is as large as that end is aligned, up to 2 GiB (arch/x86/mm/init_64.c,
probe_memory_block_size; on machines without the hypervisor bit always 2 GiB). A part of the last NVDIMM is made such memory by memmap=.
"""
from __future__ import annotations

import errno
import json
import pathlib
import shlex

import pytest

from ansible_collections.memlab.testbed.molecule.conftest import UDEV_DONE

SCRIPT = (pathlib.Path(__file__).parent / "series_on_guest.py").read_text(encoding="utf-8")
WIDE = {"nvdimms": ["0x3"], "name": "wide", "mode": "devdax", "map": "mem", "size": "5G"}
NODE = 1
M = 1 << 20


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    guest = open_guest("patched")
    done = guest.module("pmem_namespace", namespaces=[WIDE])
    assert done.code == 0, done.output
    return guest


@pytest.fixture(scope="module", name="ask")
def asker(guest):
    return lambda *words: json.loads(guest.shell("python3 -c \"$(cat)\" %s" % shlex.quote(json.dumps(words)), given=SCRIPT, seconds=3600))


def boot(guest, *parameters, name="block-size"):
    done = guest.module("boot_parameters", name=name, parameters=parameters)
    assert done.code == 0, done.output
    given = {"reboot_command": "systemctl reboot", "reboot_timeout": 900, "test_command": UDEV_DONE + " && ls /sys/bus/dax/devices/dax*"}
    done = guest.controller.finish(guest.controller.start("ansible", "-i", guest.inventory, guest.name, "-m", "ansible.builtin.reboot",
                                                          "-a", json.dumps(given)), 2000)
    assert done.code == 0, done.output
    guest.connect()


@pytest.mark.parametrize("size", [256, 512, 1024, 2048])
def test_both_places_are_proven_with_blocks_of(guest, ask, size):
    boot(guest, "memmap=%dM@64G" % size)
    guest.shell("echo offline > /sys/devices/system/memory/auto_online_blocks")
    assert int(guest.shell("cat /sys/devices/system/memory/block_size_bytes"), 16) == size * M
    complaints = ask("log")
    device, = guest.module("dax_device", devices=[{"namespace": "wide", "mode": "devdax"}]).result["devices"]
    name = device["dax"]
    for value, placement in (("1", "self"), ("0", "same_node")):
        assert ask("prepare", name) == [None, []]
        seen = ask("placed", name, value, NODE)
        reserved = size * M // 64 // 4096 if value == "1" else 0
        assert seen["wrong"] == [] and list(map(int, seen["blocks"])) == seen["wanted"] and len(seen["wanted"]) >= 4096 // size - 1
        assert set(map(tuple, seen["blocks"].values())) == {("online", reserved)}
        assert seen["more"] == reserved * len(seen["blocks"])
        facts = guest.module("memmap_facts", gather="blocks").result["ansible_facts"]["memmap"]
        found = {entry["id"]: entry["placement"] for entry in facts["blocks"]}
        assert {found[block] for block in seen["wanted"]} == {placement} and facts["conflicts"] == []
        # Node 1 has memory from boot on, so its zones tell nothing to the module; what they say is in "more".
        assert facts["proofs"]["page_tables"]["available"] and facts["proofs"]["page_flags"]["available"], facts["proofs"]
        assert ask("release", name) == [None, [], None]
    assert ask("log") == complaints


def test_where_the_boot_parameter_is_off_the_knob_says_so(guest, ask):
    """The last test: the kernel takes the last word, which is of the file whose name comes last."""
    boot(guest, "memory_hotplug.memmap_on_memory=0", name="off")
    wanted = {"namespace": "wide", "memmap": "device", "allow_data_loss": True}
    guest.refusal(guest.module("dax_device", devices=[wanted]), "the boot parameter memory_hotplug.memmap_on_memory is off")
    device, = guest.module("dax_device", devices=[{"namespace": "wide", "mode": "devdax"}]).result["devices"]
    name = device["dax"]
    assert ask("prepare", name) == [None, []]
    # Python's name for the number that EOPNOTSUPP is
    assert [ask("knob", name, value) for value in ("1", "0", "x")] == [errno.errorcode[errno.EOPNOTSUPP], None, "EINVAL"]
    assert ask("release", name) == [None, [], None]
