# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor finds on guests in which it was provoked with the kernel's own files and tools, and that it finds no problem where there is none."""
from __future__ import annotations

import json
import re

import pytest
import testinfra

from ansible_collections.memlab.testbed.molecule.conftest import TESTBED

DAX = "/sys/bus/dax/devices"
POLICY = "/sys/devices/system/memory/auto_online_blocks"
# Prints the region's name; of a kind, of one memory device.
CREATE = "cxl create-region -t %s -d decoder0.0 -m %s 2>/dev/null | sed -n 's/.*\"region\":\"\\(.*\\)\".*/\\1/p'"


class Guest:
    """A guest of the scenario: its shell, and the doctor's answer for it."""

    def __init__(self, name, controller):
        self.name = name
        self.controller = controller
        self.shell = testinfra.get_host("ansible://%s" % name, ansible_inventory=str(TESTBED))

    def run(self, script):
        done = self.shell.run("set -e; " + script)
        assert done.rc == 0, done.stderr
        return done.stdout.strip()

    def doctor(self, *wanted):
        done = self.controller.module(self.name, "memory_doctor", wanted=list(wanted))
        assert done.code == 0, done.output
        assert done.result["changed"] is False
        return done.result

    def module(self, name, **options):
        done = self.controller.module(self.name, name, **options)
        assert done.code == 0, done.output
        return done.result

    def memory_device(self, serial):
        """The kernel's name for it, this time."""
        return self.run("cd /sys/bus/cxl/devices; grep -lx %s mem*/serial" % serial).partition("/")[0]

    def dax_of(self, region):
        """The kernel's name of a region's dax device, once it has its range: on 7.3 it is made by a work queue, and has none while kmem onlines it."""
        found = "%s/dax_region*/dax[0-9]*.*" % region
        return self.run("cd /sys/bus/cxl/devices; for turn in $(seq 200); do ls %s/mapping0/start > /dev/null 2>&1 && break; sleep 0.1; done; "
                        "basename $(ls -d %s)" % (found, found))

    def off(self, blocks):
        """Each block put offline that goes; returns those that do not, with what the kernel says."""
        found = {}
        for number in blocks:
            done = self.shell.run("echo offline > /sys/devices/system/memory/memory%s/state" % number)
            if done.rc:
                found[number] = done.stderr
        return found

    def restart(self):
        """What it cannot be rid of otherwise."""
        definition = self.shell.ansible.get_variables()
        done = self.controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=self.name, state="powercycled")
        assert done.code == 0, done.output

    def blocks_of(self, dax):
        """{number: (state, zones)} of the blocks of a dax device's first range, as the guest shows them."""
        script = ("import json,os; d='/sys/bus/dax/devices/%s/mapping0/'; m='/sys/devices/system/memory/'; read=lambda p: open(p).read().strip();"
                  "size=int(read(m+'block_size_bytes'),16);"
                  "r=range(-(-int(read(d+'start'),16)//size),(int(read(d+'end'),16)+1)//size);"
                  "print(json.dumps({n:[read(m+'memory%%d/'%%n+f) for f in ('state','valid_zones')] for n in r if os.path.exists(m+'memory%%d'%%n)}))" % dax)
        return json.loads(self.run('python3 -c "%s"' % script))

    def leave_driver(self, dax):
        """Every block offline first: the range of one that is online would be lost until a reboot."""
        for number, (state, zones) in self.blocks_of(dax).items():
            if state == "online":
                self.run("echo offline > /sys/devices/system/memory/memory%s/state" % number)
        self.run("echo {1} > {0}/{1}/driver/unbind".format(DAX, dax))


@pytest.fixture(name="placement", scope="module")
def look_at_placement(controller):
    return Guest("placement", controller)


@pytest.fixture(name="namespaces", scope="module")
def look_at_namespaces(controller):
    return Guest("namespaces", controller)


def only(answer, finding, subject=None):
    found = [entry for entry in answer["findings"] if entry["finding"] == finding and subject in (None, entry["subject"])]
    assert len(found) == 1, answer["findings"]
    return found[0]


def evidence(entry):
    return {item["file"]: item["value"] for item in entry["evidence"]}


