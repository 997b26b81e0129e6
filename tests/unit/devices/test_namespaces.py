# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces as declared state."""
from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds, namespaces, nvdimm, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import MIB, NdHost

EXT4 = '{"signatures": [{"device": "pmem", "offset": "0x438", "type": "ext4", "uuid": "1c1d", "label": "books"}]}'
STORE = {"nvdimms": ["0x1"], "name": "store", "mode": "fsdax", "map": "dev", "size": "256M"}
RAM = {"nvdimms": ["8680-56341200"], "name": "ram", "mode": "devdax", "map": "mem"}
WHOLE = {"nvdimms": ["0x3"], "mode": "sector", "sector_size": "512"}
NEW = {"nvdimms": ["0x2"], "name": "new", "mode": "raw"}
FAR = {"memory_devices": ["0x11"], "name": "far", "mode": "devdax", "align": "4K"}


def apply(host, *entries, check_mode=False):
    return namespaces.apply(host, [dict({"state": "present"}, **entry) for entry in entries], check_mode)


@pytest.fixture(name="pmem")
def booted(tmp_path):
    return NdHost(tmp_path)


def changed(host):
    return [line for line in host.log if line.startswith("ndctl ")]


def test_four_steps(pmem):
    everything = [STORE, RAM, WHOLE, NEW, FAR]
    assert apply(pmem, *everything, check_mode=True)[0] is True
    assert pmem.log == []
    done, reports, before = apply(pmem, *everything)
    assert done is True
    assert [report["state"] for report in before] == ["absent"] * 5
    assert [(report["mode"], report["map"], report["size"], report["align"], report["sector_size"], report["device"]) for report in reports] == [
        ("fsdax", "dev", 256 * MIB, 2 * MIB, 512, "pmem1.0"), ("devdax", "mem", 768 * MIB, 2 * MIB, None, "dax1.1"),
        ("sector", None, 256 * MIB, None, 512, "pmem3.0s"), ("raw", None, 512 * MIB, None, 512, "pmem2.0"), ("devdax", "dev", 512 * MIB, 4096, None, "dax0.0")]
    del pmem.log[:]
    assert apply(pmem, *everything)[0] is False
    assert apply(pmem, *everything, check_mode=True)[0] is False
    assert pmem.log == []


def test_labels_are_made_where_a_name_needs_them(pmem):
    apply(pmem, NEW)
    assert changed(pmem)[:3] == ["ndctl disable-region region2", "ndctl init-labels nmem2", "ndctl enable-region region2"]
    assert apply(pmem, NEW)[0] is False


@pytest.mark.parametrize("how", ["signal", "timeout"])
def test_a_region_does_not_stay_disabled(pmem, how):
    def end():
        if how == "signal":
            signal.raise_signal(signal.SIGTERM)
        raise TestbedError("ndctl disable-region region2 did not end within 120 s")
    pmem.hooks["ndctl disable-region"] = end
    with pytest.raises(TestbedError, match="interrupted by SIGTERM|did not end within 120 s"), signals.as_errors():
        apply(pmem, NEW)
    assert changed(pmem) == ["ndctl disable-region region2", "ndctl enable-region region2"]
    pmem.hooks.clear()
    assert apply(pmem, NEW)[0] is True


def test_without_a_name_a_blank_label_area_stays_blank(pmem):
    apply(pmem, {"nvdimms": ["0x2"], "mode": "fsdax", "map": "mem"})
    assert changed(pmem) == ["ndctl create-namespace --no-autolabel --force --reconfig namespace2.0 --mode fsdax --map mem"]
    uuid = nvdimm.namespaces(pmem)[0].info_uuid
    assert apply(pmem, {"nvdimms": ["0x2"], "uuid": uuid})[0] is False


def test_absent(pmem):
    apply(pmem, STORE, WHOLE)
    gone = [dict(STORE, state="absent", allow_data_loss=True), dict(WHOLE, state="absent")]
    assert apply(pmem, *gone, check_mode=True)[0] is True
    done, reports, before = apply(pmem, *gone)
    assert (done, [report["state"] for report in reports]) == (True, ["absent", "absent"])
    assert reports[0]["lost"] == ['a label with the name "store"']
    assert apply(pmem, *gone)[0] is False
    assert pmem.log[-1] == "ndctl enable-namespace namespace3.0"


