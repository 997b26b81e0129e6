# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parameter stands in GRUB's configuration, came to the kernel by a real boot, and the memory is as declared."""
from __future__ import annotations

import re

PARAMETER = "memory_hotplug.memmap_on_memory=1"


def test_every_entry_of_grub_has_the_parameter_once(host):
    entries = re.findall(r"^\s*linux\s.*$", host.file("/boot/grub/grub.cfg").content_string, re.MULTILINE)
    assert entries
    assert {entry.split().count(PARAMETER) for entry in entries} == {1}


def test_grub_started_the_kernel_with_it(host):
    words = host.file("/proc/cmdline").content_string.split()
    assert words[0].startswith("BOOT_IMAGE=/boot/vmlinuz-")
    assert words.count(PARAMETER) == 1
    assert host.file("/sys/module/memory_hotplug/parameters/memmap_on_memory").content_string.strip() == "Y"


def test_the_memory_is_there_and_keeps_its_own_memmap(state):
    found = state()
    device = found["devices"]["0x1"]
    numbers = range(device["start"] // found["block_size"], (device["start"] + device["size"]) // found["block_size"])
    assert device["driver"] == "kmem" and device["size"] == 512 << 20
    assert {(found["blocks"][number]["state"], *found["blocks"][number]["self_hosted"]) for number in numbers} == {("online", 512, 512)}
