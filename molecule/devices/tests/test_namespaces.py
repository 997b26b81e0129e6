# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces of every mode, and what is on them, on the guest ``namespaces``: NVDIMMs 0x1 and 0x2 with blank labels, 0x3 without, CXL device 0x11."""
from __future__ import annotations

import base64
import concurrent.futures
import json
import lzma
import pathlib
import struct
import subprocess
import uuid
import zlib

import pytest
import testinfra

from ansible_collections.memlab.testbed.molecule.conftest import TESTBED

SCRIPT = (pathlib.Path(__file__).parent / "pmem_on_guest.py").read_text(encoding="utf-8")
MIB = 1 << 20
GUEST = "namespaces"
# by what the kernel shows of each: mode, what claims it, where its memmap lies
MODES = {
    "store": ("fsdax", "dev", ("memory", "pfn", "pmem")), "quick": ("fsdax", "mem", ("memory", "pfn", "ram")),
    "fast": ("devdax", "dev", ("dax", "dax", "pmem")), "ram": ("devdax", "mem", ("dax", "dax", "ram")),
    "blocks": ("sector", None, ("safe", "btt", None)), "bare": ("raw", None, ("raw", None, None)),
}
SIZES = dict(dict.fromkeys(MODES, 16 * MIB), blocks=32 * MIB, bare=32 * MIB)  # the least that each can have, now and later
LABELLED = [{"nvdimms": ["0x1"], "name": name, "mode": mode, "size": str(SIZES[name]), **({"map": place} if place else {})}
            for name, (mode, place, seen) in MODES.items()]
WHOLE = {"nvdimms": ["0x3"], "mode": "fsdax", "map": "mem"}  # no labels: one namespace
CXL = {"memory_devices": ["0x11"], "name": "far", "mode": "devdax", "map": "dev", "size": "256M"}


class Guest:
    """The guest's namespaces, read by other means than the module's."""

    def __init__(self, host):
        self.host = host

    def ask(self, *words):
        done = self.host.run("python3 -c %s %s", SCRIPT, json.dumps(words))
        assert done.rc == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *words):
        done = self.host.run(" ".join(["%s"] * len(words)), *words)
        assert done.rc == 0, done.stderr
        return done.stdout

    def namespaces(self):
        """By the name in the label; the ones without a label by the handle of their NVDIMM."""
        return {entry["label"] or entry["handle"]: entry for entry in self.ask("state").values()}

    def put(self, device, *pieces):
        self.ask("put", device, [[offset, base64.b64encode(lzma.compress(data)).decode("ascii")] for offset, data in pieces])


@pytest.fixture(scope="module", name="guest")
def cleaned(controller):
    """Left with no namespace but the kernel's own and zeros where data was. Labels, once made, are there until the guest starts with blank ones."""
    guest = Guest(testinfra.get_host("ansible://" + GUEST, ansible_inventory=str(TESTBED)))
    yield guest
    found = guest.namespaces()
    guest.ask("clear", [found[name]["device"] for name in MODES if name in found], 32 * MIB)
    guest.ask("clear", [found["0x3"]["device"]], MIB)
    done = controller.module(GUEST, "pmem_namespace", namespaces=[dict(entry, state="absent", allow_data_loss=True) for entry in LABELLED + [WHOLE]])
    assert done.code == 0, done.output


def test_every_mode_in_four_steps(controller, guest):
    done = controller.four_steps(GUEST, "pmem_namespace", namespaces=LABELLED + [WHOLE])
    found = guest.namespaces()
    for name, (mode, place, seen) in MODES.items():
        entry = found[name]
        assert (entry["mode"], entry["claim"], entry["memmap"]) == seen, name
        assert (entry["size"], entry["enabled"]) == (SIZES[name], True), name
    whole = found["0x3"]
    assert (whole["mode"], whole["claim"], whole["memmap"], whole["size"]) == ("memory", "pfn", "ram", 256 * MIB)
    assert [report["device"] for report in done["namespaces"]] == [found[name]["device"] for name in MODES] + [whole["device"]]
    assert all(report["lost"] == [] for report in done["namespaces"])


# what people have on such devices


def ext4(directory):
    """As mkfs makes it, with a file in it."""
    image, tree = directory / "ext4", directory / "tree"
    tree.mkdir()
    (tree / "file").write_text("keep me\n", encoding="ascii")
    subprocess.run(["truncate", "--size=8M", image], check=True)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-L", "books", "-d", tree, image], check=True)
    return image.read_bytes()


def gpt():
    """A protective MBR, and a GPT with one partition (UEFI specification 5.3). Its copy at the end is missing, as on a disk that was cloned to a larger one."""
    size = 8 * MIB // 512
    linux = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le
    entries = (linux + uuid.UUID(int=1).bytes_le + struct.pack("<QQQ", 2048, 10239, 0)).ljust(128 * 128, b"\0")

    def header(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, 1, size - 1, 34, size - 34, uuid.UUID(int=2).bytes_le, 2, 128, 128,
                           zlib.crc32(entries))

    mbr = bytes(446) + struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0xee, 255, 255, 255, 1, size - 1) + bytes(48) + b"\x55\xaa"
    return mbr + header(zlib.crc32(header(0))).ljust(512, b"\0") + entries