def test_nothing_is_wrong_with_guests_that_nothing_was_done_to(placement, namespaces):
    for guest in (placement, namespaces):
        answer = guest.doctor()
        assert (answer["problems"], answer["unseen"]) == (0, []), answer["findings"]


def test_memory_that_came_online_by_itself(placement):
    """A region of each device: the kernel gives the first to kmem and onlines it, the second is held back, and daxctl will not have it."""
    policy, probe = placement.run("cat %s" % POLICY), placement.run("cat /sys/bus/dax/drivers_autoprobe")
    placement.run("modprobe kmem; echo online > %s; echo 1 > /sys/bus/dax/drivers_autoprobe" % POLICY)
    regions = []
    try:
        regions.append(placement.run(CREATE % ("ram", placement.memory_device("0x1"))))
        first = placement.dax_of(regions[0])
        assert placement.run("basename $(readlink %s/%s/driver)" % (DAX, first)) == "kmem"
        blocks = placement.blocks_of(first)
        assert len(blocks) == 8 and {tuple(block) for block in blocks.values()} == {("online", "Normal")}
        placement.run("echo 0 > /sys/bus/dax/drivers_autoprobe")
        regions.append(placement.run(CREATE % ("ram", placement.memory_device("0x2"))))
        second = placement.dax_of(regions[1])
        aborted = placement.shell.run("daxctl reconfigure-device -m system-ram %s" % second)
        assert aborted.rc != 0 and "auto" in aborted.stderr, aborted.stderr
        placement.run("echo 0 > %s/%s/memmap_on_memory; echo offline > %s; echo %s > /sys/bus/dax/drivers/kmem/bind; echo online > %s"
                      % (DAX, second, POLICY, second, POLICY))

        answer = placement.doctor({"serial": "0x1", "mode": "devdax"}, {"serial": "0x2", "memmap": "dram"}, {"serial": "0x77", "memmap": "dram"})

        entry = only(answer, "system_ram_unwanted")
        assert entry["subject"] == {"memory_devices": ["0x1"]} and evidence(entry)["%s/%s/driver" % (DAX, first)] == "kmem"
        assert evidence(entry)[POLICY] == "online" and "offline: true" in entry["remedy"]
        assert evidence(only(answer, "auto_online_policy")) == {POLICY: "online"}
        stuck = only(answer, "cannot_go_offline")
        assert (stuck["severity"], stuck["subject"]) == ("problem", {"memory_devices": ["0x1"]})
        assert evidence(stuck)["/sys/devices/system/memory/memory%s/valid_zones" % min(blocks, key=int)] == "Normal"
        assert evidence(stuck)["%s/%s" % (DAX, second)] == "8 MiB of its memmap lie on this device"
        assert only(answer, "memmap_not_in_dram")["subject"] == {"memory_devices": ["0x2"]}
        assert only(answer, "device_absent")["subject"] == {"memory_devices": ["0x77"]}
        # What it says is so: a block that holds the other device's memmap does not go offline.
        assert any("busy" in said for said in placement.off(blocks).values())

        placement.leave_driver(second)
        left = placement.off(number for number, (state, zones) in placement.blocks_of(first).items() if state == "online")
        answer = placement.doctor({"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"})
        assert only(answer, "auto_online_policy")["severity"] == "problem"
        assert only(answer, "mode_absent")["subject"] == {"memory_devices": ["0x2"]}
        # What the kernel has put there of its own meanwhile stays: 7.3 does so at once.
        assert ("cannot_go_offline" in {entry["finding"] for entry in answer["findings"]}) is bool(left), left
        if left:
            assert all("busy" in said for said in left.values())
            pages = evidence(only(answer, "cannot_go_offline"))["/proc/kpageflags"]
            assert any("block %s: " % number in pages for number in left) and int(re.search(r": (\d+) of \d+ pages hold the kernel's own", pages)[1]), pages
    finally:
        # where memory cannot be given back but by a new start, that
        online = placement.run("cd /sys/devices/system/node; grep -l online node[2-9]*/memory*/state | sed 's/.*memory//; s/.state//' || :")
        if placement.off(online.split()):
            placement.restart()
        else:
            for region in reversed(regions):
                placement.run("for d in /sys/bus/cxl/devices/%s/dax_region*/dax[0-9]*.*; do "
                              "test ! -e $d/driver || echo $(basename $d) > $d/driver/unbind; done; "
                              "cxl destroy-region -f %s" % (region, region))
            placement.run("echo %s > %s; echo %s > /sys/bus/dax/drivers_autoprobe" % (policy, POLICY, probe))


