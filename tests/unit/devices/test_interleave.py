# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Number, order and granularity of memory devices in a window.

The refusals are those of Linux 6.12 on the guest that ``bridges`` was recorded on, or one like it.
"""
from __future__ import annotations

import collections
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import interleave
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

Device = collections.namedtuple("Device", "serial pci route")
Window = collections.namedtuple("Window", "name ways granularity bridges")

A = Device(1, "a", ("hb0", "rp0"))
B = Device(2, "b", ("hb0", "rp1"))
C = Device(3, "c", ("hb1", "rp2"))
D = Device(4, "d", ("hb1", "rp3", "dp0"))
E = Device(5, "e", ("hb1", "rp3", "dp1"))
FIRST, SECOND = Window("decoder0.0", 1, 256, ("hb0",)), Window("decoder0.1", 1, 256, ("hb1",))
BOTH = Window("decoder0.2", 2, 4096, ("hb0", "hb1"))


@pytest.mark.parametrize("window, members, granularity", [
    (FIRST, [A], None), (FIRST, [A], 8192), (FIRST, [A, B], None), (FIRST, [B, A], None), (FIRST, [A, B], 16384), (SECOND, [C, D], 4096),
    (SECOND, [E, D], None),
    (BOTH, [A, C], None), (BOTH, [A, D], 4096), (BOTH, [A, C, B, D], None), (BOTH, [B, D, A, C], None)])
def test_what_the_kernel_takes(window, members, granularity):
    interleave.check(window, members, granularity)


@pytest.mark.parametrize("window, members, granularity, said", [
    (BOTH, [C, A], None, r"the order of serial 0x3 \(c\), serial 0x1 \(a\) does not fit .*whose targets are hb0, hb1 in turn: "
                         r"name them as serial 0x1 \(a\), serial 0x3 \(c\)$"),
    (BOTH, [A, B, C, D], None, r"name them as serial 0x1 \(a\), serial 0x3 \(c\), serial 0x2 \(b\), serial 0x4 \(d\)$"),
    (BOTH, [A, C, D, B], None, r"name them as serial 0x1 \(a\), serial 0x3 \(c\), serial 0x2 \(b\), serial 0x4 \(d\)$"),
    (BOTH, [A], None, "interleaves 2 host bridges, and 1 memory devices do not fit that: name 2, 4, 8 or 16 of them"),
    (BOTH, [A, C, B], None, "interleaves 2 host bridges, and 3 memory devices do not fit"),
    (SECOND, [C, D, E], None, "interleaves 1 host bridge, and 3 memory devices do not fit that: name 1, 2, 4, 8 or 16 of them"),
    (BOTH, [A, D, B, E], 256, "at 4K, so a region in it cannot have granularity 256: leave granularity out, or say 4K"),
    (BOTH._replace(granularity=16384), [A, C], None, "below hb0 would have to take turns at 32K, and 16K is the most.*the platform fixed"),
    (BOTH._replace(granularity=16384), [A, C, B, D], None, "4 devices at 16K span more than the 32K that a device's decoder can tell apart"),
    (SECOND, [D, E], 32768, "cannot have granularity 32K.*say granularity: 16K or less"),
])
def test_what_it_refuses_and_why(window, members, granularity, said):
    with pytest.raises(TestbedError, match=said) as caught:
        interleave.check(window, members, granularity)
    assert "\n" not in str(caught.value)


def test_no_order_will_do():
    F = Device(6, "f", ("hb1", "rp4"))
    with pytest.raises(TestbedError, match="no order of .* fits the memory window decoder0.1: 1 below rp2, 2 below rp3, 1 below rp4"):
        interleave.check(SECOND, [C, D, E, F])
    with pytest.raises(TestbedError, match="no order of .*: 3 below hb1, 1 below hb0"):
        interleave.check(BOTH, [C, D, E, A])


@pytest.mark.parametrize("count, fine", [(256, True), (16384, True), (128, False), (5000, False), (32768, False), (0, False)])
def test_granularities(count, fine):
    if fine:
        interleave.check_granularity(count, "x")
    else:
        with pytest.raises(TestbedError, match="not a power of two from 256 to 16K"):
            interleave.check_granularity(count, "x")


ROUTES = [("hb%d" % bridge, "rp%d%d" % (bridge, port)) + tail for bridge in range(2) for port in range(2)
          for tail in [(), ("dp%d%d0" % (bridge, port),), ("dp%d%d1" % (bridge, port),)]]


@st.composite
def topologies(draw):
    """Devices at random places: below a root port there is one device, or a switch."""
    chosen = draw(st.lists(st.sampled_from(ROUTES), min_size=1, max_size=5, unique=True))
    direct = {route for route in chosen if len(route) == 2}
    return [Device(number, str(number), route) for number, route in enumerate(chosen) if len(route) == 2 or route[:2] not in direct]


@given(topologies())
def test_an_order_is_found_exactly_where_there_is_one(members):
    bridges = tuple(sorted({device.route[0] for device in members}))
    window = Window("w", len(bridges), 256, bridges)

    def taken(order):
        try:
            interleave.check(window, list(order))
        except TestbedError:
            return False
        return True
    order, reason = interleave.arrange(members, bridges)
    assert (order is None) == (reason is not None)
    if len(members) in interleave.WAYS and len(members) % len(bridges) == 0 and len(members) != 3:
        assert (order is not None) == any(taken(permutation) for permutation in itertools.permutations(members))
    if order is not None and len(members) in (1, 2, 4):
        assert sorted(order) == sorted(members) and taken(order)
