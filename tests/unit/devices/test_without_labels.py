# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""NVDIMMs without a label area, as two guests showed them: NVDIMM 0x2 of 256 MiB, raw in one capture, a devdax namespace that kmem has in the other.

``ndctl`` and the kernel answer as in tests/synthetic/nvdimms.py.
"""
from __future__ import annotations

import os
import pathlib
import re
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import namespaces, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import BUS, MIB, MODES, NdHost

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"
INFO_BLOCK = "8b06621c-cfee-47da-891d-b86e5ef39af0"
WHOLE = {"nvdimms": ["0x2"]}
NO_LABEL_AREA = r"NVDIMM 0x2 \(8680-57341200\) has no label area"


class Recorded(NdHost):
    """A capture, unpacked. Changed: the block device's link below /sys/class, which captures leave out."""

    def __init__(self, root, name):
        self.name = name
        super().__init__(root)

    def boot(self):
        with tarfile.open(CAPTURES / self.name) as archive:
            # Its links lead about within the tree, as those of sysfs do. Pythons before 3.11.4 know no filters.
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)
            archive.extractall(self.root)
        for namespace in self.listdir(BUS):
            for device in self.listdir("%s/%s/block" % (BUS, namespace)):
                os.makedirs(self.path("/sys/class/block"), exist_ok=True)
                os.symlink("../../bus/nd/devices/%s/block/%s" % (namespace, device), self.path("/sys/class/block/" + device))

    def _claim(self, name, mode, *sizes):
        """What claims a namespace was the region's seed for it until then, and the kernel makes the next one."""
        kind, number = MODES[mode][1], name[len("namespace"):]
        if kind and self.exists("%s/%s%s" % (BUS, kind, number)):
            seed = os.path.realpath(self.path("%s/%s%s" % (BUS, kind, number)))
            os.unlink(self.path("%s/%s%s" % (BUS, kind, number)))
            following = "%s/%s%s" % (os.path.dirname(seed), kind, number.replace(".0", ".1"))
            os.rename(seed, following)
            place = following[len(os.path.realpath(self.root)):]
            self.link(place)
            self.put("%s/%s_seed" % (os.path.dirname(place), kind), os.path.basename(place))
        super()._claim(name, mode, *sizes)


@pytest.fixture(name="raw")
def as_it_comes(tmp_path):
    return Recorded(tmp_path, "rich-6.12.tgz")


@pytest.fixture(name="devdax")
def as_memory(tmp_path_factory):
    return Recorded(tmp_path_factory.mktemp("devdax"), "pinned-6.12.tgz")


@pytest.fixture(name="untouched", scope="module")
def both_for_who_changes_nothing(tmp_path_factory):
    return [Recorded(tmp_path_factory.mktemp("untouched"), name) for name in ("rich-6.12.tgz", "pinned-6.12.tgz")]


def apply(host, entry, check_mode=False, **more):
    return namespaces.apply(host, [dict({"state": "present"}, **dict(entry, **more))], check_mode)


def the_one(host):
    (found,) = [entry for entry in nvdimm.namespaces(host) if nvdimm.Inventory(host).dimms[1].name in
                next(region.dimms for region in nvdimm.regions(host) if region.name == entry.region)]
    return found


def test_what_the_kernel_shows_of_it(untouched):
    for host, mode, uuid in zip(untouched, ("raw", "devdax"), (None, INFO_BLOCK)):
        region = nvdimm.Inventory(host).region_of_dimms(["0x2"])
        found = the_one(host)
        assert (region.labels, region.size, found.size, region.free) == ("none", 256 * MIB, 256 * MIB, 0)
        assert (found.mode, found.label, found.label_uuid, found.info_uuid) == (mode, None, None, uuid)
        shown = set(host.listdir("%s/%s" % (BUS, found.name)))
        assert {"size", "mode", "holder", "resource"} <= shown and not {"alt_name", "uuid", "sector_size", "dpa_extents"} & shown


@pytest.mark.parametrize("mode, more, sizes", [
    ("fsdax", {"map": "mem"}, ("mem", 2 * MIB, 512)), ("devdax", {"map": "dev", "align": "4K"}, ("dev", 4096, None)),
    ("sector", {"sector_size": "4096"}, (None, None, 4096))])
