# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""New dax devices of namespaces go to device_dax, and never to kmem.

kmem may have a device's name on the list of those that it takes, left there by ``daxctl`` or by hand for one that is gone, and would make memory of what the
namespace holds. So the bus's autoprobe is off while namespaces come, and they are bound here.
"""
from __future__ import annotations

import contextlib

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, holds, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def held(host):
    """Context manager: within, no driver takes a new dax device by itself. Without the bus there is no list of names yet."""
    return holds.autoprobe_off(host) if host.exists(holds.AUTOPROBE) else contextlib.nullcontext()


def idle(host):
    """Names of namespaces' dax devices that no driver has."""
    return [entry.device for entry in nvdimm.namespaces(host)
            if entry.mode == "devdax" and entry.device and host.link_name("%s/devices/%s/driver" % (dax.BUS, entry.device)) is None]


def hand_over(host, before):
    """Give device_dax what has come since. :arg before: what :func:`idle` said then."""
    for name in [name for name in idle(host) if name not in before]:
        with contextlib.suppress(TestbedError):  # it stays without a driver, as it would where the kernel binds it
            dax.bind(host, name, "device_dax")
