# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook provision, run by ansible-playbook on a simulated host: its tasks are as many for 32,768 memory blocks as for 8."""
from __future__ import annotations

import copy
import re

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
from ansible_collections.memlab.testbed.tests.simulated.fleet import Fleet
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine

# What works on the host, in the playbook's order.
MODULES = ("boot_parameters", "cxl_region", "pmem_namespace", "dax_device", "memory_blocks", "memory_boot_service", "memmap_facts")
LISTS = ("cxl_region", "pmem_namespace", "dax_device", "memory_blocks")
BLOCKS = 4  # of each device of the small machine


def placement(root, devices, blocks):
    """The fact ``memmap`` of ``devices`` CXL memory devices, each of ``blocks`` memory blocks online. It is collected from a machine of few, and
    multiplied: a tree of all takes minutes to write, and the fact has no list of blocks."""
    Machine(16, [Device(16 + BLOCKS * number, BLOCKS, number + 1, "self", "Movable", BLOCKS) for number in range(devices)]).write(str(root))
    found = copy.deepcopy(facts.collect(Host(str(root))))
    assert "blocks" not in found and found["conflicts"] == []
    factor = blocks // BLOCKS
    for number, entry in enumerate(found["devices"], 1):
        entry["memory_devices"] = [{"name": "mem%d" % number, "serial": number, "pci": "0000:%02x:00.0" % number}]
        entry["blocks"]["online"] *= factor
    for entry in [part for part in found["ranges"] if part["device"]] + found["devices"]:
        for key in ("size", "memmap_bytes") + (("blocks",) if "first_block" in entry else ()):
            entry[key] *= factor
        entry["memmap_nodes"] = {node: count * factor for node, count in entry["memmap_nodes"].items()}
    return found


def provision(directory, devices, blocks):
    """(task, number of its results) of each task of the playbook, and (module, entries that it was given) of each call on the host."""
    declared = [{"serial": "%#x" % number, "memmap": "device"} for number in range(1, devices + 1)]
    store = [{"nvdimms": ["%#x" % number], "namespace": {"name": "store%d" % number, "mode": "fsdax"}} for number in range(1, devices + 1)]
    made = Fleet(directory, 1, memory_devices=declared + store, verify_devices=declared, provision_at_boot=True)
    made.simulate(*MODULES)
    made.write("host0000", "memmap", placement(directory / "tree", devices, blocks))
    code, output = made.play("provision")
    assert code == 0, output
    assert "%d/%d" % (blocks, blocks) in output and re.search(r"All \d+ statements hold", output), output
    tasks = re.findall(r"^TASK \[(.*?)\] \**$((?:\n.+)*)", output, re.MULTILINE)
    return ([(name, len(re.findall(r"^(?:ok|changed|skipping|included|failed|fatal):", lines, re.MULTILINE))) for name, lines in tasks],
            made.calls("host0000"))


def test_tasks_are_as_many_whatever_the_number_of_blocks_and_devices(tmp_path):
    few, calls = provision(tmp_path / "few", 2, 4)
    assert {count for name, count in few} == {1} and len(few) > len(MODULES), few
    assert [name for name, entries in calls] == list(MODULES)
    for devices, blocks in ((1, 32768), (32, 1024)):
        many, calls = provision(tmp_path / str(devices), devices, blocks)
        assert many == few
        # All of a host's devices go to a module at once, and none of its blocks by itself.
        assert [name for name, entries in calls] == list(MODULES)
        assert {entries for name, entries in calls if name in LISTS} == {devices}
