# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the facts say of real machines, against what had been done to them (tests/unit/captures/README.md)."""
from __future__ import annotations

import os
import pathlib
import re
import shutil
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
from ansible_collections.memlab.testbed.plugins.module_utils.report import in_dram

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"

ALL = ["page_tables", "page_flags", "zone_accounting"]
TABLES = ["page_tables"]
BOTH = ["page_tables", "page_flags"]

# Blocks that belong to devices: (device, first, last, state, placement, proofs)
EXPECTED = {
    "device-6.12": [("dax0.0", 338, 345, "online", "self", ALL), ("dax1.0", 370, 373, "online", "self", ALL)],
    "dram-6.12": [("dax0.0", 338, 345, "online", "other_node", ALL), ("dax1.0", 370, 373, "online", "other_node", ALL)],
    "mixed-6.12": [("dax0.0", 338, 345, "online", "other_node", ALL),
                   ("dax1.0", 370, 371, "online", "self", ALL), ("dax1.0", 372, 377, "offline", "self", TABLES)],
    "offline-6.12": [("dax0.0", 338, 345, "offline", "self", TABLES),
                     ("dax1.0", 370, 370, "offline", "self", TABLES), ("dax1.0", 371, 373, "online", "self", ALL)],
    "same_node-6.12": [("dax0.0", 338, 341, "online", "self", ALL), ("dax0.1", 342, 345, "online", "same_node", ALL),
                       ("dax1.0", 370, 370, "offline", "self", TABLES), ("dax1.0", 371, 373, "online", "self", ALL)],
    "nvdimm-6.12": [("dax2.0", 33, 35, "offline", "self", TABLES), ("dax0.0", 338, 345, "online", "other_node", ALL),
                    ("dax1.0", 370, 373, "online", "other_node", ALL)],
    "unsupported-6.12": [("dax0.0", 338, 345, "online", "other_node", ALL), ("dax1.0", 370, 373, "online", "other_node", ALL)],
    "mixed-7.3": [("dax0.0", 338, 342, "online", "self", ALL), ("dax0.0", 343, 345, "offline", "self", TABLES),
                  ("dax1.0", 370, 372, "online", "other_node", ALL), ("dax1.0", 373, 373, "offline", "other_node", TABLES)],
    "hvo-7.3": [("dax0.0", 338, 342, "online", "self", ALL), ("dax0.0", 343, 345, "offline", "self", TABLES),
                ("dax1.0", 370, 372, "online", "other_node", ALL), ("dax1.0", 373, 373, "offline", "other_node", TABLES)],
    "lockdown-7.3": [("dax0.0", 338, 342, "online", "self", ["page_flags", "zone_accounting"]), ("dax0.0", 343, 345, "offline", "unknown", []),
                     ("dax1.0", 370, 372, "online", "unknown", []), ("dax1.0", 373, 373, "offline", "unknown", [])],
    "nvdimm-6.1": [("dax2.0", 33, 35, "online", "same_node", BOTH)],
    "dimm-6.1": [],
}


ANSWERS = {}


def gather(captured, name):
    """The answer for a capture with one entry per block, worked out once."""
    if name not in ANSWERS:
        ANSWERS[name] = facts.collect(captured(name), gather="blocks")
    return ANSWERS[name]