def test_reconfigured_keeps_uuid_and_what_is_not_said(pmem):
    uuid = apply(pmem, STORE)[1][0]["uuid"]
    wanted = {"nvdimms": ["0x1"], "name": "store", "state": "reconfigured", "mode": "devdax", "size": "512M", "allow_data_loss": True}
    assert apply(pmem, wanted, check_mode=True)[1][0]["map"] == "dev"
    report = apply(pmem, wanted)[1][0]
    assert (report["uuid"], report["mode"], report["map"], report["size"]) == (uuid, "devdax", "dev", 512 * MIB)
    assert apply(pmem, wanted)[0] is False


def test_present_never_changes_what_is_there(pmem):
    apply(pmem, STORE)
    with pytest.raises(TestbedError, match="is there, but has mode fsdax, wanted raw; size 256M, wanted 128M: state: reconfigured"):
        apply(pmem, {"nvdimms": ["0x1"], "name": "store", "mode": "raw", "size": "128M", "allow_data_loss": True})


def test_a_disabled_namespace_is_enabled(pmem):
    apply(pmem, NEW)
    pmem.run(["ndctl", "disable-namespace", "namespace2.0"])
    assert apply(pmem, NEW, check_mode=True)[0] is True
    assert apply(pmem, NEW)[1][0]["device"] == "pmem2.0"
    assert apply(pmem, NEW)[0] is False


def test_a_disabled_namespace_that_is_something_else(pmem):
    apply(pmem, NEW)
    pmem.run(["ndctl", "disable-namespace", "namespace2.0"])
    with pytest.raises(TestbedError, match="was disabled and is enabled now, but has mode raw, wanted devdax: state: reconfigured makes it anew"):
        apply(pmem, dict(NEW, mode="devdax"))


def test_a_removal_that_fails(pmem):
    apply(pmem, NEW)
    pmem.faults["ndctl destroy-namespace"] = 1
    with pytest.raises(TestbedError, match="namespace new of NVDIMM 0x2 could not be removed(?s:.*)undone: the namespace new of NVDIMM 0x2 disabled") as caught:
        apply(pmem, dict(NEW, state="absent", allow_data_loss=True))
    assert caught.value.changed is False


@pytest.mark.parametrize("entry, said", [
    ({"name": "x"}, "named by memory_devices or by nvdimms, one of the two: none given"),
    (dict(STORE, memory_devices=["0x11"]), "one of the two: memory_devices and nvdimms given"),
    (dict(STORE, nvdimms=["0x9"]), r"no NVDIMM has the handle or unique id 0x9: there are 0x1 \(8680-56341200\), 0x2"),
    (dict(STORE, nvdimms=["nmem1"]), "changes between boots"),
    (dict(STORE, nvdimms=["0x1", "0x2"]), "no region is made of exactly NVDIMM"),
    (dict(STORE, nvdimms=["17"]), "no NVDIMM has the handle or unique id 17"),
    (dict(STORE, nvdimms=[]), "names no NVDIMM"),
    (dict(FAR, memory_devices=["0x12"]), "no CXL memory device with serial 0x12"),
    (dict(STORE, name=None), "give a name or a uuid"),
    (dict(STORE, name="x" * 64), "has 1 to 63 bytes"),
    (dict(STORE, name="namespace0.0"), "the kernel's own numbering"),
    (dict(STORE, name="dax1"), "the kernel's own numbering"),
    (dict(STORE, name=" x "), "' x ' is no name for a namespace: the kernel takes spaces, and the byte 0xa0, off its ends"),
    (dict(STORE, name="voil\u00e0"), "the byte 0xa0, off its ends"),
    (dict(STORE, name="a\nb"), "is printable, this is not"),
    (dict(STORE, name="\ud800"), "is printable, this is not"),
    (dict(STORE, name="1c1dcb1b5fb5461e9f9e4534e0558b51"), "it is a uuid"),
    (dict(STORE, uuid="one"), "is not a uuid"),
    (dict(STORE, size="100M"), "size 100M is not a multiple of 16M, the alignment of its region: 96M or 112M would do"),
    (dict(STORE, size="2G"), "size 2G is more than its region has left, 1G: 1G would do"),
    (dict(STORE, size="0"), "is 0"),
    (dict(STORE, size="plenty"), "is not a size"),
    (dict(STORE, align="1G", size="1G"), "size 1G is too small for mode fsdax with align 1G: 2G would do"),
    (dict(STORE, align="64K"), "align 64K is not offered by this kernel: it offers 4K, 2M, 1G"),
    (dict(STORE, sector_size="1000"), "sector_size 1000 is not offered for mode fsdax: there are 512, 4096"),
    ({"nvdimms": ["0x1"], "name": "s", "mode": "sector", "size": "16M"}, "size 16M is too small for mode sector: 32M would do"),
    ({"nvdimms": ["0x1"], "name": "s", "mode": "sector", "map": "mem"}, "a sector namespace has no map"),
    (dict(RAM, sector_size="512"), "a devdax namespace has no sectors"),
    (dict(WHOLE, name="x"), r"NVDIMM 0x3 \(8680-76341200\) has no label area, .*: its region is one namespace of 256M: leave out name"),
    (dict(WHOLE, size="128M"), r"NVDIMM 0x3 \(8680-76341200\) has no label area, .*: its region is one namespace of 256M: leave out size"),
    ({"nvdimms": ["0x2"], "size": "256M"}, "without labels a namespace takes its whole region, 512M, wanted 256M: leave size out, or give it a name"),
    ({"nvdimms": ["0x2"], "size": "128M"}, "or give it a name, and labels are made"),
])
def test_refusals_change_nothing(pmem, entry, said):
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match=said):
            apply(pmem, entry, check_mode=check_mode)
    assert pmem.log == []


