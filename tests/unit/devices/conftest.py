# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host whose kernel answers as the recorded one did.

``trees/*.tgz`` hold the relevant part of /sys and /proc of a real guest (6.12, two CXL memory devices): ``fresh`` without regions, ``bound`` with a
region of each device, serial 1 self-hosted with four of eight blocks online in the movable zone, serial 2 with its memmap in DRAM and all offline.
``bridges`` is the guest ``regions`` of the scenario devices: two host bridges, a switch below the second, four volatile devices and a persistent one.
``mixed`` is of another one: two CXL memory devices without regions, an NVDIMM's devdax namespace "ram" that device_dax has, 1 GiB of soft-reserved memory
that kmem has, its memmap in DRAM and all offline.
"""
from __future__ import annotations

import errno
import os
import pathlib
import re
import shutil
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import lock
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

TREES = pathlib.Path(__file__).resolve().parent / "trees"
CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"
ROOT0 = "/sys/devices/platform/ACPI0017:00/root0"
MEMORY = "/sys/devices/system/memory"
DAX = "/sys/bus/dax"
BLOCK = 128 << 20


class Kernel(Host):
    """A recorded tree that takes writes and commands, with the rules of the kernel's own sources and, on demand, its failures.

    ``faults`` maps a path or the first words of a command to a list of errno numbers, one for each time, 0 for none.
    ``hooks`` maps the same to something to do just after.
    """

    def __init__(self, root):
        super().__init__(str(root))
        self.faults = {}
        self.hooks = {}
        self.fault_text = "failed: %s"
        self.log = []
        self.self_hosting = True
        self.partial = 0
        self.ids = set()  # (driver, dax device) of new_id
        self.filled = {}  # dax device -> where its first byte is that is not zero
        self.refused = ()  # dax devices that a driver's probe refuses when new_id attaches them

    def first_filled(self, name, offsets, length, mapped=None):
        return self.filled.get(os.path.basename(name))

    # what tests look at

    def online(self):
        """Block id -> zone of the blocks above boot memory that are online."""
        found = {}
        for name in self.listdir(MEMORY):
            if re.fullmatch("memory[0-9]{3,}", name) and self.read("%s/%s/state" % (MEMORY, name)) == "online":
                found[int(name[6:])] = self.read("%s/%s/valid_zones" % (MEMORY, name))
        return found

    def dax_state(self):
        """Dax device -> (driver, knob)."""
        return {name: (self.link_name("%s/devices/%s/driver" % (DAX, name)), self.read_optional("%s/devices/%s/memmap_on_memory" % (DAX, name)))
                for name in self.listdir(DAX + "/devices")}

    def policies(self):
        return self.read(DAX + "/drivers_autoprobe"), self.read(MEMORY + "/auto_online_blocks")

    def leave_behind(self, dax, gone=False):
        """A driver lets go of a device while blocks are online, by hand; ``gone``: the device goes, too."""
        first, end = self._range(dax)
        self.put("/proc/iomem", "%x-%x : System RAM (kmem)" % (first, end - 1))
        self.unlink("%s/devices/%s%s" % (DAX, dax, "" if gone else "/driver"))

    # the kernel

    def put(self, name, text):
        path = pathlib.Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")

    def unlink(self, name):
        os.unlink(self.path(name))

    def write(self, name, value):
        self.log.append("%s < %s" % (name, value))
        self._fail(name)
        if not os.path.exists(self.path(name)):
            raise FileNotFoundError(errno.ENOENT, name)
        block = re.fullmatch(MEMORY + "/memory([0-9]+)/state", name)
        driver = re.fullmatch(DAX + "/drivers/(kmem|device_dax)/(bind|unbind|new_id|remove_id)", name)
        size = re.fullmatch(DAX + "/devices/(.*)/size", name)
        if block:
            self._change_block(int(block.group(1)), value)
        elif driver:
            self._drive(driver.group(2), value, driver.group(1))
        elif size:
            self._resize(size.group(1), int(value))
        elif name.endswith("/dax_region/create"):
            self._create_dax(os.path.dirname(os.path.dirname(name)))
        elif name.endswith("/dax_region/delete"):
            self._delete_dax(value)
        elif name.endswith("/memmap_on_memory"):
            self._turn_knob(name, value)
        elif name.endswith("/delete_region"):
            self._destroy_region(value)
        else:
            self.put(name, value)
        self.hooks.get(name, lambda: None)()

    def _fail(self, what):
        left = self.faults.get(what)
        number = left.pop(0) if left else 0
        if number:
            raise OSError(number, os.strerror(number))

    def _change_block(self, number, word):
        base = "%s/memory%d" % (MEMORY, number)
        if (word == "offline") == (self.read(base + "/state") == "offline"):
            raise OSError(errno.EINVAL, "the state it has")
        self.put(base + "/state", "offline" if word == "offline" else "online")
        self.put(base + "/valid_zones", {"offline": "Normal Movable", "online_kernel": "Normal"}.get(word, "Movable"))

    def _turn_knob(self, name, value):
        if value == "1" and not self.self_hosting:
            raise OSError(errno.EOPNOTSUPP, name)
        if self.read(name) != value and self.link_name(os.path.dirname(name) + "/driver") == "kmem":
            raise OSError(errno.EBUSY, name)
        self.put(name, value)

    def _range(self, dax):
        """First byte and the one behind the last; both 0 for a device without bytes."""
        base = "%s/devices/%s/mapping0" % (DAX, dax)
        return (self.read_int(base + "/start"), self.read_int(base + "/end") + 1) if self.exists(base) else (0, 0)

    def _blocks(self, dax):
        first, end = self._range(dax)
        return range(-(-first // BLOCK), end // BLOCK)

    def _drive(self, action, dax, driver):
        """drivers/base/bus.c, drivers/dax/bus.c:dax_bus_match and do_id_store of 6.12."""
        def takes(name):
            own = "device_dax" if "/ndbus" in self.resolve("%s/devices/%s" % (DAX, name)) else "kmem"
            return driver == own or (driver, name) in self.ids

        free = self.link_name("%s/devices/%s/driver" % (DAX, dax)) is None
        if action == "unbind":
            if self.link_name("%s/devices/%s/driver" % (DAX, dax)) != driver:
                raise OSError(errno.ENODEV, dax)
            self._unbind(dax)
        elif action == "bind":
            if not takes(dax) or not free or self._range(dax) == (0, 0):
                raise OSError(errno.ENODEV if not takes(dax) else errno.EBUSY if not free else errno.ENXIO, dax)
            self._bind(dax, driver)
        elif action == "remove_id":
            self.ids.discard((driver, dax))
        else:
            self.ids.add((driver, dax))
            for name, (other, unused) in self.dax_state().items():
                if other is None and takes(name) and self._range(name) != (0, 0) and name not in self.refused:
                    self._bind(name, driver)

    def _children(self, parent):
        return [name for name in self.listdir(DAX + "/devices") if os.path.dirname(self.resolve("%s/devices/%s" % (DAX, name))) == parent]

    def _create_dax(self, parent):
        parent = self.resolve(parent)
        taken = self._children(parent)
        stem = "%s." % taken[0].split(".")[0]
        name = next(stem + str(number) for number in range(9) if stem + str(number) not in taken)
        node = self.read("%s/devices/%s/target_node" % (DAX, taken[0]))
        for attribute, text in (("size", "0"), ("memmap_on_memory", "0"), ("target_node", node)):
            self.put("%s/%s/%s" % (parent, name, attribute), text)
        self._link("%s/%s" % (parent, name), "dax")

    def _delete_dax(self, name):
        if name.endswith(".0") or self._range(name) != (0, 0):
            raise OSError(errno.EBUSY, name)
        shutil.rmtree(self.resolve_own("%s/devices/%s" % (DAX, name)))
        os.unlink(self.path("%s/devices/%s" % (DAX, name)))

    def _resize(self, name, size):
        base = "%s/devices/%s" % (DAX, name)
        if self.exists(base + "/driver"):
            raise OSError(errno.EBUSY, name)
        shutil.rmtree(self.path(base + "/mapping0"), ignore_errors=True)
        self.put(base + "/size", str(size))
        if not size:
            return
        parent = os.path.dirname(self.resolve(base))
        resource = os.path.dirname(parent) + "/resource"
        first = self.read_int(resource) if self.exists(resource) else 0x100000000
        end = first + self.read_int(parent + "/dax_region/size")
        for start, behind in sorted(self._range(child) for child in self._children(parent)):
            if behind and start - first < size:
                first = behind
        if end - first < size:
            raise OSError(errno.ENOSPC, name)
        self.put(base + "/mapping0/start", "%#x" % first)
        self.put(base + "/mapping0/end", "%#x" % (first + size - 1))

    def _bind(self, dax, driver="kmem"):
        os.symlink("../drivers/" + driver, self.path("%s/devices/%s/driver" % (DAX, dax)))
        if driver != "kmem":
            return
        blocks = self._blocks(dax)
        node = self.read("%s/devices/%s/target_node" % (DAX, dax))
        for number in list(blocks)[:len(blocks) - self.partial]:
            base = "%s/memory%d" % (MEMORY, number)
            self.put(base + "/state", "offline")
            self.put(base + "/valid_zones", "Normal Movable")
            links = self.path("/sys/devices/system/node/node" + node)
            os.makedirs(links, exist_ok=True)
            os.symlink("../../memory/memory%d" % number, "%s/memory%d" % (links, number))
            policy = self.read(MEMORY + "/auto_online_blocks")
            if policy != "offline":
                self._change_block(number, policy)

    def _unbind(self, dax):
        if self.link_name("%s/devices/%s/driver" % (DAX, dax)) != "kmem":
            os.unlink(self.path("%s/devices/%s/driver" % (DAX, dax)))
            return
        assert not set(self._blocks(dax)) & set(self.online()), "unbound with blocks online: the range is lost"
        node = self.read("%s/devices/%s/target_node" % (DAX, dax))
        for number in self._blocks(dax):
            shutil.rmtree(self.path("%s/memory%d" % (MEMORY, number)), ignore_errors=True)
            os.unlink(self.path("/sys/devices/system/node/node%s/memory%d" % (node, number)))
        os.unlink(self.path("%s/devices/%s/driver" % (DAX, dax)))

    # the tools

    def run(self, argv, timeout=120):
        words = " ".join(argv)
        self.log.append(words)
        for start in [key for key in self.faults if words.startswith(key)]:
            try:
                self._fail(start)
            except OSError as exc:
                raise TestbedError("%s failed with exit code 1" % words, details=["%s: %s" % (argv[0], self.fault_text % os.strerror(exc.errno))])
        answer = {("cxl", "create-region"): self._create_region, ("cxl", "disable-region"): self._disable_region, ("cxl", "enable-region"): self._enable_region,
                  ("cxl", "destroy-region"): self._destroy_region}.get(tuple(argv[:2]), lambda *unused: None)
        answer(*argv[2:])
        for start in [key for key in self.hooks if words.startswith(key)]:
            self.hooks[start]()
        return ""

    def _link(self, place, bus):
        os.symlink("../../../" + place[len("/sys/"):], self.path("/sys/bus/%s/devices/%s" % (bus, os.path.basename(place))))

    def _create_region(self, *argv):
        memdevs = argv[argv.index("-m") + 1:]
        decoder, mode = argv[argv.index("-d") + 1], argv[argv.index("-t") + 1]
        base = "%s/%s" % (ROOT0, decoder)
        size = int(argv[argv.index("-s") + 1])
        granularity = argv[argv.index("-g") + 1] if "-g" in argv else self.read(base + "/interleave_granularity")
        number = len([name for name in self.listdir("/sys/bus/cxl/devices") if name.startswith("region")])
        place = "%s/region%d" % (base, number)
        start = max([self.read_int(base + "/start")] + [self.read_int("%s/%s/resource" % (base, name)) + self.read_int("%s/%s/size" % (base, name))
                                                        for name in self.listdir(base) if name.startswith("region")])
        for name, text in (("mode", mode), ("resource", "%#x" % start), ("size", "%#x" % size), ("interleave_ways", str(len(memdevs))),
                           ("interleave_granularity", granularity), ("commit", "1")):
            self.put("%s/%s" % (place, name), text)
        for position, memdev in enumerate(memdevs):
            endpoint = next(name for name in self.listdir("/sys/bus/cxl/devices") if self.link_name("/sys/bus/cxl/devices/%s/uport" % name) == memdev
                            and name.startswith("endpoint"))
            self.put("%s/target%d" % (place, position), "decoder%s.0" % endpoint[8:])
            for port in [part for part in self.link_target("/sys/bus/cxl/devices/" + endpoint).split("/") if part.startswith(("port", "endpoint"))]:
                self._take_decoder(port, "region%d" % number)
        os.symlink("../../../../../bus/cxl/drivers/cxl_region", self.path(place + "/driver"))
        self._link(place, "cxl")
        (self._add_dax if mode == "ram" else self._add_nvdimm_region)(place, number, start, size)

    def _take_decoder(self, port, region):
        base = "/sys/bus/cxl/devices/"
        decoders = ["%s%s/region" % (base, name) for name in self.listdir(base) if name.startswith("decoder%s." % re.sub("[a-z]+", "", port))]
        taken = [self.read_optional(name) for name in decoders]
        if region not in taken:
            committed = int(self.read_optional("%s%s/decoders_committed" % (base, port)) or 0)
            self.put(decoders[committed], region)
            self.put("%s%s/decoders_committed" % (base, port), str(committed + 1))

    def _add_dax(self, place, number, start, size):
        dax = "%s/dax_region%d/dax%d.0" % (place, number, number)
        for name, text in (("memmap_on_memory", "1"), ("target_node", str(1 + number)), ("mapping0/start", "%#x" % start),
                           ("mapping0/end", "%#x" % (start + size - 1)), ("size", str(size)), ("../dax_region/size", str(size)), ("../dax_region/create", ""),
                           ("../dax_region/delete", "")):
            self.put("%s/%s" % (dax, name), text)
        os.makedirs(self.path(DAX + "/devices"), exist_ok=True)
        self._link(dax, "dax")
        if self.read(DAX + "/drivers_autoprobe") == "1":
            self._bind(os.path.basename(dax))

    def _add_nvdimm_region(self, place, number, start, size):
        """Its number is not that of the CXL region: each bus counts for itself."""
        nd = "%s/nvdimm-bridge0/ndbus0/region%d" % (ROOT0, number + 7)
        self.put(os.path.dirname(nd) + "/wait_probe", "1")
        for name, text in (("resource", "%#x" % start), ("size", str(size)), ("available_size", str(size))):
            self.put("%s/%s" % (nd, name), text)
        self.put("%s/namespace%d.0/size" % (nd, number + 7), "0")
        os.symlink("../../../../../../bus/nd/drivers/nd_region", self.path(nd + "/driver"))
        for name in (nd, "%s/namespace%d.0" % (nd, number + 7)):
            self._link(name, "nd")

    def put_namespace(self, label, size=256 << 20):
        """Make a namespace of the one NVDIMM region's seed."""
        nd = "/sys/bus/nd/devices/"
        seed = next(name for name in self.listdir(nd) if name.startswith("namespace"))
        for name, text in (("size", str(size)), ("alt_name", label), ("uuid", "0c6e1f0a-0000-4000-8000-000000000001")):
            self.put("%s%s/%s" % (nd, seed, name), text)
        return seed

    def _disable_region(self, region):
        for name in self.listdir(DAX + "/devices"):
            if region in (self.link_target("%s/devices/%s" % (DAX, name)) or "").split("/"):
                assert self.link_name("%s/devices/%s/driver" % (DAX, name)) is None
                os.unlink(self.path("%s/devices/%s" % (DAX, name)))
        nd, start = "/sys/bus/nd/devices/", self.read_int("/sys/bus/cxl/devices/%s/resource" % region)
        for name in [name for name in self.listdir(nd) if name.startswith("region") and self.read_int("%s%s/resource" % (nd, name)) == start]:
            shutil.rmtree(self.resolve_own(nd + name))
            for child in [child for child in self.listdir(nd) if child == name or name in (self.link_target(nd + child) or "").split("/")]:
                self.unlink(nd + child)
        os.unlink(self.path("/sys/bus/cxl/devices/%s/driver" % region))

    def _enable_region(self, region):
        place = self.resolve("/sys/bus/cxl/devices/" + region)
        if self.exists(place + "/driver"):
            return
        os.symlink("../../../../../bus/cxl/drivers/cxl_region", self.path(place + "/driver"))
        (self._add_dax if self.read(place + "/mode") == "ram" else self._add_nvdimm_region)(
            place, int(region[len("region"):]), self.read_int(place + "/resource"), self.read_int(place + "/size"))

    def _destroy_region(self, region):
        base = "/sys/bus/cxl/devices/"
        assert self.link_name("%s%s/driver" % (base, region)) is None
        shutil.rmtree(self.resolve_own(base + region))
        os.unlink(self.path(base + region))
        for decoder in [name for name in self.listdir(base) if self.read_optional("%s%s/region" % (base, name)) == region]:
            self.put("%s%s/region" % (base, decoder), "")
        for port in [name for name in self.listdir(base) if re.fullmatch("(port|endpoint)[0-9]+", name)]:
            number = re.sub("[a-z]+", "", port)
            committed = int(self.read_optional("%s%s/decoders_committed" % (base, port)) or 0)
            while committed and not self.read("%sdecoder%s.%d/region" % (base, number, committed - 1)):
                committed -= 1
            self.put("%s%s/decoders_committed" % (base, port), str(committed))

    def resolve_own(self, name):
        return os.path.realpath(self.path(name))


@pytest.fixture(name="boot")
def unpack_tree(tmp_path):
    """Starts a host from a recorded tree, by the tree's name."""
    def unpack(name, auto_online="online"):
        root = tmp_path / name
        root.mkdir()
        with tarfile.open((CAPTURES if "-" in name else TREES) / (name + ".tgz")) as archive:
            # Its links lead about within the tree, as those of sysfs do. Pythons before 3.11.4 know no filters.
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)
            archive.extractall(root)
        kernel = Kernel(root)
        for driver in ("kmem", "device_dax"):
            for action in ("bind", "unbind", "new_id", "remove_id"):
                kernel.put("%s/drivers/%s/%s" % (DAX, driver, action), "")
        for window in [entry for entry in kernel.listdir("/sys/bus/cxl/devices") if entry.startswith("decoder0.")]:
            kernel.put("/sys/bus/cxl/devices/%s/delete_region" % window, "")
        os.makedirs(kernel.path(DAX + "/devices"), exist_ok=True)
        os.makedirs(kernel.path(lock.DIRECTORY))
        kernel.put(MEMORY + "/auto_online_blocks", auto_online)
        return kernel
    return unpack


@pytest.fixture(name="fresh")
def boot_fresh(boot):
    return boot("fresh")


@pytest.fixture(name="bridges")
def boot_bridges(boot):
    return boot("bridges")


@pytest.fixture(name="bound")
def boot_bound(boot):
    return boot("bound")


@pytest.fixture(name="mixed")
def boot_mixed(boot):
    return boot("mixed", "offline")
