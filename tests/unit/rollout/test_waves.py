# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts cut into waves."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import waves

HOSTS = ["a", "b", "c", "d", "e", "f", "g", "h"]


def cut(canaries=1, sizes=("100%",), hosts=tuple(HOSTS), domains=None, limit="50%"):
    return waves.cut(list(hosts), canaries, list(sizes), {"odd": ["a", "c", "e", "g"], "elsewhere": ["x"]}, domains, limit)


def test_numbers_percentages_and_names():
    assert cut() == [["a"], ["b", "c", "d", "e", "f", "g", "h"]]
    assert cut(2, ["25%", 3, "100%"]) == [["a", "b"], ["c", "d"], ["e", "f", "g"], ["h"]]
    assert cut(["h"], [{"group": "odd"}, 10]) == [["h"], ["a", "c", "e", "g"], ["b", "d", "f"]]
    assert cut(0, ["100%"]) == [HOSTS]
    assert cut(1, ["10%", "100%"], hosts=["a"]) == [["a"]]


def test_domains_take_turns_and_are_never_whole_in_a_wave():
    racks = dict(zip(HOSTS, "xxxxyyyy"))
    assert cut(1, [4, "100%"], domains=racks) == [["a"], ["b", "e", "c", "f"], ["d", "g", "h"]]
    with pytest.raises(TestbedError, match="wave 2 is larger than the failure domains allow: 7 hosts, room for 4"):
        cut(1, ["100%"], domains=racks)
    with pytest.raises(TestbedError, match="failure domain x allows: 3 of its 4 hosts, at most 2"):
        cut(0, [{"hosts": ["a", "b", "c"]}, 2, 2, 2], domains=racks)
    assert cut(0, ["100%"], hosts=["a", "b"], domains={"a": "x", "b": "y"}) == [["a", "b"]]


@pytest.mark.parametrize("arguments, told", [
    (dict(hosts=[]), "no host"),
    (dict(canaries="some"), "rollout_canaries: 'some'"),
    (dict(canaries=["z"]), "names z"),
    (dict(canaries=["a", "a"]), "twice"),
    (dict(sizes=[{"group": "even"}]), "the group even"),
    (dict(sizes=[{"group": "elsewhere"}, "100%"]), "the group elsewhere, of which no host is in this rollout: leave that wave out"),
    (dict(sizes=[{"rack": "x"}]), r"rollout_waves\[1\]: a wave is"),
    (dict(sizes=["101%"]), "101%"),
    (dict(sizes=[0]), "0 is not"),
    (dict(sizes=[True]), "True is not"),
    (dict(sizes=[3]), "4 of 8 hosts are in no wave: e, f, g, h"),
    (dict(canaries=["a"], sizes=[{"group": "odd"}, "100%"]), "overlapping waves: a is in wave 1 and in wave 2"),
    (dict(sizes=[{"hosts": "b"}]), "not a list"),
    (dict(sizes=[{"hosts": [["b"]]}]), "a wave names ..b.., not among"),
    (dict(sizes=[{"group": ["odd"]}]), "group is ..odd.., not a name"),
])
def test_mistakes(arguments, told):
    with pytest.raises(TestbedError, match=told):
        cut(**arguments)


SIZES = some.lists(some.one_of(some.integers(1, 20), some.integers(1, 100).map("{}%".format)), max_size=6)


@given(some.integers(1, 60), some.integers(0, 5), SIZES, some.integers(1, 7))
def test_every_host_is_in_one_wave_or_it_is_refused(count, canaries, sizes, racks):
    hosts = ["host%d" % number for number in range(count)]
    domains = {host: "rack%d" % (number % racks) for number, host in enumerate(hosts)}
    try:
        found = waves.cut(hosts, canaries, sizes, {}, domains, "50%")
    except TestbedError:
        return
    assert sorted(host for wave in found for host in wave) == sorted(hosts)
    for wave in found:
        for rack in set(domains.values()):
            all_of_it = [host for host in hosts if domains[host] == rack]
            assert len(all_of_it) == 1 or set(all_of_it) - set(wave)


@pytest.mark.parametrize("sizes", ["100%", 3, {"group": "odd"}, None])
def test_waves_are_a_list(sizes):
    with pytest.raises(TestbedError, match="rollout_waves: .* is not a list"):
        waves.cut(HOSTS, 1, sizes, {})
