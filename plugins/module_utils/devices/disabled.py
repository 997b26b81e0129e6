# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Regions and namespaces that a step disables for its length, noted beside what is held (:mod:`holds`): the next run enables what a killed one has left.

Tools enable by kernel name. No note outlives a boot, and within one a name stands for the same thing as long as its address and size are the same.
"""
from __future__ import annotations

import contextlib
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, cxl_pmem, holds, namespace_dax, nvdimm, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


@contextlib.contextmanager
def noted(host, place):
    """Within, a region or namespace may be found disabled. Only under :func:`lock.exclusive`. Raises :class:`TestbedError`.

    :arg place: its directory, below :data:`nvdimm.BUS` or, for a region of persistent memory, :data:`cxl.BUS`.
    """
    holds.note(host, place, _identity(host, place), holds.DISABLED)
    try:
        yield
    finally:
        with signals.deferred():
            holds.note(host, place, None, None)


def restore_leftovers(host):
    """Enable what a run that was killed had left disabled; returns lines saying what. Raises :class:`TestbedError`, once for each: it is not tried again."""
    done = []
    for place, identity in holds.disabled(host).items():
        name = place.rpartition("/")[2]
        try:
            if host.exists(place) and _identity(host, place) == identity and not _is_enabled(host, place):
                _enable(host, place)
                done.append("%s enabled, left disabled by a run that was killed" % name)
        except TestbedError as exc:
            holds.note(host, place, None, None)
            raise TestbedError("%s was left disabled by a run that was killed, and cannot be enabled" % name, details=[exc.summary] + exc.details,
                               remedy="see the kernel log; where it need not be enabled, run again")
        holds.note(host, place, None, None)
    return done


def _identity(host, place):
    return "%s %s" % (host.read_optional(place + "/resource"), host.read_optional(place + "/size"))


def _is_enabled(host, place):
    """What claims a namespace has the driver in its place, see :func:`nvdimm.namespaces`."""
    return host.exists(place + "/driver") or any(entry.enabled for entry in nvdimm.namespaces(host) if place == "%s/%s" % (nvdimm.BUS, entry.name))


def _enable(host, place):
    """With the namespaces that come with it, whose dax devices never go to kmem."""
    name, is_cxl = place.rpartition("/")[2], place.startswith(cxl.BUS)
    with namespace_dax.held(host):
        idle = namespace_dax.idle(host)
        host.run(["cxl" if is_cxl else "ndctl", "enable-" + re.match("[a-z]+", name).group(), name])
        cxl_pmem.settle(host, _nvdimm_region(host, name) if is_cxl else name)
        namespace_dax.hand_over(host, idle)


def _nvdimm_region(host, name):
    """What comes of a CXL region: the kernel makes it in its own time."""
    region = next(region for region in cxl.regions(host) if region.name == name)

    def up():
        found = cxl_pmem.nvdimm_region(host, region)
        return found.name if found is not None and found.enabled else None
    return host.wait_until(up, "NVDIMM region of %s" % name)
