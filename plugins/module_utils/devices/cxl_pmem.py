# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a persistent CXL region to what libnvdimm makes of it: an NVDIMM region of its own, and namespaces in that.

Both are called ``regionN``, each bus with numbers of its own. They are matched by the physical address at which they start
(drivers/cxl/pmem.c:cxl_pmem_region_probe registers the NVDIMM region for exactly the CXL region's range, 6.0 to 7.3).
"""
from __future__ import annotations

import collections
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

BUS = "/sys/bus/nd/devices"

# kernel's name on the nd bus; bytes; bytes in no namespace; True once its driver has it
NvdimmRegion = collections.namedtuple("NvdimmRegion", "name size available enabled")
# kernel's name; the label's name or None; uuid or None; bytes
Namespace = collections.namedtuple("Namespace", "name label uuid size")


def nvdimm_region(host, region):
    """The :class:`NvdimmRegion` of a :class:`cxl.Region`, ``None`` while there is none."""
    if region.start is None:
        return None
    for name in host.listdir(BUS):
        base = "%s/%s" % (BUS, name)
        if re.fullmatch("region[0-9]+", name) and _number(host, base + "/resource") == region.start:
            return NvdimmRegion(name, _number(host, base + "/size") or 0, _number(host, base + "/available_size") or 0,
                                host.link_target(base + "/driver") is not None)
    return None


def settle(host, name):
    """Wait until a new region has its namespaces, and one of these its device: either has its driver before (drivers/nvdimm/bus.c:wait_probe_show, 6.1 to 7.3).

    :arg name: of any device on the nd bus.
    """
    host.read(re.match(".*/ndbus[0-9]+/", host.resolve("%s/%s" % (BUS, name))).group() + "wait_probe")


def namespaces(host, region):
    """The namespaces of a :class:`NvdimmRegion`; the kernel's seed for the next one has no size and is not among them."""
    found = []
    for name in host.listdir(BUS):
        base = "%s/%s" % (BUS, name)
        if re.fullmatch(r"namespace[0-9]+\.[0-9]+", name) and _parent(host, name) == region.name:
            size = _number(host, base + "/size")
            if size:
                found.append(Namespace(name, host.read_optional(base + "/alt_name") or None, host.read_optional(base + "/uuid") or None, size))
    return found


def dax_devices(host, region):
    """Names of the dax devices that namespaces of a :class:`NvdimmRegion` are used as."""
    place = host.resolve("%s/%s" % (BUS, region.name))
    return [name for name in host.listdir(dax.BUS + "/devices") if host.resolve("%s/devices/%s" % (dax.BUS, name)).startswith(place + "/")]


def describe(namespace):
    """A namespace in words that do not depend on kernel numbering."""
    return 'namespace "%s"' % namespace.label if namespace.label else "namespace %s" % (namespace.uuid or "without label")


def load_drivers(host):
    """Have the drivers loaded that make namespaces of a region. Those that a kernel has built in or lacks are passed over: what comes of it is looked at."""
    for module in ("cxl_pmem", "nd_pmem", "nd_btt", "dax_pmem", "device_dax"):
        try:
            host.run(["modprobe", "-q", module])
        except TestbedError:
            continue


def _parent(host, name):
    return (host.link_target("%s/%s" % (BUS, name)) or "").split("/")[-2:][0]


def _number(host, name):
    try:
        return int(host.read_optional(name) or "", 0)
    except ValueError:
        return None
