# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's running kernel was configured with, and which of its modules are loaded."""
from __future__ import annotations

import zlib

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def configuration(host):
    """``release``, ``content`` (the configuration's text) and ``modules`` (names, one a line). Raises :class:`TestbedError`."""
    release = host.read("/proc/sys/kernel/osrelease")
    content = host.read_optional("/boot/config-" + release)
    if content is None and host.exists("/proc/config.gz"):
        try:
            content = zlib.decompress(host.read_bytes("/proc/config.gz"), 47).decode("utf-8", "replace").rstrip("\n")
        except zlib.error as exc:
            raise TestbedError("/proc/config.gz cannot be unpacked: %s" % exc)
    if content is None:
        raise TestbedError("the configuration of the running kernel %s is not to be found" % release,
                           remedy="neither /boot/config-%s nor /proc/config.gz is there; give a configuration file" % release)
    # in an order of their own, and without what changes while nothing is loaded: sizes and use counts
    modules = sorted(line.split()[0] for line in (host.read_optional("/proc/modules") or "").splitlines() if line.strip())
    return {"release": release, "content": content + "\n", "modules": "".join("%s\n" % name for name in modules)}