def device(found, name):
    return next(entry for entry in found["devices"] if entry["name"] == name)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_placement_and_proofs(captured, name):
    found = gather(captured, name)
    assert [(entry["device"], entry["first_block"], entry["last_block"], entry["state"], entry["placement"], entry["proofs"])
            for entry in found["ranges"] if entry["device"]] == EXPECTED[name]
    assert found["conflicts"] == []
    assert found["kernel"]["release"].startswith(name.rpartition("-")[2] + ".")
    assert found["kernel"]["struct_page_size"] == 64


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"lockdown-7.3"}))
def test_memory_of_no_device(captured, name):
    # Block 15 holds the memmap of all boot memory, its own among it, and is not self-hosted for that.
    boot = [block for block in gather(captured, name)["blocks"] if block["device"] is None]
    if name == "dimm-6.1":
        dimm = boot.pop()
        # The page flags of 6.1 are others than those of 6.12.
        assert (dimm["id"], dimm["placement"], dimm["proofs"], dimm["memmap"]) == (46, "self", BOTH, [{"start": 46 * (128 << 20), "size": 2 << 20}])
    assert [block["id"] for block in boot] == list(range(16))
    assert {block["placement"] for block in boot} == {"same_node"}
    assert boot[15]["memmap"][0]["start"] // (128 << 20) == 15


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("proof", ["page_flags", "zone_accounting"])
def test_each_weaker_proof_alone_says_nothing_else(captured, name, proof):
    whole = {block["id"]: block["placement"] for block in gather(captured, name)["blocks"]}
    for block in facts.collect(captured(name), gather="blocks", proofs=[proof])["blocks"]:
        assert block["placement"] in ("unknown", whole[block["id"]])


@pytest.mark.parametrize("name, devices", [
    ("device-6.12", {"dax0.0": (1, "0000:0d:00.0", "device"), "dax1.0": (2, "0000:41:00.0", "device")}),
    ("mixed-6.12", {"dax0.0": (1, "0000:0d:00.0", "dram"), "dax1.0": (2, "0000:41:00.0", "device")}),
    ("mixed-7.3", {"dax0.0": (1, "0000:0d:00.0", "device"), "dax1.0": (2, "0000:41:00.0", "dram")})])
def test_devices_are_known_by_serial_number_and_address(captured, name, devices):
    found = gather(captured, name)
    for dax, (serial, pci, intent) in devices.items():
        entry = device(found, dax)
        assert [(member["serial"], member["pci"]) for member in entry["memory_devices"]] == [(serial, pci)]
        assert (entry["intent"], entry["mode"], entry["driver"]) == (intent, "system-ram", "kmem")


def test_a_memmap_on_another_device_is_told_from_dram(captured):
    found = gather(captured, "unsupported-6.12")
    assert (device(found, "dax0.0")["memmap_nodes"], device(found, "dax0.0")["memmap_devices"]) == ({"0": 16 << 20}, {})
    assert (device(found, "dax1.0")["memmap_nodes"], device(found, "dax1.0")["memmap_devices"]) == ({"1": 8 << 20}, {"dax0.0": 8 << 20})
    assert device(found, "dax1.0")["intent"] == "device"
    assert (found["kernel"]["supported"], found["kernel"]["memmap_on_memory"]) == (False, "N")


@pytest.mark.parametrize("link, owner", [("dax0.0/driver", "dax0.0"), ("dax0.0", "System RAM (kmem)")], ids=["no driver has it", "it is gone"])
def test_a_memmap_on_memory_that_a_driver_left_behind_is_not_in_dram(captured, tmp_path, link, owner):
    """Changed: a link to the driver of the device on which another's memmap lies, or to the device."""
    root = shutil.copytree(captured("pinned-6.12").path("/"), tmp_path / "root", symlinks=True)
    os.unlink("%s/sys/bus/dax/devices/%s" % (root, link))
    entry = device(facts.collect(Host(str(root))), "dax3.0")
    assert (entry["intent"], entry["memmap_devices"], in_dram.holds(entry)) == ("dram", {owner: 8 << 20}, False)


def test_a_memmap_elsewhere_on_the_same_node(captured):
    entry = device(gather(captured, "same_node-6.12"), "dax0.1")
    assert (entry["placement"], entry["intent"], entry["memmap_devices"]) == ("same_node", "dram", {"dax0.0": 8 << 20})