@pytest.mark.parametrize("entries", [(STORE, dict(STORE, size="128M")), (WHOLE, dict(WHOLE, mode="raw")), (NEW, {"nvdimms": ["0x2"], "mode": "raw"})])
def test_entries_that_contradict_each_other(pmem, entries):
    with pytest.raises(TestbedError, match="is declared twice"):
        apply(pmem, *entries)
    assert pmem.log == []


def test_room_is_counted_over_all_entries(pmem):
    with pytest.raises(TestbedError, match="size 512M is more than its region has left, 256M"):
        apply(pmem, dict(STORE, size="768M"), dict(RAM, size="512M"))
    apply(pmem, dict(STORE, size="1G"))
    assert apply(pmem, dict(STORE, state="absent", allow_data_loss=True), dict(RAM, size="1G"))[0] is True


def test_data_is_kept(pmem):
    apply(pmem, STORE, RAM, WHOLE)
    pmem.content.update({"pmem1.0": EXT4, "pmem2.0": EXT4})
    pmem.filled["dax1.1"] = 4096
    del pmem.log[:]
    for entry, said in ((dict(STORE, state="absent"), 'found: a label with the name "store"\nfound: ext4 with the label "books"'),
                        (dict(RAM, state="reconfigured", map="dev"), 'found: a label with the name "ram"\nfound: bytes that are not zero, at 0x1000'),
                        (NEW, 'the region of namespace new of NVDIMM 0x2: it holds data: .*\nfound: ext4')):
        for check_mode in (True, False):
            with pytest.raises(TestbedError, match=said):
                apply(pmem, entry, check_mode=check_mode)
    pmem.claimed.add("pmem1.0")
    with pytest.raises(TestbedError, match="it is in use: .*\n.*\nfound: in use by the kernel, which holds pmem1.0"):
        apply(pmem, dict(STORE, state="absent", allow_data_loss=True))
    assert pmem.log == []


@pytest.mark.parametrize("entry, device", [
    (dict(WHOLE, state="absent"), "pmem3.0s"),
    (dict(WHOLE, state="reconfigured", sector_size="4096"), "pmem3.0s"),
    (dict(NEW, name=None, mode="fsdax", map="mem"), "pmem2.0"),
    (NEW, "pmem2.0"),
])
def test_data_that_came_during_an_earlier_step_is_kept(pmem, entry, device):
    apply(pmem, STORE, WHOLE)
    del pmem.log[:]
    pmem.hooks["ndctl destroy-namespace"] = lambda: pmem.content.update({device: EXT4})
    with pytest.raises(TestbedError, match="it holds data: .*\nfound: ext4") as caught:
        apply(pmem, dict(STORE, state="absent", allow_data_loss=True), entry)
    assert changed(pmem) == ["ndctl destroy-namespace --force namespace1.0"]
    assert caught.value.changed is True


