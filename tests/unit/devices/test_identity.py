# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names of memory devices."""
from __future__ import annotations

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import identity
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

Device = collections.namedtuple("Device", "serial pci")
DEVICES = [Device(1, "0000:0d:00.0"), Device(2, "0000:41:00.0")]


@pytest.mark.parametrize("text, wanted", [("1", 1), (1, 1), ("0x1", 1), ("0X1F", 31), (" 0x1 ", 1), ("0", 0), ("0000:0D:00.0", "0000:0d:00.0"),
                                          ("10000:0d:1f.7", "10000:0d:1f.7"), ("18446744073709551615", 2**64 - 1)])
def test_forms(text, wanted):
    assert identity.parse(text) == wanted


@pytest.mark.parametrize("text, said", [("mem0", "changes between boots"), ("region0", "changes between boots"), ("dax0.0", "changes between boots"),
                                        ("600.0", "quote PCI addresses"), ("", "does not name"), (True, "does not name"), ("0d:00.0", "neither a serial"),
                                        ("-1", "neither"), ("18446744073709551616", "neither"), ("0x", "neither"), ("eleven", "neither")])
def test_refusals(text, said):
    with pytest.raises(TestbedError, match=said):
        identity.parse(text)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text())))
def test_junk_is_a_clean_error(junk):
    try:
        found = identity.parse(junk)
    except TestbedError as exc:
        assert "\n" not in exc.summary
    else:
        assert isinstance(found, (int, str))


@given(st.integers(0, 2**64 - 1))
def test_every_serial_in_every_base(serial):
    assert identity.parse(serial) == identity.parse(str(serial)) == identity.parse(hex(serial)) == serial


def test_unknown_serial_lists_those_there_are():
    with pytest.raises(TestbedError) as caught:
        identity.find(DEVICES, "0x9")
    assert caught.value.summary == "no CXL memory device with serial 0x9"
    assert caught.value.remedy == "there are serial 0x1 (0000:0d:00.0), serial 0x2 (0000:41:00.0)"


def test_no_device_at_all():
    with pytest.raises(TestbedError, match="no CXL memory device at all"):
        identity.find([], "1")


def test_serials_that_are_not_unique_ask_for_the_address():
    twins = [Device(0, "0000:0d:00.0"), Device(0, "0000:41:00.0")]
    with pytest.raises(TestbedError, match="2 CXL memory devices have serial 0x0.*0000:0d:00.0, 0000:41:00.0"):
        identity.find(twins, "0")
    assert identity.find(twins, "0000:41:00.0") is twins[1]


def test_order_is_kept_and_doubles_are_refused():
    assert identity.find_all(DEVICES, ["2", "0000:0d:00.0"]) == [DEVICES[1], DEVICES[0]]
    with pytest.raises(TestbedError, match="named twice"):
        identity.find_all(DEVICES, ["1", "0000:0d:00.0"])
    with pytest.raises(TestbedError, match="empty list"):
        identity.find_all(DEVICES, [])
