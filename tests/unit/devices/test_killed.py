# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs that are killed outright while a region or namespace is disabled, and the run after that."""
from __future__ import annotations

import json
import os
import signal

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds, namespaces, nvdimm, regions, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import BUS, MIB, NdHost

NEW = {"nvdimms": ["0x2"], "name": "new", "mode": "raw"}
WHOLE = {"nvdimms": ["0x3"], "mode": "sector", "sector_size": "512"}
STORE = {"nvdimms": ["0x1"], "name": "store", "mode": "fsdax", "map": "dev", "size": "256M"}
PMEM = {"memory_devices": ["5"], "type": "pmem"}


def killed(host, place, step, *arguments):
    """A step as a module carries it out, in a process that gets SIGKILL after a command, or in place of a method of the synthetic kernel (``_claim``)."""
    def die(*unused):
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            if place.startswith("_"):
                setattr(host, place, die)
            else:
                host.hooks[place] = die
            with session.changing(host):
                step(host, *arguments)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def apply(host, entry):
    return namespaces.apply(host, [dict({"state": "present"}, **entry)])


def again(host, entry):
    """The next run: what it repairs, whether it changes more, and what is there then. The one after that finds nothing to do."""
    with session.changing(host) as repaired:
        changed, (report,), before = apply(host, entry)
    assert not host.exists(holds.NOTES)
    with session.changing(host) as nothing:
        assert nothing == [] and apply(host, entry)[0] is False
    return repaired, changed, report


@pytest.fixture(name="pmem")
def booted(tmp_path):
    host = NdHost(tmp_path)
    host.put(holds.AUTOPROBE, "1")
    return host


@pytest.mark.parametrize("command", ["disable-region", "init-labels", "enable-region"])
def test_while_labels_are_written(pmem, command):
    killed(pmem, "ndctl " + command, apply, NEW)
    assert pmem.exists(BUS + "/region2/driver") is (command == "enable-region")
    repaired, changed, report = again(pmem, NEW)
    assert repaired == ["%s put back to 1, left at 0 by a run that was killed" % holds.AUTOPROBE] + (
        [] if command == "enable-region" else ["region2 enabled, left disabled by a run that was killed"])
    assert (changed, report["state"], report["name"], report["enabled"]) == (True, "present", "new", True)
    assert pmem.read(holds.AUTOPROBE) == "1"


def test_a_namespace_without_label_that_is_removed(pmem):
    """Destroyed, and not yet enabled as the raw one that its region always has: what is on that can be read again."""
    apply(pmem, WHOLE)
    gone = dict(WHOLE, state="absent")
    killed(pmem, "ndctl destroy-namespace", apply, gone)
    repaired, changed, report = again(pmem, gone)
    assert (repaired[1:], changed, report["state"]) == (["namespace3.0 enabled, left disabled by a run that was killed"], False, "absent")


@pytest.mark.parametrize("before", [None, dict(WHOLE, sector_size="4096")])
def test_a_namespace_without_label_that_gets_another_mode(pmem, before):
    if before:
        apply(pmem, before)
    wanted = dict(WHOLE, state="reconfigured")
    killed(pmem, "_claim", apply, wanted)
    repaired, changed, report = again(pmem, wanted)
    assert repaired[1:] == ["namespace3.0 enabled, left disabled by a run that was killed"]
    assert (changed, report["mode"], report["sector_size"]) == (True, "sector", 512)


def test_a_namespace_that_is_made_anew(pmem):
    """Destroyed, and not yet made: its uuid and what the task does not say of it are gone."""
    uuid = apply(pmem, STORE)[1][0]["uuid"]
    wanted = {"nvdimms": ["0x1"], "name": "store", "state": "reconfigured", "mode": "devdax", "allow_data_loss": True}
    killed(pmem, "ndctl destroy-namespace", apply, wanted)
    with session.changing(pmem) as repaired, pytest.raises(TestbedError, match="what is not said of it cannot be as it was: say mode and size"):
        apply(pmem, wanted)
    assert repaired == ["%s put back to 1, left at 0 by a run that was killed" % holds.AUTOPROBE]
    repaired, changed, report = again(pmem, dict(wanted, size="256M"))
    assert (changed, report["mode"], report["size"], report["uuid"] == uuid) == (True, "devdax", 256 * MIB, False)


def test_a_persistent_region_that_is_removed(bridges):
    """Disabled, and not yet destroyed: it shows again that there is nothing in it."""
    regions.apply(bridges, [PMEM])
    gone = dict(PMEM, state="absent")
    killed(bridges, "cxl disable-region", regions.apply, [gone])
    with session.changing(bridges) as repaired:
        assert repaired == ["region0 enabled, left disabled by a run that was killed"]
        assert regions.apply(bridges, [gone])[0] is True
    assert not bridges.exists(holds.NOTES) and bridges.policies()[0] == "1"


@pytest.mark.parametrize("identity, value", [["None 1", "disabled"], [None, "disabled"], ["None 536870912", "0"]])
def test_another_region_of_the_name_is_left_alone(pmem, identity, value):
    getattr(pmem, "_disable_region")("region2")
    pmem.put(holds.NOTES, json.dumps({BUS + "/region2": [identity, value], BUS + "/region9": ["None None", "disabled"], BUS + "/nmem2": ["x", "disabled"]}))
    with session.changing(pmem) as repaired:
        assert repaired == []
    assert pmem.log == []


def test_a_region_that_cannot_be_enabled_is_said_once(pmem):
    """It does not keep other modules from their work for ever."""
    killed(pmem, "ndctl disable-region", apply, NEW)
    pmem.faults["ndctl enable-region"] = 1
    with pytest.raises(TestbedError, match="region2 was left disabled by a run that was killed, and cannot be enabled") as caught, session.changing(pmem):
        pytest.fail("went on")
    assert caught.value.details == ["ndctl failed with exit code 237", "failed to enable"]
    with session.changing(pmem) as repaired, pytest.raises(TestbedError, match="its region is disabled: enable it with ndctl enable-region"):
        apply(pmem, NEW)
    assert repaired == [] and [region.enabled for region in nvdimm.regions(pmem)] == [True, True, False, True]
