# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices of every origin to kmem, with their memmap where it was asked for, to device_dax and back, whole and in parts."""
from __future__ import annotations

import json
import re

import pytest

GUEST = "placement"
ONE, TWO = {"memory_devices": ["0x1"]}, {"memory_devices": ["0x2"]}
SOFT = {"soft_reserved": "0x100000000"}
NAMESPACE = {"namespace": "ram"}
MADE = [{"nvdimms": ["0x1"], "name": "ram", "mode": "devdax", "map": "mem"}]
SELF, NONE = [512, 512], [0, 0]

# Values to files of the guest, each written in one go.
WRITE = "import json, sys\nfor path, value in json.loads(sys.argv[1]):\n    with open(path, 'w') as stream:\n        stream.write(value)\n"


@pytest.fixture(name="done", scope="module")
def successful_call(controller):
    """A function that runs a module on the guest, successfully, and returns its result."""
    def call(module, key, *entries, **options):
        found = controller.module(GUEST, module, **dict(options, **{key: list(entries)}))
        assert found.code == 0, found.output
        return found.result
    return call


@pytest.fixture(name="blocks", scope="module")
def memory_blocks(done):
    return lambda *entries: done("memory_blocks", "devices", *entries)


@pytest.fixture(name="place", scope="module")
def dax_device(done):
    return lambda *entries: done("dax_device", "devices", *entries)


@pytest.fixture(name="regions", scope="module")
def make_regions(controller, done, blocks):
    """A region of each CXL memory device, in one window and so on one node. Returns the node."""
    made = done("cxl_region", "regions", ONE, TWO)["regions"]
    assert made[0]["node"] == made[1]["node"]
    yield made[0]["node"]
    if any(block["nodes"] == [made[0]["node"]] for block in controller.state(GUEST)["blocks"].values()):
        blocks({"node": made[0]["node"], "state": "offline"})
    done("cxl_region", "regions", dict(ONE, state="absent"), dict(TWO, state="absent"))


@pytest.fixture(name="namespace", scope="module")
def make_namespace(controller, done):
    """A devdax namespace of the whole NVDIMM. Returns the address where its dax device begins."""
    done("pmem_namespace", "namespaces", *MADE)
    (start,) = [start for start, device in controller.state(GUEST)["dax"].items() if device["driver"] == "device_dax"]
    yield start
    done("pmem_namespace", "namespaces", dict(MADE[0], state="absent", allow_data_loss=True))


@pytest.fixture(name="state")
def machine_state(controller):
    def look():
        found = controller.state(GUEST)
        found["blocks"] = {int(number): block for number, block in found["blocks"].items()}
        assert (found["drivers_autoprobe"], found["auto_online_blocks"], found["left_behind"]) == ("1", "offline", [])
        return found
    return look


def hosted(state, *ids):
    """Self-hosted pages of blocks that have to be online."""
    assert [state["blocks"][number]["state"] for number in ids] == ["online"] * len(ids)
    return [state["blocks"][number]["self_hosted"] for number in ids]


def missing_pages(state, node, zone="Movable"):
    """Pages of a zone that the page allocator was not given: on a node without DRAM its self-hosted memmaps."""
    counts = state["zones"][str(node)][zone]
    return counts["present"] - counts["managed"]


# The checksum of a megabyte in the middle of each device, filled with random bytes before if that is asked for.
MEGABYTE = """import hashlib, json, mmap, os, sys
found = {}
for name in sys.argv[2:]:
    with open("/sys/bus/dax/devices/%s/size" % name) as stream:
        size = int(stream.read())
    window = mmap.mmap(os.open("/dev/" + name, os.O_RDWR), size)
    if sys.argv[1] == "fill":
        window[size // 2:size // 2 + (1 << 20)] = os.urandom(1 << 20)
    found[name] = hashlib.sha256(window[size // 2:size // 2 + (1 << 20)]).hexdigest()
print(json.dumps(found))
"""


# A program that has a device mapped, until it is killed.
MAPPED = """import mmap, os, signal, sys
window = mmap.mmap(os.open("/dev/" + sys.argv[1], os.O_RDWR), 2 << 20)
print("ready", flush=True)
signal.pause()
"""


