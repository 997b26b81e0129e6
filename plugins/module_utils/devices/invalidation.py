# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the kernel can invalidate the processors' caches, without which it commits no region (ENXIO).

On x86 it can unless the processor says that it is virtual; other architectures cannot, or need a driver (arch/x86/mm/pat/set_memory.c:
cpu_cache_has_invalidate_memregion, drivers/cxl/core/region.c:cxl_region_invalidate_memregion, 6.3 to 7.3).
"""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

OPTION = "CONFIG_CXL_REGION_INVALIDATION_TEST"
VIRTUAL = ("the processor says it is virtual (hypervisor bit), and then the kernel will not invalidate CPU caches, so it refuses to commit: "
           "hide the bit (QEMU: -cpu max,-hypervisor) or use a kernel with %s" % OPTION)


def check(host):
    """Refuse beforehand where it is known that the kernel will: under a hypervisor bit, with a kernel whose configuration lacks the exception."""
    if not under_hypervisor(host):
        return
    name = "/boot/config-%s" % dax.release(host)
    configuration = host.read_optional(name)
    if configuration and not re.search("^%s=y" % OPTION, configuration, re.MULTILINE):
        raise TestbedError("no CXL region can be made here", ["%s is not set in %s" % (OPTION, name)], VIRTUAL, lasting=True)


def reason(host):
    """What to say of a commit that was refused; ``None`` where caches are not the reason."""
    if under_hypervisor(host):
        return VIRTUAL
    if _flags(host) is None:
        return ("this architecture's kernel may not be able to invalidate CPU caches, and then refuses to commit: "
                "see its log for \"Failed to synchronize CPU cache state\"")
    return None


def under_hypervisor(host):
    """Whether the processor has the HYPERVISOR bit of x86 (CPUID 1, ECX 31)."""
    return "hypervisor" in (_flags(host) or [])


def _flags(host):
    """The processor's features, ``None`` where /proc/cpuinfo has no line of them as x86 has."""
    for line in (host.read_optional("/proc/cpuinfo") or "").splitlines():
        if line.startswith("flags"):
            return line.split()
    return None
