# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Parameters that are each right but for one thing: always one clean error, never a changed host, with check mode and without."""
from __future__ import annotations

import math
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import lock

EXAMPLES = 120

# Words that name no memory device of the recorded machine, which has serials 1 and 2.
NO_DEVICE = st.one_of(
    st.sampled_from(["mem0", "region0", "dax0.0", "decoder0.0", "", " ", "9", "0x0", "-1", "0x", "0000:00:1f.7", "41:00", "12.5", "1 2",
                     "0x1ffffffffffffffff", "1;reboot"]),
    st.integers(3).map(str),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Nd"]), max_size=12))
NO_DEVICES = st.one_of(
    st.just([]), st.lists(NO_DEVICE, min_size=1, max_size=3), NO_DEVICE.map(lambda word: ["1", word]),
    st.sampled_from([["1", "1"], ["0x1", "1"], ["2", "1", "2"]]),
    st.none(), st.integers(3), st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=2))
NO_CHOICE = st.one_of(st.sampled_from(["", "Online", "both", "ON", "absent ", "dram,device"]),
                      st.integers(), st.booleans(), st.lists(st.text(max_size=2), max_size=2))
NO_SIZE = st.one_of(st.sampled_from(["", "-1", "-128M", "1Q", "lots", "1e9", "0x100", "1,5G", "\u00bd", "nan", "1.0000000001K", "128 M B"]),
                    st.booleans().map(str))
NO_COUNT = st.one_of(NO_SIZE, st.sampled_from(["9", "101%", "1%", "-5%", "%", "50 %%", "1e3%", "100M", "2G", "7.5", "99999999999999999999"]),
                     st.integers(9).map(str), st.integers(max_value=-1).map(str))
NO_TIME = st.one_of(st.sampled_from([0, -1, -0.5, 1e9, "nan", "inf", "-inf", "soon", "", []]), st.floats(max_value=-1e-9, allow_nan=False), st.just(math.inf))
JUNK = st.dictionaries(st.text(min_size=1, max_size=6).map("x_".__add__), st.one_of(st.text(max_size=4), st.integers(), st.none()), min_size=1, max_size=2)

GOOD = {"memory_devices": ["1"]}
MEMORY = dict(GOOD, memmap="device")


def entry(right=None, **wrong):
    """One list of entries, one of which is wrong in one way, beside others that are right."""
    good = right or GOOD
    ways = [st.fixed_dictionaries({key: value}).map(lambda found: dict(good, **found)) for key, value in wrong.items()]
    ways += [JUNK.map(lambda found: dict(good, **found)), st.one_of(st.text(max_size=3), st.integers(), st.none())]
    other = dict(good, memory_devices=["2"])
    return st.one_of(ways).flatmap(lambda bad: st.sampled_from([[bad], [other, bad], [bad, other]]))


def parameters(key, entries, right=None, **others):
    good = right or GOOD
    ways = [entries.map(lambda found: {key: found}), st.just({}), JUNK.map(lambda found: dict(found, **{key: [good]})),
            st.one_of(st.none(), st.integers(), st.text(max_size=3)).map(lambda found: {key: found})]
    ways += [value.map(lambda found, name=name: {key: [good], name: found}) for name, value in others.items()]
    # the entries are what most is said about
    return st.one_of([ways[0]] * 3 + ways[1:])


PLACES = st.one_of(
    st.fixed_dictionaries({"node": st.one_of(st.integers(3), st.integers(max_value=-1), st.just("one"))}),
    st.fixed_dictionaries({"start": st.one_of(st.sampled_from(["0xb90000001", "there", "-0x8000000", "", "1e9"]), st.integers(1, 99).map(str)),
                           "size": st.just("128M")}),
    st.fixed_dictionaries({"start": st.just("0xb90000000"), "size": st.one_of(NO_SIZE, st.sampled_from(["0", "100M", "64G", "9999T"]))}),
    st.sampled_from([{"start": "0xb90000000"}, {"size": "128M"}, {}, {"node": 1, "memory_devices": ["1"]}, {"node": 1, "size": "128M"}]))

BLOCKS = parameters(
    "devices", st.one_of(entry(memory_devices=NO_DEVICES, state=NO_CHOICE, zone=NO_CHOICE, count=NO_COUNT, order=NO_CHOICE), PLACES.map(lambda found: [found])),
    block_timeout=NO_TIME, pause=st.sampled_from([-1, 1e9, "nan", "long", -0.001]), on_failure=NO_CHOICE,
    health=st.one_of(NO_SIZE.map(lambda found: {"free_memory": found}), NO_TIME.map(lambda found: {"block_seconds": found}), JUNK,
                     st.text(min_size=1, max_size=4)))
REGIONS = parameters("regions", entry(memory_devices=NO_DEVICES, state=NO_CHOICE, size=st.one_of(NO_SIZE.filter(bool), st.sampled_from(["1T", "100M", "0"])),
                                      root_decoder=st.sampled_from(["decoder9.9", "mem0", "decoder1.0", "../..", "decoder0.0/"])))
NO_FLAG = st.sampled_from(["perhaps", "2", [], {}])
NO_PARTS = st.one_of(
    NO_SIZE.map(lambda found: [{"size": found}]), NO_CHOICE.map(lambda found: [{"size": "all", "mode": found}]),
    NO_CHOICE.map(lambda found: [{"size": "512M"}, {"size": "all", "memmap": found}]), JUNK.map(lambda found: [dict(found, size="all")]),
    st.sampled_from([[{}], [{"size": "all"}, {"size": "128M"}], [{"size": "0"}], [{"size": "100M"}], [{"size": "7T"}], [{"size": "1G"}, {"size": "all"}],
                     [{"size": "all", "mode": "devdax", "memmap": "dram"}], "half", 3, [3], {"x": 1}]))
DAX = parameters("devices", entry(MEMORY, memory_devices=NO_DEVICES, memmap=st.one_of(NO_CHOICE, st.none()), offline=NO_FLAG, allow_data_loss=NO_FLAG,
                                  mode=st.one_of(NO_CHOICE, st.just("devdax")), parts=NO_PARTS), MEMORY, block_timeout=NO_TIME, reboot_pending=NO_FLAG)


@pytest.mark.parametrize("name, strategy", [("cxl_region", REGIONS), ("dax_device", DAX), ("memory_blocks", BLOCKS)])
def test_one_clean_error_and_nothing_changed(bound, call, name, strategy):
    @settings(suppress_health_check=list(HealthCheck), max_examples=EXAMPLES)
    @given(strategy, st.booleans())
    def each(options, check_mode):
        del bound.log[:]
        code, answer = call(name, bound, options, check_mode)
        assert code == 1, (options, answer)
        assert answer["msg"].strip() and "Traceback" not in answer["msg"] and "Error(" not in answer["msg"], (options, answer)
        assert not answer.get("changed"), (options, answer)
        assert bound.log == [], options
        assert set(os.listdir(bound.path(lock.DIRECTORY))) <= {"lock"}
    each()