def test_each_mode_in_four_steps_and_back(raw, mode, more, sizes):
    assert apply(raw, WHOLE, True, mode=mode, **more)[0] is True
    assert raw.log == []
    done, (report,), (before,) = apply(raw, WHOLE, mode=mode, **more)
    assert (done, before["state"], report["state"], report["mode"], report["size"], report["name"]) == (True, "absent", "present", mode, 256 * MIB, None)
    assert (report["map"], report["align"], report["sector_size"]) == sizes
    assert [line for line in raw.log if line.startswith("ndctl")] == [" ".join(
        ["ndctl create-namespace --no-autolabel --force --reconfig namespace3.0 --mode", mode]
        + ["--%s %s" % (key.replace("_", "-"), str(value).replace("4K", "4096")) for key, value in more.items()])]
    del raw.log[:]
    for check_mode in (False, True):
        # All of the region is what there is, whether that is said or not; the uuid is the one that ndctl shows.
        for entry in (WHOLE, dict(WHOLE, size="256M"), dict(WHOLE, size="all"), dict(WHOLE, uuid=report["uuid"])):
            assert apply(raw, entry, check_mode, mode=mode)[0] is False
    gone = dict(WHOLE, state="absent")
    assert apply(raw, gone, True)[0] is True
    assert raw.log == []
    assert apply(raw, gone)[0] is True
    assert apply(raw, gone)[0] is False and apply(raw, dict(WHOLE, mode="raw"))[0] is False
    assert the_one(raw).mode == "raw"


def test_another_mode_has_the_same_bytes_and_another_uuid(raw):
    apply(raw, WHOLE, mode="fsdax", map="mem")
    with pytest.raises(TestbedError, match="is there, but has mode fsdax, wanted devdax"):
        apply(raw, WHOLE, mode="devdax")
    changed = dict(WHOLE, state="reconfigured", mode="devdax")
    report = apply(raw, changed)[1][0]
    assert (report["mode"], report["map"], report["size"], report["name"]) == ("devdax", "mem", 256 * MIB, None)
    assert apply(raw, changed)[0] is False


@pytest.mark.parametrize("more, left_out", [
    ({"name": "store"}, "name"), ({"size": "128M"}, "size"), ({"size": "512M"}, "size"), ({"name": "store", "size": "128M"}, "name and size"),
    ({"uuid": "00000000-0000-4000-8000-000000000000"}, "uuid")])
@pytest.mark.parametrize("state", ["present", "reconfigured"])
def test_name_uuid_and_size_have_no_place(untouched, more, left_out, state):
    for host in untouched:
        for check_mode in (True, False):
            with pytest.raises(TestbedError, match=NO_LABEL_AREA + ", .*: its region is one namespace of 256M: leave out %s$" % left_out) as caught:
                apply(host, WHOLE, check_mode, state=state, mode="fsdax", **more)
            assert len(str(caught.value).splitlines()) == 1
        assert host.log == []


def test_one_that_is_memory_is_as_declared_and_stays(devdax):
    for entry in (WHOLE, dict(WHOLE, mode="devdax", map="mem", align="2M", size="256M"), dict(WHOLE, uuid=INFO_BLOCK)):
        assert apply(devdax, entry)[0] is False
    for entry in (dict(WHOLE, state="absent"), dict(WHOLE, state="reconfigured", map="dev")):
        with pytest.raises(TestbedError, match="it is in use: .*\n.*in use as system RAM: 1 of its 1 memory blocks are online"):
            apply(devdax, entry, allow_data_loss=True)
    assert devdax.log == []


def test_a_region_that_is_no_multiple_stays_raw(raw):
    """Changed: 2 MiB less, as a platform gives where it takes a label area off the device."""
    for name in ("region3", "namespace3.0"):
        raw.put("%s/%s/size" % (BUS, name), str(254 * MIB))
    said = "its region has 254M, which is not a multiple of 16M, and %s, by which .*: only mode raw .* 2M more" % NO_LABEL_AREA
    with pytest.raises(TestbedError, match=said):
        apply(raw, WHOLE, mode="fsdax")
    assert apply(raw, WHOLE, mode="raw")[0] is False
    assert raw.log == []


def test_several_nvdimms_are_all_named(raw):
    """Changed: the region is interleaved with the other NVDIMM, of which the label area is taken away, too."""
    raw.put(BUS + "/region3/mappings", "2")
    raw.put(BUS + "/region3/mapping1", "nmem0,0,134217728,1")
    os.unlink(raw.path(BUS + "/region2"))
    both = {"nvdimms": ["0x2", "0x1"], "name": "x"}
    with pytest.raises(TestbedError, match=NO_LABEL_AREA):
        apply(raw, both)
    raw.put(BUS + "/nmem0/commands", "cmd_call")
    with pytest.raises(TestbedError, match=r"NVDIMM 0x1 \(8680-56341200\), NVDIMM 0x2 \(8680-57341200\) have no label area"):
        apply(raw, both)


def test_nothing_else_of_the_machine_is_touched(raw):
    def names():
        return {name: nvdimm.number(raw, "%s/%s/size" % (BUS, name)) for name in raw.listdir(BUS) if re.match("namespace|region", name)}
    before = names()
    apply(raw, WHOLE, mode="sector")
    apply(raw, WHOLE, state="absent")
    assert names() == before
