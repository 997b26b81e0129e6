# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host with persistent memory whose ``ndctl`` and kernel answer as those of a guest did (6.12, ndctl 81): trees as /sys/bus/nd showed them.

NVDIMM 0x1 (1 GiB) has labels, 0x2 (512 MiB) a blank label area, 0x3 (256 MiB) none; CXL memory device 0x11 (512 MiB) has a region and labels.
"""
from __future__ import annotations

import os
import pathlib
import re
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, holds, lock
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

BUS = "/sys/bus/nd/devices"
NFIT = "/sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus1"
BRIDGE = "/sys/devices/platform/ACPI0017:00/root0/nvdimm-bridge0/ndbus0"
MODES = {"fsdax": ("memory", "pfn"), "devdax": ("dax", "dax"), "sector": ("safe", "btt"), "raw": ("raw", None)}
MIB = 1 << 20


class NdHost(Host):
    """``content`` holds what wipefs finds on each block device, ``filled`` devices with bytes that are not zero, ``claimed`` the ones in use;
    ``faults`` first words of commands and how often they fail; ``hooks`` the same, with something to do just after."""

    def __init__(self, root):
        super().__init__(str(root))
        self.log, self.content, self.filled, self.claimed, self.faults, self.hooks = [], {}, {}, set(), {}, {}
        self.label_area = "\0" * 256
        self.ids = ()  # dax devices whose names kmem has on its list (new_id)
        self.boot()
        os.makedirs(self.path(lock.DIRECTORY), exist_ok=True)

    # the tree

    def boot(self):
        """The tree as it is at first."""
        self.put("/proc/self/comm", "pytest")
        for bus in (NFIT, BRIDGE):
            self.put(bus + "/wait_probe", "1")
        for number, size, labels in ((1, 1024, "used"), (2, 512, "blank"), (3, 256, "none")):
            dimm = "%s/nmem%d" % (NFIT, number)
            self.put(dimm + "/nfit/handle", "%#x" % number)
            self.put(dimm + "/nfit/id", "8680-%d6341200" % (number + 4))
            self.put(dimm + "/commands", "cmd_call" if labels == "none" else "get_size get_data set_data cmd_call ")
            self.link(dimm)
            self.region(NFIT, number, "nmem%d" % number, size * MIB, labels == "used")
        self.put("/sys/devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem0/serial", "0x11")
        self.put("/sys/devices/pci0000:0c/0000:0c:00.0/0000:0d:00.0/mem0/pmem/size", "%#x" % (512 * MIB))
        for place in ("0000:0d:00.0/mem0", "0000:0d:00.0/mem0/pmem0"):
            self.link("/sys/devices/pci0000:0c/0000:0c:00.0/" + place, "cxl")
        self.put(BRIDGE + "/nmem0/cxl/provider", "pmem0")
        self.put(BRIDGE + "/nmem0/cxl/id", "17")
        self.put(BRIDGE + "/nmem0/commands", "get_size get_data set_data ")
        self.link(BRIDGE + "/nmem0")
        self.region(BRIDGE, 0, "nmem0", 512 * MIB, True)

    def put(self, name, text):
        path = pathlib.Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")

    def link(self, place, bus="nd"):
        path = pathlib.Path(self.path("/sys/bus/%s/devices/%s" % (bus, os.path.basename(place))))
        path.parent.mkdir(parents=True, exist_ok=True)
        os.makedirs(self.path(place), exist_ok=True)
        path.symlink_to("../../../" + place[len("/sys/"):])

    def driver(self, place, name):
        os.symlink("../../../bus/nd/drivers/" + name, self.path(place + "/driver"))

    def _probe(self, place):
        """A dax device comes to a driver that has its name on its list, else to the one for its kind, if by itself (drivers/dax/bus.c:dax_bus_match, 6.12)."""
        if self.read_optional(holds.AUTOPROBE) != "0":
            self.driver(place, "kmem" if os.path.basename(place) in self.ids else "device_dax")

    def write(self, name, value):
        self.log.append("%s < %s" % (name, value))
        if name == holds.AUTOPROBE:
            self.put(name, value)
        elif name == dax.BUS + "/drivers/device_dax/bind":
            self.driver("%s/devices/%s" % (dax.BUS, value), "device_dax")
        else:
            raise AssertionError("nothing else is written")

    def region(self, bus, number, dimm, size, labels):
        base = "%s/region%d" % (bus, number)
        for name, text in (("devtype", "nd_pmem"), ("nstype", "5" if labels else "4"), ("size", str(size)), ("align", "0x1000000"), ("mappings", "1"),
                           ("mapping0", "%s,0,%d,0" % (dimm, size)), ("read_only", "0"), ("dax_seed", "dax%d.9" % number), ("pfn_seed", "pfn%d.9" % number),
                           ("btt_seed", "btt%d.9" % number), ("namespace_seed", "namespace%d.9" % number)):
            self.put("%s/%s" % (base, name), text)
        self.link(base)
        self.driver(base, "nd_region")
        for kind in ("dax", "pfn"):
            self.put("%s/%s%d.9/supported_alignments" % (base, kind, number), "4096 2097152 1073741824 ")
            self.link("%s/%s%d.9" % (base, kind, number))
        self.put("%s/btt%d.9/sector_size" % (base, number), "512 520 528 4096 4104 4160 4224")
        self.link("%s/btt%d.9" % (base, number))
        if labels:
            self.put("%s/namespace%d.9/sector_size" % (base, number), "[512] 4096 ")
            self.put("%s/namespace%d.9/size" % (base, number), "0")
            self.link("%s/namespace%d.9" % (base, number))
        else:
            self._namespace(base, "namespace%d.0" % number, size, None, None)
            self._claim("namespace%d.0" % number, "raw", None)
        self._count(base)

    def _count(self, base):
        region = os.path.basename(base)
        taken = sum(int(self.read("%s/%s/size" % (BUS, name))) for name in self.namespaces(region))
        free = self.read_int(base + "/size") - taken
        self.put(base + "/available_size", str(free))
        self.put(base + "/max_available_extent", str(free))

    def namespaces(self, region):
        number = region[len("region"):]
        return [name for name in self.listdir(BUS) if re.fullmatch(r"namespace%s\.[0-8]" % number, name)]

    def _namespace(self, base, name, size, uuid, label):
        place = "%s/%s" % (base, name)
        self.put(place + "/size", str(size))
        self.put(place + "/mode", "raw")
        self.put(place + "/target_node", "0")
        if uuid:
            self.put(place + "/uuid", uuid)
            self.put(place + "/alt_name", label or "")
            self.put(place + "/sector_size", "[512] 4096 ")
        self.link(place)

    def _claim(self, name, mode, mapping, align=None, sector=None):
        """The namespace, enabled, with its device."""
        place = "/sys" + os.path.normpath(os.path.join("/bus/nd/devices", self.link_target("%s/%s" % (BUS, name))))
        shown, kind = MODES[mode]
        self.put(place + "/mode", shown)
        number, size = name[len("namespace"):], int(self.read(place + "/size"))
        claim = place
        if kind:
            claim = "%s/%s%s" % (os.path.dirname(place), kind, number)
            self.put(claim + "/namespace", name)
            self.put(claim + "/uuid", "0000000%s-0000-0000-0000-000000000000" % number[-1])
            self.put(claim + "/size", str(size - (6 if mapping == "dev" else 2) * MIB))
            if kind == "btt":
                self.put(claim + "/sector_size", "512 520 [%s]" % (sector or 4096))
            else:
                self.put(claim + "/mode", {"mem": "ram"}.get(mapping, "pmem"))
                self.put(claim + "/align", str(align or 2097152))
            self.link(claim)
        elif sector:
            self.put(place + "/sector_size", "[%s]" % sector)
        device = ("dax" if kind == "dax" else "pmem") + number + ("s" if kind == "btt" else "")
        if kind == "dax":
            self.put("%s/%s/dev" % (claim, device), "252:1")
            self.put("%s/%s/size" % (claim, device), str(size - 6 * MIB))
            self.link("%s/%s" % (claim, device), "dax")
            self._probe("%s/%s" % (claim, device))
        else:
            os.makedirs(self.path("%s/block/%s" % (claim, device)))
            self.put("/sys/class/block/%s/size" % device, str(size // 512))
            self.put("/sys/class/block/%s/dev" % device, "259:%s" % number[-1])
        self.driver(claim, "nd_pmem")

    def _release(self, name):
        """Disabled: nothing claims it."""
        for entry in self.listdir(BUS):
            if self.read_optional("%s/%s/namespace" % (BUS, entry)) == name:
                for child in self.listdir("/sys/bus/dax/devices"):
                    if entry in self.link_target("/sys/bus/dax/devices/" + child).split("/"):
                        os.unlink(self.path("/sys/bus/dax/devices/" + child))
                shutil.rmtree(os.path.realpath(self.path("%s/%s" % (BUS, entry))))
                os.unlink(self.path("%s/%s" % (BUS, entry)))
        base = "%s/%s" % (BUS, name)
        self.put(base + "/mode", "raw")
        if self.exists(base + "/driver"):
            os.unlink(self.path(base + "/driver"))
            shutil.rmtree(self.path(base + "/block"))

    # the tools

    def is_claimed(self, name):
        return os.path.basename(name) in self.claimed

    def first_filled(self, name, offsets, length, mapped=None):
        return self.filled.get(os.path.basename(name))

    def open_binary(self, name):
        path = pathlib.Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with open(path, "r+b") as stream:
            stream.truncate(MIB)
        return super().open_binary(name)

    def run(self, argv, timeout=120):
        words = " ".join(argv)
        if argv[0] == "wipefs":
            return self.content.get(os.path.basename(argv[-1]), "")
        if argv[:2] == ["ndctl", "read-labels"]:
            return self.label_area
        self.log.append(words)
        for start, left in self.faults.items():
            if words.startswith(start) and left:
                self.faults[start] -= 1
                if argv[1] == "create-namespace" and "--region" in argv:
                    # as seen: the label is written, and stays when the driver then refuses
                    self._create(argv, half=True)
                if argv[1] == "destroy-namespace":
                    self._release(argv[-1])
                raise TestbedError("%s failed with exit code 237" % argv[0], details=["failed to enable"])
        if argv[0] == "ndctl":
            getattr(self, "_" + argv[1].replace("-", "_"))(*argv[2:])
        for start in [key for key in self.hooks if words.startswith(key)]:
            self.hooks[start]()
        return ""

    @staticmethod
    def _options(argv):
        return dict(zip(argv, list(argv[1:]) + [None]))

    def _create_namespace(self, *argv):
        self._create(argv)

    def _create(self, argv, half=False):
        given = self._options(argv)
        sizes = (int(given["--align"]) if "--align" in given else None, given.get("--sector-size"))
        mapping = given.get("--map", "dev") if given["--mode"] in ("fsdax", "devdax") else None
        if "--reconfig" in given:
            self._release(given["--reconfig"])
            self._claim(given["--reconfig"], given["--mode"], mapping, *sizes)
            return
        region = given["--region"]
        base = "/sys" + os.path.normpath(os.path.join("/bus/nd/devices", self.link_target("%s/%s" % (BUS, region))))
        used = self.namespaces(region)
        name = next(name for name in ("namespace%s.%d" % (region[6:], count) for count in range(8)) if name not in used)
        assert given["--uuid"] not in [self.read_optional("%s/%s/uuid" % (BUS, other)) for other in used], "the kernel takes a uuid once"
        self._namespace(base, name, int(given["--size"]), given["--uuid"], given.get("--name"))
        if not half:
            self._claim(name, given["--mode"], mapping, *sizes)
        self._count(base)

    def _destroy_namespace(self, force, name):
        self._release(name)
        base = "%s/%s" % (BUS, name)
        region = os.path.dirname(os.path.realpath(self.path(base)))
        if self.exists(base + "/uuid"):
            shutil.rmtree(os.path.realpath(self.path(base)))
            os.unlink(self.path(base))
        self._count(region[len(os.path.realpath(self.root)):])

    def _disable_namespace(self, name):
        self._release(name)

    def _enable_namespace(self, name):
        if not self.exists("%s/%s" % (BUS, name)):
            raise TestbedError("ndctl failed with exit code 1", details=["error enabling namespaces: No such device or address"])
        self._claim(name, "raw", None)

    def _disable_region(self, name):
        for namespace in self.namespaces(name):
            self._release(namespace)
        os.unlink(self.path("%s/%s/driver" % (BUS, name)))

    def _init_labels(self, *names):
        for name in names:
            self.put("%s/%s/labels" % (BUS, name), "1")

    def _enable_region(self, name):
        if self.exists("%s/%s/labels" % (BUS, self.read("%s/%s/mapping0" % (BUS, name)).split(",")[0])):
            for namespace in self.namespaces(name):
                shutil.rmtree(os.path.realpath(self.path("%s/%s" % (BUS, namespace))))
                os.unlink(self.path("%s/%s" % (BUS, namespace)))
            self.put("%s/%s/nstype" % (BUS, name), "5")
        for namespace in self.namespaces(name):
            self._claim(namespace, "raw", None)
        self.driver("%s/%s" % (BUS, name), "nd_region")
        self._count("%s/%s" % (BUS, name))
