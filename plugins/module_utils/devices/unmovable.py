# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeps a memory block from going offline: the pages in it that cannot be moved.

``memoryN/removable`` is no help: it reads 1 for every block since 5.8. Three witnesses are: /proc/kpageflags says what every page is, the kernel's log
which page offlining gave up at (mm/page_isolation.c, mm/memory_hotplug.c), the kernel's page tables whose memmap lies there.
"""
from __future__ import annotations

import collections
import contextlib
import struct
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size, read_blocks
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel, page_tables, x86_64
from ansible_collections.memlab.testbed.plugins.module_utils.placement.page_flags import KPAGEFLAGS, MARKERS

# Seconds that a scan may take: it reads one word for each page, 256 KiB of a block of 128 MiB, which takes milliseconds.
BUDGET = 10.0

# include/uapi/linux/kernel-page-flags.h; the first that fits says what a page is
_KINDS = ((1 << 7, "slab"), (1 << 26, "page table"), (1 << 19, "poisoned"))
# free or absent; of a file, a process or hugetlb, all of which are moved; offline by a balloon
_HARMLESS = sum(1 << bit for bit in (5, 10, 11, 12, 17, 20, 23, 24, 30))
_SHAPE = 1 << 15 | 1 << 16 | 1 << 22  # head, tail, of a huge page: says nothing of its use
KERNEL = "kernel memory"


def kind(word):
    """What a page is by its word in /proc/kpageflags, where it is one that is not moved, or ``None``."""
    for flag, name in _KINDS:
        if word & flag:
            return name
    if word in MARKERS or word & _HARMLESS:
        return None
    # in use, and neither anybody's cache nor anybody's memory
    return KERNEL if word & ~_SHAPE == 0 else None


def scan(host, ids, pages):
    """``({block id: {kind: pages}}, ids that were not looked at)``, the first of the blocks in which /proc/kpageflags shows such pages.

    The second are those that :data:`BUDGET` seconds did not reach, the last of ``ids``, and those where the file cannot be read.

    :arg pages: per block. Free pages that a processor keeps for itself look like kernel memory until offlining takes them from it.
    """
    found, left, deadline = {}, list(ids), time.monotonic() + BUDGET
    with contextlib.suppress(OSError), host.open_binary(KPAGEFLAGS) as stream:
        while left and time.monotonic() < deadline:
            data = stream.read_at(left[0] * pages * 8, pages * 8)
            kinds = collections.Counter()
            for word, count in collections.Counter(struct.unpack("<%dQ" % (len(data) // 8), data[:len(data) // 8 * 8])).items():
                name = kind(word)
                if name:
                    kinds[name] += count
            number = left.pop(0)
            if kinds:
                found[number] = dict(kinds)
    return found, left


def memmaps(host, ids):
    """``{block id: [other blocks whose memmap lies in it]}``; ``{}`` where the kernel's page tables cannot be read (lockdown, other architectures)."""
    size = block_size(host)
    try:
        blocks = read_blocks(host)
        geometry = kernel.read_geometry(host, size)
        if not geometry.struct_page:
            return {}
        located = page_tables.locate(blocks, page_tables.read_leaves(host, list(blocks), size).leaves, geometry)
    except TestbedError:
        return {}
    found, wanted = {}, frozenset(ids)
    for number, location in located.items():
        for address, length in location.runs:
            for home in range(address // size, (address + length - 1) // size + 1):
                if home in wanted and home != number:
                    found.setdefault(home, []).append(number)
    return found


def report(host, refused, others, records):
    """``(what is known of the blocks that are to go offline, ids of those whose pages were not looked at)``, see :func:`scan`.

    The first is a list of dicts ``id``, ``pages`` (kind -> number), ``memmap_of``, ``at``, ``said``.

    :arg refused: id of the block that did not, ``None`` where none was tried. :arg others: ids of those that would be next.
    :arg records: the kernel's log since the call began. A block without such pages is left out, except the one that refused.
    """
    size = block_size(host)
    ids = ([] if refused is None else [refused]) + [number for number in others if number != refused]
    pages, unscanned = scan(host, ids, size // x86_64.PAGE_SIZE)
    hosted = memmaps(host, ids)
    stuck = {}
    for page in kernel_log.stuck_pages(records):
        stuck[page.pfn * x86_64.PAGE_SIZE // size] = page
    found = []
    for number in ids:
        page = stuck.get(number)
        if number in pages or number in hosted or page or number == refused:
            found.append({"id": number, "pages": pages.get(number, {}), "memmap_of": hosted.get(number, []),
                          "at": "%#x" % (page.pfn * x86_64.PAGE_SIZE) if page else None, "said": "%s (%s)" % (page.reason, page.kind) if page else None})
    return found, unscanned


def sentence(entry):
    """One line of :func:`report` for a reader."""
    parts = ["%d pages of %s" % (count, name) for name, count in sorted(entry["pages"].items())]
    if entry["memmap_of"]:
        parts.append("the memmap of memory blocks %s" % ", ".join("%d" % first if first == last else "%d to %d" % (first, last)
                                                                  for first, last in page_tables.runs(entry["memmap_of"])))
    if entry["said"]:
        parts.append("the kernel gave up at %s: %s" % (entry["at"], entry["said"]))
    return "memory block %d holds %s" % (entry["id"], "; ".join(parts) or "nothing that could be recognised as unmovable")