def test_nothing_is_wrong_with_memory_that_the_modules_brought(placement):
    device = {"memory_devices": ["0x1"]}
    placement.module("cxl_region", regions=[device])
    try:
        placement.module("dax_device", devices=[dict(device, memmap="device")])
        placement.module("memory_blocks", devices=[dict(device, state="online", zone="movable")])
        answer = placement.doctor({"serial": "0x1", "memmap": "device", "zone": "movable"})
        assert answer["problems"] == 0, answer["findings"]
        placement.module("memory_blocks", devices=[dict(device, state="offline")])
    finally:
        placement.module("cxl_region", regions=[dict(device, state="absent")])


def test_namespaces_that_are_too_small_for_memory(namespaces):
    """All of a 256 MiB NVDIMM gives one memory block, and 192 MiB of a CXL device none."""
    namespaces.run("modprobe device_dax; modprobe kmem")
    policy, made, region = namespaces.run("cat %s" % POLICY), [], None
    small = next(entry["dev"] for entry in json.loads(namespaces.run("ndctl list -R -b ACPI.NFIT")) if entry["size"] == 256 << 20)
    raw = json.loads(namespaces.run("ndctl list -N -i -r %s" % small))[0]["dev"]
    try:
        # Once daxctl has given kmem one namespace, kmem takes the next by itself.
        namespaces.run("echo offline > %s" % POLICY)
        made.append(json.loads(namespaces.run("ndctl create-namespace -f -e %s -m devdax -M mem" % raw)))
        region = namespaces.run(CREATE % ("pmem", namespaces.memory_device("0x11")))
        made.append(json.loads(namespaces.run("ndctl create-namespace -b CXL -m devdax -M mem -s 192M -n tiny")))
        large, tiny = [entry["daxregion"]["devices"][0]["chardev"] for entry in made]
        namespaces.run("daxctl reconfigure-device -m system-ram --no-online %s" % large)
        assert len(namespaces.blocks_of(large)) == 1
        refused = namespaces.shell.run("daxctl reconfigure-device -m system-ram --no-online %s" % tiny)
        assert refused.rc != 0 and "without any memory after alignment" in namespaces.run("dmesg")

        answer = namespaces.doctor({"memory_devices": ["0x11"], "type": "pmem", "namespace": {"name": "tiny", "mode": "devdax"}, "mode": "system-ram",
                                    "memmap": "dram"})

        entry = only(answer, "no_whole_block", {"namespace": "tiny"})
        assert entry["severity"] == "problem" and "256 MiB would do" in entry["remedy"]
        assert "128 MiB of 256 MiB are left" in only(answer, "size_lost", {"namespace": made[0]["uuid"]})["message"]
        assert {entry["finding"] for entry in answer["findings"] if entry["severity"] == "problem"} <= {"no_whole_block", "mode_absent"}
    finally:
        for entry in made:
            name = entry["daxregion"]["devices"][0]["chardev"]
            if namespaces.shell.file("%s/%s/driver" % (DAX, name)).exists:
                namespaces.leave_driver(name)
            # daxctl has written it to new_id, by which kmem would take the next device of that name, too
            namespaces.run("echo %s > /sys/bus/dax/drivers/kmem/remove_id" % name)
            namespaces.run("ndctl destroy-namespace -f %s" % entry["dev"])
        if region:
            dimm = json.loads(namespaces.run("ndctl list -D -b CXL"))[0]["dev"]
            namespaces.run("cxl destroy-region -f {0}; ndctl disable-dimm {1}; ndctl zero-labels {1}; ndctl enable-dimm {1}".format(region, dimm))
        namespaces.run("ndctl enable-namespace %s; echo %s > %s" % (raw, policy, POLICY))