def test_a_failure_leaves_nothing_half_made(pmem):
    pmem.faults["ndctl create-namespace --region region1 --size 536870912"] = 1
    with pytest.raises(TestbedError, match="(?s)namespace ram .* could not be made: .*undone: namespace ram .*undone: namespace store"):
        apply(pmem, STORE, dict(RAM, size="512M"))
    assert [entry.name for entry in nvdimm.namespaces(pmem)] == ["namespace2.0", "namespace3.0"]


def test_what_is_in_use_by_now_is_not_undone(pmem):
    pmem.faults["ndctl create-namespace --region region1 --size 536870912"] = 1
    pmem.hooks["ndctl create-namespace --region region1 --size 268435456"] = lambda: pmem.claimed.add("pmem1.0")
    with pytest.raises(TestbedError, match="could not undo: namespace store of NVDIMM 0x1: will not remove the namespace of this call: it is in use") as caught:
        apply(pmem, STORE, dict(RAM, size="512M"))
    assert caught.value.changed is True
    assert "store" in [entry.label for entry in nvdimm.namespaces(pmem)]


def test_an_enabled_namespace_that_is_in_use_by_now_stays_enabled(pmem):
    apply(pmem, STORE)
    pmem.run(["ndctl", "disable-namespace", "namespace1.0"])
    pmem.hooks["ndctl enable-namespace namespace1.0"] = lambda: pmem.claimed.add("pmem1.0")
    pmem.faults["ndctl create-namespace"] = 1
    with pytest.raises(TestbedError, match="could not undo: the namespace store of NVDIMM 0x1 enabled: will not disable it|will not disable"):
        apply(pmem, STORE, RAM)
    assert "ndctl disable-namespace namespace1.0" not in pmem.log[pmem.log.index("ndctl enable-namespace namespace1.0"):]


def test_making_one_of_a_region_that_ndctl_refuses_leaves_what_it_held(pmem):
    pmem.content["pmem3.0"] = EXT4
    pmem.faults["ndctl create-namespace"] = 1
    with pytest.raises(TestbedError, match="could not be made") as caught:
        apply(pmem, dict(WHOLE, allow_data_loss=True))
    assert caught.value.changed is False and len(changed(pmem)) == 1


def test_contents_that_went_with_a_failure_are_said_to_be_lost(pmem):
    def end():
        pmem.content.clear()
        raise TestbedError("ndctl failed with exit code 1")
    pmem.content["pmem3.0"] = EXT4
    pmem.hooks["ndctl create-namespace"] = end
    with pytest.raises(TestbedError, match="lost before that: what the namespace of NVDIMM 0x3 held") as caught:
        apply(pmem, dict(WHOLE, allow_data_loss=True))
    assert caught.value.changed is True


def test_labels_that_are_damaged_are_not_blank(pmem):
    pmem.label_area = "NAMESPACE_INDEX\0" + "\0" * 240
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="the kernel finds no labels on its NVDIMMs, but their label areas are not blank: see ndctl read-labels"):
            apply(pmem, dict(NEW, allow_data_loss=True), check_mode=check_mode)
    assert pmem.log == []


@pytest.mark.parametrize("state, said", [
    ("absent", None), ("reconfigured", "the namespace of this name has the uuid 0+7-.*, not 0+8-.*: give that uuid, or none")])
def test_another_one_of_the_same_name_is_not_the_one_that_was_named(pmem, state, said):
    uuids = ["%08d-0000-4000-8000-000000000000" % number for number in (7, 8)]
    apply(pmem, dict(STORE, uuid=uuids[0]))
    del pmem.log[:]
    entry = dict(STORE, uuid=uuids[1], state=state, mode="fsdax", map="mem", size="256M", allow_data_loss=True)
    if said is None:
        assert apply(pmem, entry)[0] is False
    else:
        with pytest.raises(TestbedError, match=said):
            apply(pmem, entry)
    assert pmem.log == []


