# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL regions on the guest ``regions``: made, removed and refused, as the guest's own /sys tells it."""
from __future__ import annotations

import json

import pytest
import testinfra

from ansible_collections.memlab.testbed.molecule.conftest import BOOT_MEMORY

GUEST = "regions"
MIB = 1 << 20
FIRST, SECOND, BOTH = 0, 1, 2  # the guest's memory windows, in the order of the testbed file

# Regions of the CXL bus, each with the serial numbers behind its targets; decoders in use; NVDIMM regions and namespaces; drivers of dax devices.
LOOK = """
import glob, json, os
C, N = "/sys/bus/cxl/devices/", "/sys/bus/nd/devices/"
def text(path):
    return open(path).read().strip()
def link(path):
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else None
windows = {os.path.basename(path): int(text(path + "/start"), 16) for path in glob.glob(C + "decoder0.*")}
def region(path):
    serials = []
    for position in range(int(text(path + "/interleave_ways"))):
        endpoint = os.path.dirname(os.path.realpath(C + text("%s/target%d" % (path, position))))
        serials.append(int(text(os.path.realpath(endpoint + "/uport") + "/serial"), 16))
    window = os.path.basename(os.path.dirname(os.path.realpath(path)))
    assert text(path + "/commit") == "1", path
    return [sorted(windows.values()).index(windows[window]), text(path + "/mode"), serials, int(text(path + "/size"), 16),
            int(text(path + "/interleave_granularity")), int(text(path + "/resource"), 16)]
print(json.dumps({
    "regions": sorted([region(path) for path in glob.glob(C + "region*")], key=lambda found: found[-1]),
    "decoders": sum(int(text(path)) for path in glob.glob(C + "*/decoders_committed")),
    "nvdimm": [[int(text(path + "/resource"), 16), link(path + "/driver")] for path in glob.glob(N + "region*")],
    "namespaces": [text(path + "/alt_name") for path in glob.glob(N + "namespace*") if int(text(path + "/size"))],
    "drivers": [link(path + "/driver") for path in glob.glob("/sys/bus/dax/devices/dax*")],
    "autoprobe": text("/sys/bus/dax/drivers_autoprobe"),
    "online": len([path for path in glob.glob("/sys/devices/system/memory/memory*/state") if text(path) == "online"])}))
"""

# The kernel's own answer: exit codes of cxl create-region for window, type and serials.
ASK = """
import glob, json, os, subprocess, sys
C = "/sys/bus/cxl/devices/"
names = {int(open(path + "/serial").read(), 16): os.path.basename(path) for path in glob.glob(C + "mem*")}
print(json.dumps([subprocess.run(["cxl", "create-region", "-d", "decoder0.%d" % window, "-t", kind, "-m"] + [names[serial] for serial in serials],
                                 capture_output=True).returncode for window, kind, serials in json.loads(sys.argv[1])]))
"""

# Give the one dax device to kmem and take its first whole block online, or offline again; one of a namespace comes by its name, and leaves.
ONLINE = """
import glob, os, sys
dax, = os.listdir("/sys/bus/dax/devices")
def put(path, value):
    with open(path, "w") as stream:
        stream.write(value)
if sys.argv[1] == "online":
    put("/sys/devices/system/memory/auto_online_blocks", "offline")
    if os.path.exists("/sys/bus/dax/devices/%s/driver" % dax):
        put("/sys/bus/dax/drivers/device_dax/unbind", dax)
        put("/sys/bus/dax/drivers/kmem/new_id", dax)
    else:
        put("/sys/bus/dax/drivers/kmem/bind", dax)
# the first whole one: a namespace begins with its info block
block = -(-int(open("/sys/bus/dax/devices/%s/mapping0/start" % dax).read(), 16) // int(open("/sys/devices/system/memory/block_size_bytes").read(), 16))
put("/sys/devices/system/memory/memory%d/state" % block, {"online": "online_movable", "offline": "offline"}[sys.argv[1]])
"""

# The checksum of the first megabyte of the one pmem device, filled with random bytes before if that is asked for.
MEGABYTE = """
import glob, hashlib, os, sys
device, = glob.glob("/dev/pmem*")
with open(device, "rb+", buffering=0) as stream:
    if sys.argv[1:] == ["fill"]:
        stream.write(os.urandom(1 << 20))
        os.fsync(stream.fileno())
        stream.seek(0)
    print(hashlib.sha256(stream.read(1 << 20)).hexdigest())
"""

