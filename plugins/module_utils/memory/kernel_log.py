# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's log as /dev/kmsg gives it: what is a sign of trouble, and what offlining says of pages that stay.

Format: ``level,sequence,microseconds,flags;text`` with continuation lines that begin with a space (Documentation/ABI/testing/dev-kmsg, 6.1 to 7.3).
What services write there has another facility than the kernel's own lines, and is passed over.
"""
from __future__ import annotations

import collections
import re

KMSG = "/dev/kmsg"

# pfn: page frame number; kind: as far as the dump tells; reason: the kernel's words
Stuck = collections.namedtuple("Stuck", "pfn kind reason")

_RECORD = re.compile(r"^(\d+),\d+,\d+,[^;\n]*;(.*)$", re.MULTILINE)
_CRITICAL = 2
_TROUBLE = re.compile(r"WARNING: |BUG: |\bOops\b|general protection fault|soft lockup|hard LOCKUP|detected stalls|self-detected stall|blocked for more than"
                      r"|Kernel panic|Hardware Error|Memory failure: 0x|page allocation failure|out of memory: Killed|\bcorruption\b", re.IGNORECASE)
_ADDRESS = re.compile(r"\b(?:0x)?f{3}[0-9a-f]{13}\b", re.IGNORECASE)

# mm/debug.c:dump_page, mm/memory_hotplug.c:do_migrate_range and scan_movable_pages; the page type stands in the flags until 6.8
_PAGE = re.compile(r"^page: ?.* pfn:0x([0-9a-f]+)")
_TYPE = re.compile(r"^page_type: (?:0x)?[0-9a-f]+\((\w+)\)|^flags: 0x[0-9a-f]+\((slab)\|")
_REASON = re.compile(r"^page dumped because: (.*)")
_KINDS = {"slab": "slab", "table": "page table", "pgtable": "page table"}
UNMOVABLE = "unmovable page"
MIGRATION = "migration failure"


class Log(object):
    """The kernel's log from now on. Raises :class:`TestbedError` where it cannot be read. A context manager."""

    def __init__(self, host):
        self._file = host.follow(KMSG)
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._file.__exit__()

    def news(self):
        """Records since this was last called; ``seen`` holds all."""
        found = lines(self._file.news())
        self.seen += found
        return found


def lines(text):
    """``[(level, text), ...]`` of the kernel's own records."""
    found = [(int(priority), said) for priority, said in _RECORD.findall(text)]
    return [(priority & 7, said) for priority, said in found if priority >> 3 == 0]


def trouble(records):
    """The first line that tells of a warning, an oops, a lockup, a lack of memory or a memory error, free of kernel addresses, or ``None``."""
    for level, said in records:
        if level <= _CRITICAL or _TROUBLE.search(said):
            return without_addresses(said)[:200]
    return None


def without_addresses(line):
    """The line as it may be shown: kernel addresses are nobody's business."""
    return _ADDRESS.sub("[address]", line)


def stuck_pages(records):
    """:class:`Stuck` for each page that offlining could not move."""
    found, pfn, kind = [], None, None
    for unused, said in records:
        page, typed, reason = _PAGE.match(said), _TYPE.match(said), _REASON.match(said)
        if page:
            pfn, kind = int(page.group(1), 16), None
        elif typed:
            word = typed.group(1) or typed.group(2)
            kind = _KINDS.get(word, word)
        elif reason and pfn is not None:
            words = reason.group(1)
            if words in (UNMOVABLE, MIGRATION):
                found.append(Stuck(pfn, "pinned" if words == MIGRATION else kind or "kernel memory", words))
            pfn = None
    return found
