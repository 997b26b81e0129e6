# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report, and the table made of it."""
from __future__ import annotations

import json

from ansible_collections.memlab.testbed.plugins.module_utils.report.rows import report
from ansible_collections.memlab.testbed.plugins.module_utils.report.table import table
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device

GOOD = """\
device      size  online  zone     node  memmap wanted  found   proven by             memmap lies

cxlhost: Linux 6.12.95, memory blocks of 128M
0x1 dax0.0  512M  4/4     movable  1     device         device  tables, flags, zones  8M on node 1
0x2 dax1.0  512M  4/4     movable  2     dram           dram    tables, flags, zones  8M on node 0"""


def test_table(gathered, declared):
    assert table(report({"cxlhost": (gathered(), declared)})) == GOOD


def test_the_report_is_plain_and_does_not_change(gathered, declared):
    facts = gathered()
    first = report({"cxlhost": (facts, declared)})
    assert json.loads(json.dumps(first)) == first
    for node in facts["nodes"]:
        node["free"] -= 4096
    assert report({"cxlhost": (facts, declared)}) == first


def test_devices_wanted_and_not_there_and_there_and_not_wanted(gathered):
    text = table(report({"a": (gathered(second=Device(64, 4, 2, "dram", "Normal", 3)), [{"serial": 7, "memmap": "dram"}])})).splitlines()
    assert text[3].split() == ["0x1", "dax0.0", "512M", "4/4", "movable", "1", "-", "device", "tables,", "flags,", "zones", "8M", "on", "node", "1"]
    assert text[4].split()[3:7] == ["3/4", "kernel", "2", "-"]
    assert text[5].split() == ["0x7", "-", "-", "-", "-", "dram", "absent", "-", "-"]


def test_hosts_without_facts_or_devices(gathered):
    facts = dict(gathered(), devices=[])
    assert table(report({"a": (None, None), "b": (facts, None)})).splitlines()[1:] == [
        "", "a: no facts", "", "b: Linux 6.12.95, memory blocks of 128M", "no dax device"]


def test_what_a_reader_has_to_know(gathered, declared):
    facts = gathered(proofs=("page_flags", "zone_accounting"))
    facts["conflicts"] = [{"first_block": 3, "last_block": 3, "node": 0, "statements": {"page_tables": "self", "page_flags": "not_self"}}]
    facts["devices"][1]["memmap_nodes"] = {"1": 8 << 20}
    declared.append({"serial": "mem0", "memmap": "dram"})
    text = table(report({"a": (facts, declared)})).splitlines()
    assert [line for line in text if line.startswith("! ")] == [
        "! memory device 3 of the declared ones (mem0): mem0 is the kernel's own numbering, which changes between boots: "
        "name the device by serial number or PCI address",
        "! the memmap of 0x2 lies on node 1, whose memory is all on dax devices",
        "! no proof by page_tables: not asked for",
        "! block 3 on node 0: the proofs contradict each other: page_flags: not_self; page_tables: self"]


def test_namespaces_and_their_own_memmap(gathered):
    facts = gathered()
    facts["devices"][0].update(memory_devices=[], namespace={"name": "namespace0.0", "uuid": "7a1e"}, mode="devdax")
    facts["namespaces"] = [
        {"name": "namespace0.0", "mode": "devdax", "size": 1 << 30, "map": "dev", "dax": "dax0.0", "uuid": "7a1e", "node": 1, "overhead_bytes": 18 << 20},
        {"name": "namespace1.0", "mode": "raw", "size": 1 << 30, "map": "none", "dax": None, "uuid": "7a1f", "node": 0, "overhead_bytes": 0}]
    text = table(report({"a": (facts, None)})).splitlines()
    assert text[3].split()[:4] == ["7a1e", "dax0.0", "512M", "devdax"]
    assert text[-1] == "namespace0.0, devdax, 1G: memmap of the namespace on the device, overhead 18M"


def test_lines_have_no_space_at_their_ends(gathered, declared):
    # YAML can show such text only in quotes, with its line ends escaped.
    text = table(report({"a": (gathered(), declared + [{"serial": 9, "memmap": "dram"}]), "b": (None, None)}))
    assert all(line == line.strip() for line in text.splitlines())