def lvm():
    """The label of a physical volume in sector 1 (LVM2 lib/format_text/layout.h): its checksum is a CRC-32 with another beginning and end than zlib's."""
    body = struct.pack("<I8s", 32, b"LVM2 001") + b"abcdefghijklmnopqrstuvwxyz012345" + struct.pack("<Q", 24 * MIB)
    body = body.ljust(512 - 20, b"\0")
    crc = zlib.crc32(body, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff
    return b"LABELONE" + struct.pack("<QI", 1, crc) + body


def md():
    """A superblock of version 1.2, 4 KiB from the start (linux/raid/md_p.h); its checksum is the sum of its words."""
    block = bytearray(256)
    struct.pack_into("<III", block, 0, 0xa92b4efc, 1, 0)
    block[16:32] = uuid.UUID("11111111-2222-3333-4444-555555555555").bytes
    block[32:36] = b"pool"
    struct.pack_into("<Q", block, 144, 8)  # this superblock's own place in sectors
    total = sum(struct.unpack("<64I", block))
    struct.pack_into("<I", block, 216, ((total & 0xffffffff) + (total >> 32)) & 0xffffffff)
    return bytes(block)


def wanted(name, **change):
    """One of the namespaces, declared otherwise."""
    entry = dict(next((entry for entry in LABELLED if entry["name"] == name), WHOLE), **change)
    if entry["mode"] not in ("fsdax", "devdax"):
        entry.pop("map", None)
    return entry


@pytest.fixture(scope="module", name="digests")
def filled(guest, tmp_path_factory):
    """Data on all of them; the function returns the checksum of each."""
    directory = tmp_path_factory.mktemp("data")
    found = guest.namespaces()
    device = {name: found[name]["device"] for name in MODES}
    whole = found["0x3"]["device"]
    guest.put(device["store"], (0, ext4(directory)))
    guest.put(device["quick"], (0, gpt()))
    guest.put(device["blocks"], (512, lvm()))
    guest.put(device["fast"], (0, b"first"))
    guest.put(device["ram"], (-4096, b"last"))
    guest.put(device["bare"], (4096, b"NVDIMM_PFN_INFO\0"))
    guest.put(whole, (4096, md()))
    return lambda *others: guest.ask("digest", list(device.values()) + list(others))


@pytest.fixture(name="refused")
def refuser(controller, guest):
    """Each of these changes must be refused in these words; two at a time, since none of them is to change anything."""
    def refuse(cases, reason, *always, **options):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = [(pool.submit(controller.module, GUEST, "pmem_namespace", namespaces=[wanted(name, **dict(options, **change))]), said)
                    for name, change, said in cases]
        for run, said in runs:
            run.result().refusal(reason, *always, *said)
    return refuse


def test_data_is_refused_and_stays(guest, digests, refused):
    found = guest.namespaces()
    before = digests(found["0x3"]["device"])
    refused([("store", {"state": "reconfigured", "mode": "devdax"}, ['a label with the name "store"', 'ext4 with the label "books"']),
             ("quick", {"state": "absent"}, ["gpt partition table"]),
             ("blocks", {"state": "reconfigured", "mode": "sector", "sector_size": "512"}, ["LVM physical volume"]),
             ("fast", {"state": "reconfigured", "map": "mem"}, ["bytes that are not zero, at 0x0"]),
             ("ram", {"state": "absent"}, ["bytes that are not zero, at 0xdff000"]),
             ("bare", {"state": "reconfigured", "mode": "fsdax"}, ["an info block of mode fsdax (pfn)"]),
             (None, {"state": "reconfigured", "mode": "sector"}, ["member of an md array"])],
            "it holds data: say allow_data_loss: true")
    assert (guest.namespaces(), digests(found["0x3"]["device"])) == (found, before)


def test_what_is_in_use_is_refused_though_it_may_be_lost(guest, digests, refused):
    before, found = digests(), guest.namespaces()
    mapped = "import mmap, os, time; d = os.open('/dev/%s', os.O_RDWR); m = mmap.mmap(d, 2 << 20); time.sleep(600)" % found["fast"]["device"]
    opened = "import os, time; d = os.open('/dev/%s', os.O_RDONLY); time.sleep(600)" % found["bare"]["device"]
    users = [guest.host.run("python3 -c %s >/dev/null 2>&1 </dev/null & echo $!", code).stdout.strip() for code in (mapped, opened)]
    guest.run("mount", "-o", "ro,noload", "/dev/" + found["store"]["device"], "/mnt")
    try:
        refused([("store", {"state": "absent"}, ["in use by a file system mounted on /mnt"]),
                 ("fast", {"state": "reconfigured", "map": "mem"}, ["in use by process %s (python3), which has it open and mapped" % users[0]]),
                 ("bare", {"state": "absent"}, ["in use by process %s (python3), which has it open" % users[1]])],
                "it is in use: end that use first", allow_data_loss=True)
    finally:
        guest.run("umount", "/mnt")
        guest.run("kill", *users)
    assert (guest.namespaces(), digests()) == (found, before)


def test_what_the_kernel_holds_is_refused_though_it_may_be_lost(guest, digests, refused):
    """Swap, a loop device, a linear mapping as LVM and cryptsetup make them, an md array: what the kernel itself keeps there, and no process has open."""
    found = guest.namespaces()
    device = {name: entry["device"] for name, entry in found.items()}
    guest.ask("hold", {"swap": device["0x3"], "loop": device["bare"], "mapped": device["quick"], "array": device["store"]})
    before = digests(device["0x3"])
    absent = {"state": "absent"}
    try:
        refused([(None, {"state": "reconfigured", "mode": "sector"},
                  ["in use by swap on /dev/" + device["0x3"], "swap (", "allow_data_loss does not help here"]),
                 ("bare", absent, ["in use by the loop device loop0"]),
                 ("quick", absent, ["in use by the device memlab-mapped on " + device["quick"]]),
                 ("store", absent, ["in use by the device md_memlab on " + device["store"]])],
                "it is in use: end that use first", allow_data_loss=True)
    finally:
        guest.ask("release")
    assert (guest.namespaces(), digests(device["0x3"])) == (found, before)


def test_a_change_leaves_its_neighbours_as_they_are(controller, guest, digests):
    before, found = digests(), guest.namespaces()
    changed = {"nvdimms": ["0x1"], "name": "bare", "state": "reconfigured", "mode": "sector", "sector_size": "512", "allow_data_loss": True}
    done = controller.four_steps(GUEST, "pmem_namespace", namespaces=[changed])
    assert done["namespaces"][0]["lost"] == ['a label with the name "bare"', "an info block of mode fsdax (pfn)"]
    now = guest.namespaces()
    assert (now["bare"]["mode"], now["bare"]["uuid"]) == ("safe", found["bare"]["uuid"])
    del before[found["bare"]["device"]], found["bare"], now["bare"]
    assert now == found
    assert guest.ask("digest", list(before)) == before
    # removed and made again
    changed = {"nvdimms": ["0x1"], "name": "bare", "mode": "raw", "size": str(SIZES["bare"]), "allow_data_loss": True}
    for state in ("absent", "present"):
        done = controller.module(GUEST, "pmem_namespace", namespaces=[dict(changed, state=state)])
        assert done.code == 0, done.output
        assert {name: entry for name, entry in guest.namespaces().items() if name != "bare"} == found
        assert guest.ask("digest", list(before)) == before
    assert guest.namespaces()["bare"]["mode"] == "raw"


def test_the_facts_show_them(controller, guest):
    done = controller.module(GUEST, "memmap_facts", gather="ranges")
    facts = {entry["label"]: entry for entry in done.result["ansible_facts"]["memmap"]["namespaces"]}
    assert {name: (facts[name]["mode"], facts[name]["map"]) for name in ("store", "quick", "fast", "ram")} == {
        name: MODES[name][:2] for name in ("store", "quick", "fast", "ram")}
    assert facts["ram"]["region"] == {"nvdimms": ["0x1"], "memory_devices": []}
    assert facts["blocks"]["sector_size"] == 4096 and facts["fast"]["align"] == 2 * MIB


@pytest.mark.parametrize("entry, said", [
    ({"nvdimms": ["0x2"], "name": "odd", "size": "100M"}, "size 100M is not a multiple of 16M, the alignment of its region: 96M or 112M would do"),
    ({"nvdimms": ["0x3"], "name": "odd"}, "has no label area, where name, uuid and size of a namespace are kept"),
])
def test_refused_beforehand(controller, guest, entry, said):
    before = guest.namespaces()
    controller.module(GUEST, "pmem_namespace", namespaces=[entry]).refusal(said)
    assert guest.namespaces() == before


@pytest.fixture(name="cxl_region")
def made_by_hand(guest):
    """A persistent region of the CXL device, made by the cxl tool."""
    memory = json.loads(guest.run("cxl", "list", "-M"))[0]["memdev"]
    region = json.loads(guest.run("cxl", "create-region", "-t", "pmem", "-d", "decoder0.0", "-m", memory))["region"]
    yield region
    guest.run("cxl", "disable-region", region)
    guest.run("cxl", "destroy-region", region)


def test_a_namespace_on_a_cxl_region(controller, guest, cxl_region):
    controller.four_steps(GUEST, "pmem_namespace", namespaces=[CXL])
    entry = guest.namespaces()["far"]
    assert (entry["mode"], entry["memmap"], entry["size"], entry["enabled"]) == ("dax", "pmem", 256 * MIB, True)
    assert entry["cxl"] == "17"
    done = controller.module(GUEST, "pmem_namespace", namespaces=[dict(CXL, state="absent", allow_data_loss=True)])
    assert (done.code, done.result["changed"]) == (0, True), done.output
    assert "far" not in guest.namespaces()
