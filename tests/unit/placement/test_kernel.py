# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a kernel can keep a memmap on its own memory, and why not."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry

GEOMETRY = Geometry(4096, 64, 128 << 20, 512, False)


@pytest.fixture(name="kernel_of")
def make_kernel(tmp_path):
    def make(release="6.12.95", parameter="Y", dax=None, huge=True):
        for name, text in (("proc/sys/kernel/osrelease", release), ("sys/module/memory_hotplug/parameters/memmap_on_memory", parameter)):
            if text is not None:
                (tmp_path / name).parent.mkdir(parents=True)
                (tmp_path / name).write_text(text + "\n")
        if dax is not None:
            (tmp_path / "sys/bus/dax/devices/dax0.0").mkdir(parents=True)
            if dax:
                (tmp_path / "sys/bus/dax/devices/dax0.0/memmap_on_memory").write_text("0\n")
        (tmp_path / ("sys/kernel/mm/" + ("hugepages/hugepages-2048kB" if huge else "transparent_hugepage"))).mkdir(parents=True)
        return Host(str(tmp_path))
    return make


@pytest.mark.parametrize("options, geometry, words", [
    ({"parameter": None}, GEOMETRY, "CONFIG_MHP_MEMMAP_ON_MEMORY"),
    ({"parameter": "N"}, GEOMETRY, "booted without"),
    ({"release": "6.1.0", "dax": False}, GEOMETRY, "never asks"),
    ({"dax": False}, GEOMETRY, "never asks"),
    ({}, GEOMETRY._replace(struct_page=56), "not a multiple of 2M"),
    ({}, GEOMETRY._replace(pageblock=1024), "not a multiple of a pageblock of 1024"),
    ({}, GEOMETRY._replace(struct_page=4096), "fill the whole block")])
def test_why_not(kernel_of, options, geometry, words):
    facts = kernel.describe(kernel_of(**options), geometry)
    assert facts["supported"] is False and words in facts["why_not"]


@pytest.mark.parametrize("options, geometry", [
    ({}, GEOMETRY), ({"parameter": "force"}, GEOMETRY), ({"release": "6.1.0", "dax": True}, GEOMETRY), ({"release": "7.3.4", "dax": True}, GEOMETRY),
    ({}, GEOMETRY._replace(block_size=2 << 30)), ({}, GEOMETRY._replace(pageblock=1024, padded=True))])
def test_why(kernel_of, options, geometry):
    facts = kernel.describe(kernel_of(**options), geometry)
    assert (facts["supported"], facts["why_not"]) == (True, None)


def test_an_older_kernel_can_have_been_given_the_knob(kernel_of):
    facts = kernel.describe(kernel_of(release="6.1.0"), GEOMETRY)
    assert facts["supported"] is None and "no dax device to show a knob" in facts["why_not"]


def test_supported_cannot_be_told_without_the_size_of_struct_page(kernel_of):
    facts = kernel.describe(kernel_of(), GEOMETRY._replace(struct_page=None))
    assert (facts["supported"], facts["why_not"], facts["memmap_per_block"]) == (None, "the size of struct page is not known", None)


@pytest.mark.parametrize("release, huge, pages", [("6.12.1", True, 512), ("6.12.1", False, 512), ("6.1.0", True, 512), ("6.1.0", False, 1024)])
def test_pageblock(kernel_of, release, huge, pages):
    assert kernel.read_geometry(kernel_of(release, huge=huge), 128 << 20).pageblock == pages


def test_geometry_of_a_machine_that_tells_nothing(tmp_path):
    assert kernel.read_geometry(Host(str(tmp_path)), 128 << 20) == Geometry(4096, None, 128 << 20, 1024, False)


@pytest.mark.parametrize("release, version", [("6.12.95-amd64", (6, 12)), ("7.3", (7, 3)), ("", (0, 0)), (None, (0, 0)), ("next", (0, 0))])
def test_version(release, version):
    assert kernel.version(release) == version


@given(strategies.sampled_from([27, 28, 29, 30, 31]), strategies.sampled_from([56, 64, 80, 96]))
def test_reserved_pages_hold_the_memmap_and_little_more(shift, struct_page):
    geometry = Geometry(4096, struct_page, 1 << shift, 512, False)
    assert geometry.memmap <= geometry.reserved * 4096 < geometry.memmap + 4096
    padded = geometry._replace(padded=True)
    assert padded.reserved % 512 == 0 and geometry.reserved <= padded.reserved < geometry.reserved + 512
