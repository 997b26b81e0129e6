# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the running kernel is, and whether it can keep the memmap of hot-added memory on that memory."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import btf, x86_64
from ansible_collections.memlab.testbed.plugins.module_utils.placement.geometry import Geometry
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import Kcore
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

OSRELEASE = "/proc/sys/kernel/osrelease"
PARAMETER = "/sys/module/memory_hotplug/parameters/memmap_on_memory"
DAX = "/sys/bus/dax/devices"

# dax/kmem asks for a self-hosted memmap, per device, from this release on (Documentation/ABI/testing/sysfs-bus-dax).
FIRST_WITH_KNOB = (6, 8)


def read_geometry(host, block_size, struct_page=None):
    """:class:`Geometry`. :arg struct_page: bytes, where a capture tells; else the kernel is asked."""
    return Geometry(x86_64.PAGE_SIZE, struct_page or _struct_page(host), block_size, _pageblock(host), host.read_optional(PARAMETER) == "force")


def _struct_page(host):
    """Bytes, from VMCOREINFO or from the kernel's type information, or ``None``: kernels are built without either."""
    try:
        with Kcore(host) as kcore:
            return kcore.vmcoreinfo.size("page") or btf.struct_page(host)
    except TestbedError:
        return btf.struct_page(host)


def _pageblock(host):
    """Pages per pageblock: a huge page where the kernel has those, else the largest buddy block (include/linux/pageblock-flags.h).

    /proc/pagetypeinfo says it outright, but walks every free list of the machine with interrupts off.
    """
    huge = host.exists("/sys/kernel/mm/hugepages/hugepages-2048kB") or (
        # Transparent huge pages alone suffice in the releases that have the knob, not in 6.1.
        host.exists("/sys/kernel/mm/transparent_hugepage") and version(host.read_optional(OSRELEASE)) >= FIRST_WITH_KNOB)
    return 512 if huge else 1024


def version(release):
    """``6.12.95-amd64`` -> ``(6, 12)``; ``(0, 0)`` for what is no kernel release."""
    found = re.match(r"(\d+)\.(\d+)", release or "")
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def describe(host, geometry):
    """The fact ``kernel``."""
    release = host.read_optional(OSRELEASE)
    parameter = host.read_optional(PARAMETER)
    supported, why_not = _supported(host, geometry, release, parameter)
    return {"release": release, "page_size": geometry.page_size, "struct_page_size": geometry.struct_page, "block_size": geometry.block_size,
            "memmap_per_block": geometry.memmap if geometry.struct_page else None,
            "memmap_on_memory": parameter, "supported": supported, "why_not": why_not}


def _supported(host, geometry, release, parameter):
    if parameter == "N":
        return False, "the kernel was booted without memory_hotplug.memmap_on_memory=1"
    return would_support(host, geometry, release, parameter)


def would_support(host, geometry, release, parameter):
    """Whether the boot parameter is all that a memmap on the device takes: ``(True, None)``, ``(False, why not)``, or ``(None, why it cannot be told)``.

    The conditions of mm/memory_hotplug.c: mhp_supports_memmap_on_memory, and whether dax/kmem asks for it at all.
    """
    if parameter is None:
        return False, "the kernel has no parameter memory_hotplug.memmap_on_memory (built without CONFIG_MHP_MEMMAP_ON_MEMORY)"
    devices = host.listdir(DAX)
    if devices and not any(host.exists("%s/%s/memmap_on_memory" % (DAX, name)) for name in devices):
        return False, "dax/kmem of this kernel never asks for it: its knob memmap_on_memory came with Linux %d.%d" % FIRST_WITH_KNOB
    if not devices and version(release) < FIRST_WITH_KNOB:
        # an older one can have been given the knob
        return None, "there is no dax device to show a knob memmap_on_memory, which came with Linux %d.%d" % FIRST_WITH_KNOB
    if not geometry.struct_page:
        return None, "the size of struct page is not known"
    if geometry.memmap % x86_64.PMD_SIZE:
        return False, "the memmap of a block is %s, not a multiple of %s" % (format_size(geometry.memmap), format_size(x86_64.PMD_SIZE))
    if not geometry.padded and geometry.reserved % geometry.pageblock:
        return False, "the memmap of a block is %d pages, not a multiple of a pageblock of %d" % (geometry.reserved, geometry.pageblock)
    if geometry.reserved >= geometry.pages:
        return False, "the memmap would fill the whole block"
    return True, None