# After a test that failed: no block online, no namespace, no region.
NOTHING_LEFT = """
for block in /sys/devices/system/memory/memory[0-9]*; do
  [ "${block##*memory}" -lt %d ] || ! grep -qx online "$block/state" || echo offline > "$block/state" || exit 1
done
! ls /sys/bus/cxl/devices | grep -q ^region || { ndctl destroy-namespace --force --bus=CXL all || :; cxl destroy-region -f all; }
""" % BOOT_MEMORY

POLICY = "/sys/devices/system/memory/auto_online_blocks"
PMEM = {"memory_devices": ["0x5"], "type": "pmem"}


def absent(*entries):
    return [{"memory_devices": entry["memory_devices"], "type": entry.get("type", "ram"), "state": "absent"} for entry in entries]


@pytest.fixture(name="run", scope="module")
def runner(request):
    """Runs a command on the guest, returns what it printed. Not the fixture ``host``, which stands for each guest of the testbed in turn."""
    guest = testinfra.get_host("ansible://" + GUEST, ansible_inventory=request.config.getoption("--ansible-inventory"))

    def run(*argv):
        done = guest.run(" ".join(["%s"] * len(argv)), *argv)
        assert done.rc == 0, done.stderr
        return done.stdout.strip()
    return run


@pytest.fixture(name="look", scope="module")
def looker(run):
    def look():
        return json.loads(run("python3", "-c", LOOK))
    return look


@pytest.fixture(name="regions")
def caller(controller):
    """Runs the module with some regions; they must come out as asked."""
    def call(*entries):
        done = controller.module(GUEST, "cxl_region", regions=list(entries))
        assert done.code == 0, done.output
        return done.result
    return call


@pytest.fixture(name="refused")
def refuser(controller, look):
    """Each list of regions must be refused with words, and nothing be changed by it."""
    def refuse(*cases):
        before = look()
        for entries, words in cases:
            done = controller.module(GUEST, "cxl_region", regions=entries)
            assert done.code != 0 and "Traceback" not in done.output, done.output
            assert words in done.result["summary"] + ": " + str(done.result["remedy"]), done.result["msg"]
        assert look() == before
    return refuse


