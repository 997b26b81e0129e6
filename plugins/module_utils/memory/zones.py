# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Zones of each node, from /proc/zoneinfo (kernel: mm/vmstat.c: zoneinfo_show_print, 6.1 to 7.3)."""
from __future__ import annotations

import collections
import re

ZONEINFO = "/proc/zoneinfo"

# All in pages; start_pfn is a page frame number. present: pages with a struct page that exist; managed: those the page allocator was given.
Zone = collections.namedtuple("Zone", ("node", "name", "free", "spanned", "present", "managed", "start_pfn"))

_HEAD = re.compile(r"^Node (\d+), zone +(\S+)$")
_COUNT = re.compile(r"^ +(?:pages )?(free|spanned|present|managed|start_pfn):? +(\d+)$")


def read_zones(host):
    """List of every :class:`Zone` with pages. Raises :class:`TestbedError` when the file cannot be read."""
    return parse_zoneinfo(host.read(ZONEINFO))


def parse_zoneinfo(text):
    """Text of /proc/zoneinfo -> list of :class:`Zone`; zones without pages are left out, as are zones cut off in the middle."""
    zones = []
    head, counts = None, {}
    for line in text.splitlines() + ["Node 0, zone end"]:
        found = _HEAD.match(line)
        if found:
            if head is not None and counts.get("present") and len(counts) == 5:
                zones.append(Zone(head[0], head[1], **counts))
            head, counts = (int(found.group(1)), found.group(2)), {}
            continue
        found = _COUNT.match(line)
        # Per-cpu lists further down do not repeat these names, statistics of the zone do not match them.
        if found and found.group(1) not in counts:
            counts[found.group(1)] = int(found.group(2))
    return zones
