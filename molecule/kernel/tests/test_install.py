# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The patched kernel runs and is the default, and an NVDIMM's memory keeps its own memmap."""
from __future__ import annotations

import json
import pathlib
import re

import pytest

from ansible_collections.memlab.testbed.molecule.conftest import UDEV_DONE
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory

NAMESPACE = {"nvdimms": ["0x1"], "name": "piped", "mode": "devdax", "map": "mem"}
ENTRY = {"nvdimms": ["0x1"], "namespace": {"name": "piped", "mode": "devdax", "map": "mem"}, "mode": "system-ram", "memmap": "device",
         "allow_data_loss": True}


@pytest.fixture(scope="module", name="guest")
def opened(open_guest):
    return open_guest("patched")


@pytest.fixture(scope="module", name="release")
def built(guest):
    """The release that runs; its package is in the cache."""
    running = guest.shell("uname -r").strip()
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in (pathlib.Path(cache_directory()) / "kernels").glob("*/manifest.json")]
    assert running in [manifest.get("release") for manifest in manifests]
    return running


def test_the_patched_kernel_runs_and_is_the_default(guest, release):
    assert release.startswith("6.1.") and release.endswith("-memlab")
    assert "Linux version %s " % release in guest.shell("cat /proc/version")
    assert re.search(r"^saved_entry=\S+>gnulinux-%s-advanced-" % re.escape(release), guest.shell("grub-editenv list"), re.MULTILINE)
    assert len(re.findall("vmlinuz-6.1.0-", guest.shell("ls /boot"))) == 1


UNBIND = """
import glob, json, os, sys
dax, = [path.split("/")[-2] for path in glob.glob("/sys/bus/dax/devices/*/driver") if os.readlink(path).endswith("/kmem")]
start = int(open("/sys/bus/dax/devices/%s/mapping0/start" % dax).read(), 16)
size = int(open("/sys/bus/dax/devices/%s/size" % dax).read())
block = int(open("/sys/devices/system/memory/block_size_bytes").read(), 16)
numbers = range(-(-start // block), (start + size) // block)
state = "/sys/devices/system/memory/memory%d/state"
def states():
    return [open(state % number).read().strip() if os.path.exists(state % number) else None for number in numbers]
with open(state % numbers[2], "w") as stream:
    stream.write("online_movable")
before = states()
with open("/sys/bus/dax/drivers/kmem/unbind", "w") as stream:
    stream.write(dax)
print(json.dumps([before, states()]))
"""


def test_unbinding_with_a_block_online_takes_no_block(guest):
    """As without the series, where the range is removed as a whole or not at all; the memory stays until the next boot."""
    guest.shell("echo offline > /sys/devices/system/memory/auto_online_blocks")
    for module, given in (("pmem_namespace", {"namespaces": [NAMESPACE]}), ("dax_device", {"devices": [{"namespace": "piped", "memmap": "device"}]})):
        done = guest.module(module, **given)
        assert done.code == 0, done.output
    before, after = json.loads(guest.shell("python3 -", given=UNBIND))
    assert before == after == ["offline"] * 2 + ["online"] + ["offline"] * 4
    assert "cannot be hotremoved until the next reboot" in guest.shell("dmesg")


def test_after_another_boot_it_runs_still_without_what_guarded_its_trial(controller, guest, release):
    given = {"reboot_command": "systemctl reboot", "reboot_timeout": 900, "test_command": UDEV_DONE}
    done = controller.finish(controller.start("ansible", "-i", guest.inventory, "patched", "-m", "ansible.builtin.reboot", "-a", json.dumps(given)), 2000)
    assert done.code == 0, done.output
    guest.connect()
    assert guest.shell("uname -r").strip() == release
    words = guest.shell("cat /proc/cmdline").split()
    assert words.count("memory_hotplug.memmap_on_memory=1") == 1
    assert [word for word in words if word.startswith(("memlab.trial", "panic="))] == []


def test_the_nvdimm_is_memory_with_its_memmap_on_itself(controller, guest):
    variables = {"memory_devices": [ENTRY]}
    try:
        done = controller.play("memlab.testbed.provision", guest.inventory, **variables)
        assert done.code == 0, done.output
        found = controller.state("patched")
        device, = [entry for entry in found["dax"].values() if entry["driver"] == "kmem"]
        start, = [int(place, 16) for place, entry in found["dax"].items() if entry["driver"] == "kmem"]
        size = found["block_size"]
        numbers = range(-(-start // size), (start + device["size"]) // size)
        pages = size // found["page_size"] * 64 // found["page_size"]
        blocks = [found["blocks"][str(number)] for number in numbers]
        assert len(blocks) == 7 and pages == 512
        assert {(block["state"], *block["zones"], *block["nodes"]) for block in blocks} == {("online", "Movable", 1)}
        # the first pages of each block are its memmap, and the zone misses them
        assert {tuple(block["self_hosted"]) for block in blocks} == {(pages, pages)}
        zones = found["zones"]["1"].values()
        assert sum(zone["present"] for zone in zones) - sum(zone["managed"] for zone in zones) == len(blocks) * pages
        assert (device["knob"], device["node"]) == ("1", 1)
        facts = guest.module("memmap_facts", gather="blocks").result["ansible_facts"]["memmap"]
        assert {entry["placement"] for entry in facts["blocks"] if entry["id"] in numbers} == {"self"}
        assert facts["conflicts"] == []
    finally:
        done = guest.module("dax_device", devices=[{"namespace": "piped", "mode": "devdax", "offline": True, "allow_data_loss": True}])
        assert done.code == 0, done.output
        done = guest.module("pmem_namespace", namespaces=[dict(NAMESPACE, state="absent", allow_data_loss=True)])
        assert done.code == 0, done.output
