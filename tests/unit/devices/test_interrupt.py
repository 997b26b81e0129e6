# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A signal ends a run wherever it comes, where an error would be passed over, too, and is called by its name."""
from __future__ import annotations

import signal
import types

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import hold
from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents, cxl_pmem, lock, proven, regions, session, signals, stepwise, unmovable
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import geometry, kernel, page_tables
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import NdHost

UNIT = 128 << 20


def interrupt(*unused, **unused_too):
    signal.raise_signal(signal.SIGTERM)


def interrupted():
    return pytest.raises(signals.Interrupted, match="^interrupted by SIGTERM")


@pytest.mark.parametrize("load, module", [(regions.load_drivers, "kmem"), (cxl_pmem.load_drivers, "nd_btt")])
def test_while_drivers_are_loaded(fresh, load, module):
    fresh.hooks["modprobe -q " + module] = interrupt
    with interrupted(), signals.as_errors():
        load(fresh)
    assert fresh.log[-1] == "modprobe -q " + module


def test_while_a_region_is_made(fresh):
    fresh.hooks["modprobe -q kmem"] = interrupt
    with interrupted(), session.changing(fresh):
        regions.apply(fresh, [{"memory_devices": ["1"]}])
    assert not [line for line in fresh.log if line.startswith("cxl ")]
    assert fresh.policies() == ("1", "online")


@pytest.mark.parametrize("place", ["read_leaves", "locate"])
def test_while_page_tables_are_read(bound, monkeypatch, place):
    monkeypatch.setattr(page_tables, "read_leaves", lambda *unused: page_tables.Walk(64, []))
    monkeypatch.setattr(kernel, "read_geometry", lambda *unused: geometry.Geometry(4096, 64, UNIT, 512, False))
    monkeypatch.setattr(page_tables, place, interrupt)
    entry = types.SimpleNamespace(who="it", blocks=[370], on_device=False)
    for ask in (lambda: proven.look(bound, [entry]), lambda: unmovable.memmaps(bound, [338])):
        with interrupted(), signals.as_errors():
            ask()


def test_while_a_proof_is_looked_for(bound, monkeypatch):
    monkeypatch.setattr(kernel, "Kcore", interrupt)
    with interrupted(), signals.as_errors():
        kernel.read_geometry(bound, UNIT)


def test_while_the_end_of_use_is_waited_for(tmp_path, monkeypatch):
    host = NdHost(tmp_path)
    monkeypatch.setattr(contents, "users", interrupt)
    with interrupted(), signals.as_errors():
        contents.look(host, "namespace3.0")


def test_while_namespaces_are_handed_on_at_boot(mixed, monkeypatch):
    mixed.unlink("/sys/bus/dax/devices/dax2.0/driver")
    mixed.put(hold.MARK, "1")
    monkeypatch.setattr(hold.dax, "bind", interrupt)
    with interrupted(), signals.as_errors():
        hold.pass_on(mixed)


def test_while_the_lock_is_waited_for(fresh, monkeypatch):
    monkeypatch.setattr(lock, "_try", interrupt)
    with interrupted(), session.changing(fresh):
        pytest.fail("went on")


def test_before_the_first_block(bound, monkeypatch):
    monkeypatch.setattr(stepwise, "_take", interrupt)
    with interrupted() as caught, session.changing(bound):
        stepwise.apply(bound, [{"memory_devices": ["2"], "state": "online", "zone": "movable", "count": "all", "order": None}])
    assert (caught.value.changed, len(caught.value.results)) == (False, 1)


def test_while_something_is_undone():
    """The failure is what is told, with what was undone."""
    undo = session.Undo()
    undo.add("all of it", interrupt)
    with pytest.raises(TestbedError, match="^it failed\nundone: all of it"), signals.as_errors():
        failure = TestbedError("it failed")
        undo.into(failure)
        raise failure


def test_what_was_added_on_the_way_is_kept():
    with interrupted() as caught, signals.as_errors():
        try:
            interrupt()
        except signals.Interrupt as exc:
            exc.details.append("done before that")
            exc.changed = True
            raise
    assert caught.value.fail_arguments() == {
        "msg": "interrupted by SIGTERM: what was held back is restored; run again to finish\ndone before that", "summary": "interrupted by SIGTERM",
        "details": ["done before that"], "remedy": "what was held back is restored; run again to finish", "changed": True}