@pytest.fixture(autouse=True)
def nothing_is_left(request, run):
    """What a test that failed has not undone is not the next one's."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        run("sh", "-c", NOTHING_LEFT)


def shape(found):
    return [tuple(region[:3]) + (region[3] // MIB, region[4]) for region in found["regions"]]


def test_four_steps_and_back(controller, look):
    """One across the host bridges, with one device behind the switch, listed first although its addresses are the highest; one persistent; one alone."""
    wanted = [{"memory_devices": ["0x2", "0x4"], "granularity": "4K"}, PMEM, {"memory_devices": ["0x1"], "size": "256M"}]
    before = look()
    reports = controller.four_steps(GUEST, "cxl_region", regions=wanted)["regions"]
    found = look()
    assert shape(found) == [(FIRST, "ram", [1], 256, 256), (SECOND, "pmem", [5], 512, 256), (BOTH, "ram", [2, 4], 1024, 4096)]
    assert found["drivers"] == [None, None] and found["autoprobe"] == before["autoprobe"]
    assert found["nvdimm"] == [[found["regions"][1][5], "nd_region"]]
    assert [report["start"] for report in reports] == [found["regions"][index][5] for index in (2, 1, 0)]
    assert (reports[1]["available"], reports[1]["namespaces"]) == (512 * MIB, [])
    controller.four_steps(GUEST, "cxl_region", regions=absent(*wanted))
    assert look() == before


def test_what_cannot_be_made_is_refused_with_the_reason(refused, run):
    refused(([{"memory_devices": ["0x3", "0x1"]}], "whose targets are pci0000:0c, pci0000:0f in turn: name them as serial 0x1 (0000:0d:00.0), serial 0x3"),
            ([{"memory_devices": ["0x1", "0x2"], "root_decoder": "decoder0.2"}], "leads to pci0000:0c, pci0000:0f, and"),
            ([{"memory_devices": ["0x1", "0x3", "0x2"]}], "interleaves 2 host bridges, and 3 memory devices do not fit that: name 2, 4, 8 or 16 of them"),
            ([{"memory_devices": ["0x1", "0x3"], "granularity": "256"}], "cannot have granularity 256: leave granularity out, or say 4K"),
            ([{"memory_devices": ["0x5"]}, PMEM], "has no volatile capacity (512M persistent)"),
            ([PMEM, {"memory_devices": ["0x4"], "size": "1G"}], "has 512M of volatile capacity, 1G is wanted of it"))
    codes = json.loads(run("python3", "-c", ASK, json.dumps([[2, "ram", [3, 1]], [2, "ram", [1, 2]], [2, "ram", [1, 3, 2]], [1, "ram", [5]]])))
    assert 0 not in codes, "the kernel takes what the module refuses"


def test_order_of_addresses_behind_one_host_bridge(controller, regions, refused, run, look):
    """What the kernel answers with "failed to set target0", in both of its forms."""
    across, third, fourth = {"memory_devices": ["0x1", "0x3"]}, {"memory_devices": ["0x3"]}, {"memory_devices": ["0x4"]}
    before = look()
    regions(across)
    refused(([PMEM], "at 0x310000000 already, goes through the same host bridge pci0000:0f, whose decoders take addresses in ascending order only: remove it"),)
    assert json.loads(run("python3", "-c", ASK, json.dumps([[1, "pmem", [5]]]))) != [0]
    regions(*absent(across), third, fourth)
    regions(*absent(third))
    why = "host bridge pci0000:0f has decoders of removed regions before that of the region of serial 0x4"
    refused(([across], why),)
    said = controller.module(GUEST, "memory_doctor", wanted=[dict(across, memmap="dram")])
    assert said.code == 0, said.output
    assert [why in entry["message"] for entry in said.result["findings"] if entry["finding"] == "no_decoder"] == [True]
    assert json.loads(run("python3", "-c", ASK, json.dumps([[2, "ram", [1, 3]]]))) != [0]
    regions(*absent(fourth))
    assert look() == before


def test_no_region_goes_while_blocks_of_it_are_online(regions, refused, run, look):
    before, alone = look(), {"memory_devices": ["0x1"]}
    regions(alone)
    policy = run("cat", POLICY)
    run("python3", "-c", ONLINE, "online")
    refused((absent(alone), "has 1 memory blocks online"),)
    run("python3", "-c", ONLINE, "offline")
    run("python3", "-c", "import sys; open(%r, 'w').write(sys.argv[1])" % POLICY, policy)
    regions(*absent(alone))
    assert look() == before


def test_no_persistent_region_goes_with_its_namespaces(regions, refused, run, look):
    before = look()
    nvdimm = regions(PMEM)["regions"][0]["nvdimm_region"]
    run("ndctl", "create-namespace", "--region=" + nvdimm, "--mode=fsdax", "--map=mem", "--name=store")
    held = run("python3", "-c", MEGABYTE, "fill")
    refused((absent(PMEM), "has 1 namespace: remove them first with memlab.testbed.pmem_namespace, or say allow_data_loss: true"),)
    assert run("python3", "-c", MEGABYTE) == held
    regions(dict(absent(PMEM)[0], allow_data_loss=True))
    assert look() == before
    # the label lies on the device, and so does all else
    report = regions(PMEM)["regions"][0]
    assert look()["namespaces"] == ["store"] and [entry["name"] for entry in report["namespaces"]] == ["store"]
    assert run("python3", "-c", MEGABYTE) == held
    run("ndctl", "destroy-namespace", "--force", "--region=" + report["nvdimm_region"], "all")

    # Memory in use: cxl disable-region would take it away from under the kernel, which does not live long after that.
    run("ndctl", "create-namespace", "--region=" + report["nvdimm_region"], "--mode=devdax", "--map=mem", "--name=store")
    policy = run("cat", POLICY)
    run("python3", "-c", ONLINE, "online")
    refused(([dict(absent(PMEM)[0], allow_data_loss=True)], "has 1 memory blocks online"),)
    run("python3", "-c", ONLINE, "offline")
    run("python3", "-c", "import sys; open(%r, 'w').write(sys.argv[1])" % POLICY, policy)
    name = run("ls", "/sys/bus/dax/devices")
    regions(dict(absent(PMEM)[0], allow_data_loss=True))
    regions(PMEM)
    # its name is on kmem's list still, which would make memory of what the namespace holds
    assert run("ls", "/sys/bus/dax/devices") == name
    assert run("readlink", "/sys/bus/dax/devices/%s/driver" % name).rpartition("/")[2] == "device_dax"
    run("python3", "-c", "import sys; open('/sys/bus/dax/drivers/kmem/remove_id', 'w').write(sys.argv[1])", name)
    run("ndctl", "destroy-namespace", "--force", "--region=" + report["nvdimm_region"], "all")
    regions(*absent(PMEM))
    assert look() == before
