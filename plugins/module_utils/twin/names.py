# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is called as a guest: as it is called, where a testbed file can have that name."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.testbed_file import GUEST_NAME, RESERVED
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def guest_names(hosts):
    """``{host: guest}``. Raises :class:`TestbedError` where two hosts would have one guest."""
    found = {}
    for host in hosts:
        name = _name(host)
        for other, taken in found.items():
            if taken == name:
                raise TestbedError("hosts %.60s and %.60s would both be guest %s" % (other, host, name) if other != host
                                   else "host %.60s is there twice" % host, remedy="give each host a name of its own")
        found[host] = name
    return found


def _name(host):
    if re.fullmatch(GUEST_NAME, host) and host not in RESERVED:
        return host
    name = re.sub(r"[.]+", ".", re.sub(r"[^a-z0-9_.-]", "-", host.lower())).strip(".")
    return name if re.fullmatch(GUEST_NAME, name) and name not in RESERVED else "host-" + name if name else "host"