def test_what_volatile_memory_holds_in_mode_devdax(controller, open_guest, regions, place, state):
    """Zeros are nothing. Anything else may be a program's, which has the device closed just now."""
    guest = open_guest(GUEST)
    devdax, ram = [[dict(TWO, **mode), dict(SOFT, **mode)] for mode in ({"mode": "devdax"}, {"memmap": "dram"})]
    for entries in (devdax, ram, devdax):
        place(*entries)
    before = state()
    names = [before["devices"]["0x2"]["dax"]]
    names += [path.split("/")[-3] for path in guest.shell("grep -lix %s /sys/bus/dax/devices/*/mapping0/start" % SOFT["soft_reserved"]).split()]
    assert len(names) == 2

    def held(how="look"):
        return json.loads(guest.shell("python3 - %s" % " ".join([how, *names]), given=MEGABYTE))

    zeros, filled = held(), held("fill")
    assert len(set(zeros.values())) == 1 and len({*filled.values(), *zeros.values()}) == 3
    for module, key, entry in (("dax_device", "devices", ram[0]), ("dax_device", "devices", dict(ram[1], parts=[{"size": "256M"}, {"size": "all"}])),
                               ("cxl_region", "regions", dict(TWO, state="absent"))):
        refused = controller.module(GUEST, module, **{key: [entry]})
        refused.refusal("it holds data: say allow_data_loss: true", "bytes that are not zero, at 0x")
        assert (state(), held()) == (before, filled), entry
    # in use it stays, whatever may be lost
    with guest.beside(MAPPED, names[1]) as pid:
        refused = controller.module(GUEST, "dax_device", devices=[dict(ram[1], allow_data_loss=True)])
        refused.refusal("it is in use", "process %d (python3), which has it open and mapped" % pid, "allow_data_loss does not help here")
    assert (state(), held()) == (before, filled)
    # their neighbour on the same host bridge
    controller.four_steps(GUEST, "dax_device", devices=[dict(ONE, memmap="device")])
    assert held() == filled
    done = place(*[dict(entry, allow_data_loss=True) for entry in ram])
    assert [len(report["lost"]) for report in done["devices"]] == [1, 1]


def test_every_origin_both_ways(controller, regions, namespace, blocks, state):
    """Each device once with its memmap on itself and once in DRAM. Of QEMU's NVDIMM of 1 GiB the info block takes the first of 8 memory blocks."""
    assert state()["dax"][SOFT["soft_reserved"]] == {"size": 1 << 30, "driver": "kmem", "knob": "0", "node": 1}, "the kernel's own choice"
    for kinds in (("device", "dram", "dram", "device"), ("dram", "device", "device", "dram")):
        wanted = [dict(names, memmap=memmap, offline=True, allow_data_loss=names is NAMESPACE) for names, memmap in zip((ONE, TWO, NAMESPACE, SOFT), kinds)]
        reports = controller.four_steps(GUEST, "dax_device", devices=wanted)["devices"]
        assert [report["blocks"] for report in reports] == [8, 4, 7, 8]
        blocks(*[dict(names, count="1") for names in (ONE, TWO, NAMESPACE, SOFT)])
        now = state()
        assert hosted(now, *[report["first_block"] for report in reports]) == [{"device": SELF, "dram": NONE}[memmap] for memmap in kinds]
        # one of the two CXL devices, which share a node, and either the namespace or the soft-reserved memory
        assert missing_pages(now, regions) == 512
        assert [missing_pages(now, report["node"]) for report in reports[2:]] == [{"device": 512, "dram": 0}[memmap] for memmap in kinds[2:]]
        starts = ["%#x" % (now["devices"][serial]["start"]) for serial in ("0x1", "0x2")] + [namespace, SOFT["soft_reserved"]]
        assert [(now["dax"][start]["driver"], now["dax"][start]["knob"]) for start in starts] == [
            ("kmem", {"device": "1", "dram": "0"}[memmap]) for memmap in kinds]
    blocks(*[dict(names, state="offline") for names in (ONE, TWO, SOFT)])