def test_shared_pages_of_a_memmap_count_once(captured):
    plain, optimised = gather(captured, "mixed-7.3"), gather(captured, "hvo-7.3")
    assert device(plain, "dax1.0")["memmap_bytes"] == 8 << 20
    # 40 huge pages gave back 7 pages each; one page is shared by all.
    assert device(optimised, "dax1.0")["memmap_bytes"] == (8 << 20) - (40 * 7 - 1) * 4096
    # A self-hosted memmap is not optimised.
    assert device(optimised, "dax0.0")["memmap_bytes"] == 16 << 20


def test_lockdown_is_said(captured):
    proofs = gather(captured, "lockdown-7.3")["proofs"]
    assert proofs["page_tables"] == {"available": False, "why_not": "kernel lockdown (confidentiality) closes /proc/kcore"}
    assert proofs["page_flags"]["available"] and proofs["zone_accounting"]["available"]


def test_a_kernel_before_the_knob(captured):
    found = gather(captured, "nvdimm-6.1")
    assert found["kernel"]["memmap_on_memory"] == "Y" and found["kernel"]["supported"] is False and "6.8" in found["kernel"]["why_not"]
    assert device(found, "dax2.0")["intent"] is None
    # The NVDIMM is on the node of the DRAM: that its memmap is in DRAM is told by devices, not by nodes.
    assert device(found, "dax2.0")["memmap_devices"] == {}


def test_regions(captured):
    found = gather(captured, "device-6.12")["regions"]
    assert found == [
        {"name": "region0", "type": "ram", "start": 0xa90000000, "size": 1 << 30, "ways": 1, "granularity": 256, "root_decoder": "decoder0.0",
         "memory_devices": [{"name": "mem1", "serial": 1, "pci": "0000:0d:00.0"}]},
        {"name": "region1", "type": "ram", "start": 0xb90000000, "size": 512 << 20, "ways": 1, "granularity": 256, "root_decoder": "decoder0.1",
         "memory_devices": [{"name": "mem0", "serial": 2, "pci": "0000:41:00.0"}]}]
    (begun,) = gather(captured, "half_made-6.12")["regions"]
    assert (begun["start"] is None) is (begun["size"] is None) and begun["memory_devices"] == []


def test_namespaces_in_the_words_of_ndctl(captured):
    found = gather(captured, "nvdimm-6.12")["namespaces"]
    assert [(entry["name"], entry["mode"], entry["map"], entry["size"], entry["overhead_bytes"], entry["dax"]) for entry in found] == [
        ("namespace2.0", "devdax", "dev", 512 << 20, 10 << 20, "dax2.0"), ("namespace2.1", "fsdax", "dev", 256 << 20, 6 << 20, None),
        ("namespace2.2", "fsdax", "mem", 128 << 20, 0, None), ("namespace3.0", "sector", "none", 64 << 20, 0, None)]
    assert found[0]["uuid"] == "3c0efd69-724f-48ac-8fee-5cedc60024ac"


def test_a_dax_device_is_known_by_its_namespace(captured):
    entry = device(gather(captured, "nvdimm-6.12"), "dax2.0")
    assert entry["namespace"] == {"name": "namespace2.0", "label": "slow", "uuid": "3c0efd69-724f-48ac-8fee-5cedc60024ac"}
    assert (entry["region"], entry["memory_devices"]) == (None, [])
    # 502 MiB that do not start on a block: four would fit by size, three do.
    assert (entry["size"], entry["blocks"]) == (502 << 20, {"online": 0, "offline": 3, "absent": 0})


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_no_kernel_virtual_address_and_no_secret_is_in_a_capture(name):
    with tarfile.open(CAPTURES / (name + ".tgz")) as archive:
        for member in archive:
            assert member.name.startswith("./") and ".." not in member.name
            if member.isfile():
                text = archive.extractfile(member).read().decode("utf-8", "replace")
                # Unset attributes of CXL read as all ones.
                assert set(re.findall(r"\bff[0-9a-f]{14}\b", text.replace("0x", " "))) <= {"f" * 16}, member.name
                assert "Kernel code" not in text and "root=" not in text
