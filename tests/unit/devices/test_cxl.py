# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a real guest's /sys/bus/cxl says."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, dax

GIB = 1 << 30


def test_memory_devices(fresh):
    assert cxl.memory_devices(fresh) == [cxl.MemoryDevice("mem0", 2, "0000:41:00.0", GIB, 0, "pci0000:40", True,
                                                          ("pci0000:40", "0000:40:00.0"), ("port1", "endpoint3")),
                                         cxl.MemoryDevice("mem1", 1, "0000:0d:00.0", GIB, 0, "pci0000:0c", True,
                                                          ("pci0000:0c", "0000:0c:00.0"), ("port2", "endpoint4"))]


def test_root_decoders(fresh):
    first, second = cxl.root_decoders(fresh)
    assert first == cxl.RootDecoder("decoder0.0", 0xa90000000, 4 * GIB, 1, 256, True, True, ("pci0000:0c",))
    assert second.bridges == ("pci0000:40",)


def test_no_regions_yet(fresh):
    assert cxl.regions(fresh) == []


def test_regions_of_a_provisioned_host(bound):
    first, second = cxl.regions(bound)
    assert first == cxl.Region("region0", "decoder0.0", "ram", 0xa90000000, GIB, 1, 256, ("mem1",), True, True, ("dax0.0",))
    assert (second.members, second.decoder, second.dax) == (("mem0",), "decoder0.1", ("dax1.0",))


def test_dax_devices(bound):
    assert dax.read_all(bound) == [dax.DaxDevice("dax0.0", "kmem", True, 1, ((0xa90000000, 0xacfffffff),)),
                                   dax.DaxDevice("dax1.0", "kmem", False, 2, ((0xb90000000, 0xbcfffffff),))]


def test_ranges_are_trimmed_to_whole_blocks():
    def blocks(*ranges):
        return dax.whole_blocks(dax.DaxDevice("dax0.0", None, None, 0, ranges), 128)
    assert blocks((0, 1023)) == (list(range(8)), 0)
    assert blocks((1, 1023)) == (list(range(1, 8)), 127)
    assert blocks((1, 254)) == ([], 254)
    assert blocks((0, 127), (300, 700)) == ([0, 3, 4], 128 + 401 - 3 * 128)
