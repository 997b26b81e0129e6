# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine's own /proc and /sys say of its memory, as JSON: run in the guest, where nothing of the collection is.

Only files are read here, and by other means than the collection's modules: these tests are to notice when a module is wrong.
Prints a dict: policies, devices (by serial), dax (by address), blocks (by id), zones (by node). What never stands still, such as free pages, is left out.
"""
from __future__ import annotations

import collections
import glob
import json
import os
import re
import struct

MEMORY = "/sys/devices/system/memory"
CXL = "/sys/bus/cxl/devices"
PAGE = os.sysconf("SC_PAGE_SIZE")

# The whole word of a page of a self-hosted memmap (fs/proc/page.c:stable_page_flags): PG_owner_priv_1 and nothing else; before 6.11 PG_reserved, too.
SELF_HOSTED = 0x2000000000 if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 11) else 0x2100000000


def text(path):
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()


def link(path):
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else None


def serials():
    """Endpoint decoder's parent port to the serial of the memory device behind it."""
    found = {}
    for endpoint in glob.glob(CXL + "/endpoint*"):
        found[os.path.basename(endpoint)] = int(text(os.path.realpath(endpoint + "/uport") + "/serial"), 16)
    return found


def devices():
    """Each region of one memory device: its range, its dax device, driver and knob, by the memory device's serial."""
    endpoints, found = serials(), {}
    for region in glob.glob(CXL + "/region*"):
        if not os.path.exists(region + "/target0") or not text(region + "/target0"):
            continue
        decoder = os.path.realpath(os.path.join(CXL, text(region + "/target0")))
        entry = {"start": int(text(region + "/resource"), 16), "size": int(text(region + "/size"), 16), "dax": None}
        for dax in glob.glob(region + "/dax_region*/dax[0-9]*"):
            knob = dax + "/memmap_on_memory"
            entry.update(dax=os.path.basename(dax), driver=link(dax + "/driver"), knob=text(knob) if os.path.exists(knob) else None,
                         node=int(text(dax + "/target_node")))
        found["%#x" % endpoints[os.path.basename(os.path.dirname(decoder))]] = entry
    return found


def dax_devices():
    """Every dax device that has bytes, whatever it belongs to: its size, driver, knob and node, by the address of its first byte."""
    found = {}
    for dax in glob.glob("/sys/bus/dax/devices/dax*"):
        starts = [int(text(place), 16) for place in glob.glob(dax + "/mapping*/start")]
        knob = dax + "/memmap_on_memory"
        if starts:
            found["%#x" % min(starts)] = {"size": int(text(dax + "/size")), "driver": link(dax + "/driver"),
                                          "knob": text(knob) if os.path.exists(knob) else None, "node": int(text(dax + "/target_node"))}
    return found


def self_hosted(first_page):
    """Pages at the start of a block that /proc/kpageflags calls its own memmap, and all such pages in its first 4 MiB."""
    with open("/proc/kpageflags", "rb") as stream:
        stream.seek(first_page * 8)
        words = struct.unpack("<1024Q", stream.read(1024 * 8))
    hosted = [word == SELF_HOSTED for word in words]
    return [(hosted + [False]).index(False), sum(hosted)]


def blocks(size):
    found = {}
    for path in glob.glob(MEMORY + "/memory[0-9]*"):
        number = int(path[len(MEMORY + "/memory"):])
        found[number] = {"state": text(path + "/state"), "zones": text(path + "/valid_zones").split(),
                         "nodes": sorted(int(os.path.basename(node)[4:]) for node in glob.glob(path + "/node[0-9]*")),
                         "self_hosted": self_hosted(number * size // PAGE)}
    return found


def zones():
    """Node to zone to its present and managed pages."""
    found = collections.defaultdict(lambda: collections.defaultdict(dict))
    for line in text("/proc/zoneinfo").splitlines():
        head = re.match(r"Node (\d+), zone +(\w+)", line)
        if head:
            zone = found[int(head.group(1))][head.group(2)]
        count = re.match(r" +(present|managed) +(\d+)$", line)
        if count:
            zone[count.group(1)] = int(count.group(2))
    return found


def main():
    size = int(text(MEMORY + "/block_size_bytes"), 16)
    print(json.dumps({
        "boot": text("/proc/sys/kernel/random/boot_id"), "block_size": size, "page_size": PAGE, "parameters": text("/proc/cmdline").split(),
        "auto_online_blocks": text(MEMORY + "/auto_online_blocks"), "drivers_autoprobe": text("/sys/bus/dax/drivers_autoprobe"),
        "left_behind": sorted(name for name in os.listdir("/run/memlab") if name != "lock") if os.path.isdir("/run/memlab") else [],
        "serials": sorted(serials().values()), "devices": devices(), "dax": dax_devices(), "blocks": blocks(size), "zones": zones()}))


main()