@pytest.mark.parametrize("given", [{"mode": "fsdax"}, {"size": "256M"}, {}])
def test_nothing_is_made_anew_of_what_is_not_there_and_not_described(pmem, given):
    """As after a run that was killed between destroying and making."""
    with pytest.raises(TestbedError, match="is not there, so what is not said of it cannot be as it was: say mode and size"):
        apply(pmem, dict({"nvdimms": ["0x1"], "name": "store", "state": "reconfigured"}, **given))
    assert pmem.log == []


def test_a_failing_reconfiguration_puts_the_old_one_back(pmem):
    before = apply(pmem, STORE)[1][0]
    pmem.faults["ndctl create-namespace"] = 1
    with pytest.raises(TestbedError, match="undone: the namespace store of NVDIMM 0x1 removed; it is again what it was, but for what it held") as caught:
        apply(pmem, dict(STORE, map="mem", state="reconfigured", allow_data_loss=True))
    assert caught.value.changed is True
    assert "removed before that: the namespace store of NVDIMM 0x1, with what it held" in caught.value.details
    assert dict(apply(pmem, STORE)[1][0], changed=True) == before


def test_a_failing_reconfiguration_without_labels(pmem):
    """What ndctl refuses before it touches anything stays untouched."""
    apply(pmem, WHOLE)
    pmem.content["pmem3.0s"] = EXT4
    del pmem.log[:]
    pmem.faults["ndctl create-namespace"] = 1
    with pytest.raises(TestbedError, match="could not be made") as caught:
        apply(pmem, dict(WHOLE, state="reconfigured", sector_size="4096", allow_data_loss=True))
    assert caught.value.changed is False
    assert len(changed(pmem)) == 1


def test_a_removal_that_ends_in_the_middle_is_a_change(pmem):
    apply(pmem, WHOLE, NEW)
    pmem.faults["ndctl enable-namespace"] = 1
    with pytest.raises(TestbedError, match="removed before that: the namespace of NVDIMM 0x3, with what it held") as caught:
        apply(pmem, dict(WHOLE, state="absent"))
    assert caught.value.changed is True
    pmem.hooks["ndctl destroy-namespace"] = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(signals.Interrupted, match="lost before that: what the namespace new of NVDIMM 0x2 held") as caught, signals.as_errors():
        apply(pmem, dict(NEW, state="absent", allow_data_loss=True))
    assert caught.value.changed is True


@pytest.fixture(name="listed")
def boot_with_names_on_the_list_of_kmem(pmem):
    pmem.put(holds.AUTOPROBE, "1")
    pmem.ids = ("dax0.0", "dax1.0", "dax1.1", "dax3.0")
    return pmem


def drivers(host):
    return {name: host.link_name("/sys/bus/dax/devices/%s/driver" % name) for name in host.listdir("/sys/bus/dax/devices")}


def test_no_new_dax_device_goes_to_kmem(listed):
    """``daxctl reconfigure-device`` leaves the name of what it moves on the list of kmem, which would make memory of the next device of that name."""
    plain = {"nvdimms": ["0x3"], "mode": "devdax", "map": "mem"}
    assert apply(listed, RAM, FAR, plain)[0] is True
    assert drivers(listed) == dict.fromkeys(["dax0.0", "dax1.0", "dax3.0"], "device_dax")
    again = dict(FAR, state="reconfigured", map="mem", allow_data_loss=True)
    assert apply(listed, again)[0] is True
    assert drivers(listed) == dict.fromkeys(["dax0.0", "dax1.0", "dax3.0"], "device_dax")
    assert listed.read(holds.AUTOPROBE) == "1" and not listed.exists(holds.NOTES)


def test_no_dax_device_goes_to_kmem_when_its_namespace_is_put_back(listed):
    apply(listed, FAR)
    listed.faults["ndctl create-namespace"] = 1
    with pytest.raises(TestbedError, match="undone: the namespace far"):
        apply(listed, dict(FAR, state="reconfigured", map="mem", allow_data_loss=True))
    assert drivers(listed) == {"dax0.0": "device_dax"}
    assert listed.read(holds.AUTOPROBE) == "1"


