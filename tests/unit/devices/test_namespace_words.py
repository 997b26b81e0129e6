# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A name that one step takes is a name for all of them."""
from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration, lookup, namespaces
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import NdHost

NAME = st.one_of(st.text(max_size=70), st.from_regex(r"(namespace|dax|pmem|region|nmem|store)[0-9.]*", fullmatch=True), st.uuids().map(str),
                 st.uuids().map(lambda found: found.hex), st.text(" x\n\u00a0\u00e0\ud800", max_size=3))


@pytest.fixture(name="pmem")
def booted(tmp_path):
    return NdHost(tmp_path)


def test_a_name_that_can_be_declared_can_be_made_and_found(pmem):
    @settings(suppress_health_check=list(HealthCheck), max_examples=200)
    @given(NAME, st.sampled_from(["raw", "sector", "fsdax", "devdax"]), st.sets(st.sampled_from(["map", "align", "sector_size"])))
    def each(name, mode, said):
        namespace = dict({"name": name, "mode": mode}, **{key: {"map": "mem", "align": "2M", "sector_size": "512"}[key] for key in said})

        def declare():
            declaration.parse([{"nvdimms": ["0x1"], "namespace": namespace}])

        def make():
            namespaces.apply(pmem, [dict(namespace, nvdimms=["0x1"], state="present", size="512M")], check_mode=True)
        assert taken(declare) == taken(make)
        if taken(declare):
            lookup.Inventory(pmem).dax_region({"namespace": name}, may_be_missing=True)
    each()


def taken(step):
    try:
        step()
    except TestbedError:
        return False
    return True
