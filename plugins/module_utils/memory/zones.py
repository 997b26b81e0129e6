# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Zones of each node, from /proc/zoneinfo (kernel: mm/vmstat.c: zoneinfo_show_print, 6.1 to 7.3)."""
from __future__ import annotations

import collections
import re

ZONEINFO = "/proc/zoneinfo"

# All in pages; start_pfn is a page frame number. low, high: watermarks of the page allocator; present: pages with a struct page that exist; managed: those
# the page allocator was given; cache: those of files.
Zone = collections.namedtuple("Zone", "node name free spanned present managed start_pfn low high cache", defaults=(0, 0, 0))

_HEAD = re.compile(r"^Node (\d+), zone +(\S+)$")
_NAMES = ("free", "spanned", "present", "managed", "low", "high", "nr_zone_inactive_file", "nr_zone_active_file")
_END = "start_pfn:"
_COUNT = re.compile(r"^ +(?:pages )?(%s|%s) +(\d+)$" % ("|".join(_NAMES), _END))


def read_zones(host):
    """List of every :class:`Zone` with pages. Raises :class:`TestbedError` when the file cannot be read."""
    return parse_zoneinfo(host.read(ZONEINFO))


def parse_zoneinfo(text):
    """Text of /proc/zoneinfo -> list of :class:`Zone`; zones without pages are left out, as are zones cut off in the middle."""
    zones = []
    head, counts = None, {}
    for line in text.splitlines():
        found = _HEAD.match(line)
        if found:
            head, counts = (int(found.group(1)), found.group(2)), {}
            continue
        found = _COUNT.match(line)
        if not found or head is None:
            continue
        # the first of a name is the zone's own
        counts.setdefault(found.group(1), int(found.group(2)))
        if found.group(1) == _END and counts.get("present"):
            zones.append(_zone(head, counts))
    return zones


def _zone(head, counts):
    free, spanned, present, managed, low, high, inactive, active = [counts.get(name, 0) for name in _NAMES]
    return Zone(head[0], head[1], free, spanned, present, managed, counts[_END], low, high, inactive + active)