def test_one_that_nobody_has_stays_so(listed):
    apply(listed, RAM)
    os.unlink(listed.path("/sys/bus/dax/devices/dax1.0/driver"))
    apply(listed, FAR)
    assert drivers(listed) == {"dax0.0": "device_dax", "dax1.0": None}


def test_a_bus_that_somebody_else_sets_meanwhile(listed):
    listed.hooks["ndctl create-namespace"] = lambda: listed.put(holds.AUTOPROBE, "1")
    with pytest.raises(TestbedError, match="drivers_autoprobe was set to 1 by someone else(?s:.*)undone: namespace far of memory device 0x11") as caught:
        apply(listed, FAR)
    assert caught.value.changed is False
    assert drivers(listed) == {} and not [entry for entry in nvdimm.namespaces(listed) if entry.label]


@pytest.fixture(name="useless", params=["absent", "rubbish"])
def replace_ndctl(pmem, request):
    """Called: from then on ndctl is not there, or says something and does nothing. Returns what is expected of it."""
    def replace():
        plain = pmem.run

        def run(argv, timeout=120):
            if argv[0] != "ndctl":
                return plain(argv, timeout)
            if request.param == "absent":
                raise TestbedError("the tool ndctl is not installed")
            return "[{"
        pmem.run = run
        return "could not be|ndctl is not installed" if request.param == "absent" else "is still there|after all|label areas are not blank"
    return replace


@pytest.mark.parametrize("entry", [
    dict(STORE, state="absent"), dict(WHOLE, state="absent"), dict(STORE, state="reconfigured", map="mem"), dict(WHOLE, state="reconfigured", mode="raw"),
    dict(RAM, size="256M"), NEW, {"nvdimms": ["0x2"], "mode": "fsdax", "map": "mem"}, FAR])
def test_without_an_ndctl_that_works_nothing_is_changed_and_nothing_is_said_to_be(pmem, useless, entry):
    apply(pmem, STORE, WHOLE)
    before, found = nvdimm.namespaces(pmem), useless()
    with pytest.raises(TestbedError, match=found + "|come out as something else") as caught:
        apply(pmem, dict(entry, allow_data_loss=True))
    assert caught.value.changed is False
    assert [line for line in caught.value.details if line.startswith(("removed", "lost", "could not undo"))] == []
    assert nvdimm.namespaces(pmem) == before


def test_a_disabled_one_that_ndctl_cannot_enable_stays_so(pmem, useless):
    apply(pmem, STORE)
    pmem.run(["ndctl", "disable-namespace", "namespace1.0"])
    before, found = nvdimm.namespaces(pmem), useless()
    with pytest.raises(TestbedError, match=found + "|ndctl is not installed|come out as something else|but has") as caught:
        apply(pmem, STORE)
    assert caught.value.changed is False
    assert nvdimm.namespaces(pmem) == before


def test_no_region_in_check_mode_is_one_to_be_made(pmem):
    pmem.put("/sys/bus/nd/devices/nmem0/cxl/provider", "pmem9")
    assert apply(pmem, FAR, check_mode=True)[0] is True
    assert apply(pmem, dict(FAR, state="absent"))[0] is False
    with pytest.raises(TestbedError, match="no region of persistent memory is made of memory device serial 0x11"):
        apply(pmem, FAR)


def test_found_by_name_and_by_either_uuid(pmem):
    uuid = apply(pmem, STORE, RAM)[1][0]["uuid"]
    found = nvdimm.namespaces(pmem)
    assert {nvdimm.find_namespace(found, word).name for word in ("store", uuid, found[0].info_uuid)} == {"namespace1.0"}
    with pytest.raises(TestbedError, match=r"no namespace has the name or uuid other: there are store \("):
        nvdimm.find_namespace(found, "other")
    assert nvdimm.namespace_of_dax(pmem, "dax1.1") == "namespace1.1"
    apply(pmem, FAR)
    assert nvdimm.namespaces_of_cxl_region(pmem, ["mem0"]) == ["namespace0.0"]
