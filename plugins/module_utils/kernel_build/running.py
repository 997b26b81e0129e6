# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's running kernel was configured with, and which of its modules are loaded."""
from __future__ import annotations

import zlib

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def configuration(host):
    """``release``, ``content`` (the configuration's text) and ``modules`` (as lsmod(8) prints them). Raises :class:`TestbedError`."""
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
    lines = ["Module Size Used by"]
    for line in (host.read_optional("/proc/modules") or "").splitlines():
        words = line.split()
        if len(words) >= 4:
            lines.append("%s %s %s %s" % (words[0], words[1], words[2], words[3].strip("-,")))
    return {"release": release, "content": content + "\n", "modules": "\n".join(lines) + "\n"}
