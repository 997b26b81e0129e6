# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Declarations that a host cannot meet: refused before anything on it changes."""
from __future__ import annotations

import re

import pytest

PROVISION = "memlab.testbed.provision"
DEVICE = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "device"}]
DRAM = [{"serial": "0x1", "memmap": "dram"}, {"serial": "0x2", "memmap": "dram"}]


@pytest.fixture(scope="module")
def at_first(state):
    return state()


@pytest.fixture(autouse=True)
def unchanged(state, at_first):
    """Whatever a test asks for, the machine's own state is afterwards what it was."""
    yield
    assert state() == at_first


def test_no_memory_device_with_that_serial(controller):
    controller.play(PROVISION, memory_devices=DEVICE + [{"serial": "0x99", "memmap": "device"}]).refusal("no CXL memory device with serial 0x99", "0x1", "0x2")


def test_a_size_that_is_not_a_multiple_of_the_memory_block(controller):
    controller.play(PROVISION, memory_devices=[{"serial": "0x1", "size": "300M", "memmap": "device"}]).refusal("0x1", "300M is not a multiple", "128M")


def test_a_region_that_would_have_to_be_resized(controller):
    controller.play(PROVISION, memory_devices=[{"serial": "0x1", "size": "512M", "memmap": "device"}]).refusal("0x1", "has 1G, wanted 512M")


def test_more_blocks_than_there_are(controller):
    controller.play(PROVISION, memory_devices=[dict(DEVICE[0], amount="99"), DEVICE[1]]).refusal("0x1", "99", "8")


def test_an_unknown_placement(controller):
    controller.play(PROVISION, memory_devices=[{"serial": "0x1", "memmap": "slow"}]).refusal("memmap", "slow")


@pytest.fixture
def little_dram(host):
    """The kernel keeps nearly all of its free DRAM for itself: what is free stays free, and what may be taken of it shrinks."""
    path = "/proc/sys/vm/min_free_kbytes"
    before = host.file(path).content_string.strip()
    host.check_output("echo 3 > /proc/sys/vm/drop_caches")
    free = int(re.search(r"MemFree: +(\d+) kB", host.check_output("cat /sys/devices/system/node/node0/meminfo")).group(1))
    # The high watermark, which a preflight has to respect, is half as much again as this minimum. It is more than what is free: processors give back
    # pages that they keep, and programs theirs.
    host.check_output("echo %s > %s", str((free + (64 << 10)) * 2 // 3), path)
    yield
    host.check_output("echo %s > %s", before, path)


def test_a_memmap_that_does_not_fit_in_dram(controller, little_dram):
    said = controller.play(PROVISION, memory_devices=DRAM).refusal("the memmap of 2G needs 32.0 MiB of DRAM", "node 0 can give", "memmap: device")
    assert float(re.search(r"can give ([\d.]+) MiB", said).group(1)) < 32


@pytest.fixture
def busy_policy(host):
    """Somebody else's service that insists on bringing all memory online."""
    policy = "/sys/devices/system/memory/auto_online_blocks"
    before = host.file(policy).content_string.strip()
    host.check_output("systemd-run --quiet --unit memlab-other -p RuntimeMaxSec=300 -p CPUQuota=10%% sh -c %s",
                      "while :; do echo online_movable > %s; done" % policy)
    yield
    host.check_output("systemctl stop memlab-other")
    host.check_output("echo %s > %s", before, policy)


def test_an_auto_online_policy_that_somebody_else_insists_on(controller, busy_policy):
    controller.play(PROVISION, memory_devices=DRAM).refusal("auto_online_blocks", "someone else")
