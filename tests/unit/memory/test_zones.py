# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""/proc/zoneinfo, whole and damaged."""
from __future__ import annotations

from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import Zone, parse_zoneinfo

TEXT = """\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 12
      nr_free_cma  0
  pages free     3840
        boost    0
        min      8
        low      20
        high     31
        spanned  4095
        present  3998
        managed  3840
        cma      0
        protection: (0, 1800, 1800)
      nr_free_pages 3840
      nr_zone_inactive_anon 3
      nr_zone_inactive_file 40
      nr_zone_active_file 2
  pagesets
    cpu: 0
              count:    0
              high:     0
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone   Device
  pages free     0
        spanned  0
        present  0
        managed  0
Node 2, zone  Movable
  pages free     259587
        spanned  262144
        present  262144
        managed  258048
        cma      0
  start_pfn:           12124160
"""


def test_zones_with_pages():
    assert parse_zoneinfo(TEXT) == [
        Zone(0, "DMA", free=3840, spanned=4095, present=3998, managed=3840, start_pfn=1, low=20, high=31, cache=42),
        Zone(2, "Movable", free=259587, spanned=262144, present=262144, managed=258048, start_pfn=12124160)]


def test_nothing():
    assert parse_zoneinfo("") == []


@given(strategies.integers(0, len(TEXT)))
def test_a_text_cut_off_gives_only_whole_zones(place):
    for zone in parse_zoneinfo(TEXT[:place]):
        # the last number may be cut short
        assert zone._replace(start_pfn=0) in [whole._replace(start_pfn=0) for whole in parse_zoneinfo(TEXT)]


@given(strategies.text(alphabet="Node zine pagsfrt,:0123456789\n", max_size=200))
def test_any_text_is_read_without_a_fault(text):
    assert isinstance(parse_zoneinfo(text), list)