# What somebody else can do to a device whose blocks are offline: since Linux 7 take its memory away and leave it with kmem, before that unbind it.
UNPLUG = """import os, sys
base = "/sys/bus/dax/devices/" + sys.argv[1]
path, value = (base + "/state", "unplugged") if os.path.exists(base + "/state") else (base + "/driver/unbind", sys.argv[1])
with open(path, "w") as stream:
    stream.write(value)
print(os.uname().release, os.path.basename(path))
"""


def test_memory_that_somebody_unplugged(controller, regions, place, blocks, state):
    given = dict(ONE, memmap="device")
    place(dict(given, offline=True))
    before = state()
    done = controller.finish(controller.start("ansible", "-i", controller.environment["MEMLAB_TESTBED"], GUEST, "-m", "ansible.builtin.command",
                                              "-a", json.dumps({"argv": ["/usr/bin/python3", "-c", UNPLUG, before["devices"]["0x1"]["dax"]]})))
    assert done.code == 0, done.output
    seven = " state" in done.output
    assert seven is (re.search(r"(\d+)\.\d+\.\d+\S* (state|unbind)", done.output)[1] >= "7"), done.output
    found = state()
    assert found["devices"]["0x1"]["driver"] == ("kmem" if seven else None)
    assert len(before["blocks"]) - len(found["blocks"]) == 8
    controller.four_steps(GUEST, "dax_device", devices=[given])
    blocks(dict(ONE, count="1"))
    now = state()
    assert (now["devices"], set(now["blocks"])) == (before["devices"], set(before["blocks"]))
    assert hosted(now, now["devices"]["0x1"]["start"] // now["block_size"]) == [SELF]
    blocks(dict(ONE, state="offline"))


def test_a_namespace_back_to_devdax(controller, namespace, state):
    """Its memmap was written to it: from now on it holds data."""
    controller.four_steps(GUEST, "dax_device", devices=[dict(NAMESPACE, mode="devdax", offline=True)])
    before = state()
    assert before["dax"][namespace]["driver"] == "device_dax"
    refused = controller.module(GUEST, "dax_device", devices=[dict(NAMESPACE, memmap="dram")])
    refused.refusal("will not change namespace ram: it holds data", "allow_data_loss: true")
    assert state() == before


def test_parts_of_a_region(controller, place, blocks, state):
    parts = [{"size": "256M"}, {"size": "128M", "mode": "devdax"}, {"size": "all", "memmap": "dram"}]
    controller.four_steps(GUEST, "dax_device", devices=[dict(SOFT, memmap="device", offline=True, parts=parts)])
    blocks({"start": "0x100000000", "size": "256M"}, {"start": "0x118000000", "size": "128M"})
    now = state()
    assert hosted(now, 32, 33, 35) == [SELF, SELF, NONE]
    assert 34 not in now["blocks"]
    found = {start: (device["size"] >> 20, device["driver"], device["knob"]) for start, device in now["dax"].items() if device["node"] == 1}
    assert found == {"0x100000000": (256, "kmem", "1"), "0x110000000": (128, "device_dax", "0"), "0x118000000": (640, "kmem", "0")}

    # the first part stays as it is, online
    place(dict(SOFT, memmap="device", offline=True, parts=parts[:1] + [{"size": "512M"}]))
    now = state()
    assert hosted(now, 32, 33) == [SELF, SELF]
    assert now["dax"]["0x110000000"] == {"size": 512 << 20, "driver": "kmem", "knob": "1", "node": 1}
    place(dict(SOFT, offline=True, parts=[{"size": "all", "memmap": "dram"}]))


def test_a_memmap_drawn_to_a_device(controller, regions, done, place, blocks, state):
    """With the knob off the kernel prefers the node of the new memory: another device, online there in a kernel zone, gets the memmap and is pinned by it."""
    place(dict(ONE, memmap="device", offline=True), dict(TWO, mode="devdax", offline=True))
    blocks(dict(ONE, zone="kernel", count="2"))
    before = state()
    drawn = dict(TWO, memmap="dram", allow_data_loss=True)  # what is left from its time as system RAM
    refused = controller.module(GUEST, "dax_device", devices=[drawn])
    refused.refusal("its memmap would not go to DRAM", "online in a kernel zone of node %d" % regions,
                    "add dram devices before anything goes online in a kernel zone")
    assert state()["dax"] == before["dax"]

    # what the module refused, by hand
    name = before["devices"]["0x2"]["dax"]
    drivers = "/sys/bus/dax/drivers"
    writes = [["%s/device_dax/unbind" % drivers, name], ["/sys/bus/dax/devices/%s/memmap_on_memory" % name, "0"], ["%s/kmem/bind" % drivers, name]]
    written = controller.finish(controller.start("ansible", "-i", controller.environment["MEMLAB_TESTBED"], GUEST, "-m", "ansible.builtin.command",
                                                 "-a", json.dumps({"argv": ["/usr/bin/python3", "-c", WRITE, json.dumps(writes)]})))
    assert written.code == 0, written.output
    assert placement(controller, name) == ("same_node", [before["devices"]["0x1"]["dax"]])
    pinned = controller.module(GUEST, "memory_blocks", devices=[dict(ONE, state="offline")])
    assert (pinned.code, "EBUSY" in pinned.output) == (2, True), pinned.output
    refused = controller.module(GUEST, "dax_device", devices=[drawn])
    refused.refusal("its memmap would not go to DRAM", "lies on a device, on node %d now, and keeps that from going offline" % regions)

    # released, and in the right order: nothing online there before the memmap is in DRAM
    place(dict(TWO, mode="devdax"))
    if not given_back(controller, dict(ONE, state="offline")):
        done("cxl_region", "regions", ONE, TWO)
    place(dict(ONE, memmap="device"), drawn)
    blocks(dict(ONE, zone="kernel", count="2"), dict(TWO, count="1"))
    assert placement(controller, state()["devices"]["0x2"]["dax"]) == ("other_node", [])
    given_back(controller, dict(ONE, state="offline"), dict(TWO, state="offline"))


def test_memory_that_a_driver_left_behind_is_still_a_devices(controller, open_guest, regions, done, place, blocks, state):
    """Unbound while blocks are online: they stay until a reboot, and the kernel would put another's memmap there. The last test: the guest starts anew."""
    guest = open_guest(GUEST)
    done("cxl_region", "regions", ONE, TWO)
    place(dict(ONE, memmap="device", offline=True), dict(TWO, mode="devdax", offline=True))
    blocks(dict(ONE, zone="kernel", count="2"))
    guest.shell("echo %s > /sys/bus/dax/drivers/kmem/unbind" % state()["devices"]["0x1"]["dax"])
    try:
        left = state()
        assert left["devices"]["0x1"]["driver"] is None
        refused = controller.module(GUEST, "dax_device", devices=[dict(TWO, memmap="dram", allow_data_loss=True)])
        refused.refusal("its memmap would not go to DRAM", "online in a kernel zone of node %d" % regions)
        assert state() == left
        said = controller.module(GUEST, "memory_doctor", wanted=[dict(serial="0x1", memmap="device"), dict(serial="0x2", memmap="dram")])
        assert said.code == 0, said.output
        found = {entry["finding"]: entry for entry in said.result["findings"]}
        assert found["memory_left_behind"]["subject"] == ONE and found["memory_left_behind"]["message"].startswith("8 memory blocks, 2 of them online")
    finally:
        powercycle(controller)


def given_back(controller, *entries):
    """Whether the blocks went offline. What the kernel itself has put into its zone there (7.3 does so at once) stays until a new start."""
    gone = controller.module(GUEST, "memory_blocks", devices=list(entries))
    if gone.code == 0:
        return True
    gone.refusal("could not be put offline (EBUSY): it holds pages that cannot be moved away")
    powercycle(controller)
    return False


def powercycle(controller):
    started = controller.module("localhost", "qemu_guest", testbed_file=controller.environment["MEMLAB_TESTBED"], name=GUEST, state="powercycled")
    assert started.code == 0, started.output


def placement(controller, name):
    """What memmap_facts says of a device's memmap, and which devices it lies on."""
    facts = controller.module(GUEST, "memmap_facts", gather="ranges").result["ansible_facts"]["memmap"]
    assert facts["conflicts"] == []
    device = next(device for device in facts["devices"] if device["name"] == name)
    return device["placement"], sorted(device["memmap_devices"])
