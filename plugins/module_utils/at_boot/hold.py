# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keeps memory from kmem between early boot and the service: the dax bus does not bind new devices by itself, and says what it did before.

A unit that runs before udev's first events sets this; see :mod:`units`.
"""
from __future__ import annotations

import contextlib
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, holds, lock
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

# What drivers_autoprobe was, for as long as the hold lasts.
MARK = lock.DIRECTORY + "/at-boot"
# The unit that ends the hold.
SERVICE = "memlab-memory.service"


def take(host):
    """Hold from now on, where early boot does not already: the service was started again. Only under :func:`lock.exclusive`. Raises :class:`TestbedError`."""
    if host.exists(MARK) or not host.exists(holds.AUTOPROBE):
        return
    try:
        with open(host.path(MARK), "w", encoding="ascii") as stream:
            stream.write(host.read(holds.AUTOPROBE) + "\n")
        host.write(holds.AUTOPROBE, "0")
    except OSError as exc:
        raise TestbedError("cannot hold %s at 0 (%s)" % (holds.AUTOPROBE, errno_name(exc.errno)))


def pass_on(host):
    """Give namespaces' dax devices that the hold has kept from their driver to it: device_dax, the only one that takes them by itself, makes no memory of them.

    Kernel: drivers/dax/bus.c:dax_match_type, 6.12 to 7.3. Devices of CXL and soft-reserved memory would go to kmem, and stay.
    """
    if not host.exists(MARK) or not host.exists(dax.BUS + "/drivers/device_dax"):
        return
    for name in host.listdir(dax.BUS + "/devices"):
        place = "%s/devices/%s" % (dax.BUS, name)
        if host.link_name(place + "/driver") is None and re.search(r"/ndbus[0-9]+/", host.resolve(place)):
            # one that the driver refuses stays without, as it does where nobody holds anything
            with contextlib.suppress(TestbedError):
                dax.bind(host, name, "device_dax")


def end_abandoned(host):
    """End the hold of a service that is neither at work nor still to come: it is masked, or its interpreter is gone, which ``ExecStopPost`` needs, too.

    Returns lines as :func:`holds.restore_leftovers`. Only under :func:`lock.exclusive`. Raises :class:`TestbedError`, where systemd cannot be asked as well.
    """
    if not host.exists(MARK):
        return []
    # systemd queues the jobs of a boot all at once, so a service that is still to come has one (org.freedesktop.systemd1(5): Job)
    shown = host.run(["systemctl", "show", "--property=ActiveState,Job", SERVICE])
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    if found.get("ActiveState") not in ("inactive", "failed", "active") or found.get("Job", "0") not in ("", "0"):
        return []
    pass_on(host)
    release(host)
    return ["the hold on %s since early boot is ended, as %s had not" % (holds.AUTOPROBE, SERVICE)]


def release(host):
    """End the hold, where there is one. Raises :class:`TestbedError`."""
    before = host.read_optional(MARK)
    if before is None:
        return False
    try:
        if before in ("0", "1") and host.exists(holds.AUTOPROBE):
            host.write(holds.AUTOPROBE, before)
    except OSError as exc:
        raise TestbedError("cannot set %s to %s (%s)" % (holds.AUTOPROBE, before, errno_name(exc.errno)))
    _forget(host)
    return True


def hand_over(host):
    """Leave the hold as it is, in the care of the next run of a module, which ends what it finds noted. True where there was one."""
    before = host.read_optional(MARK)
    if before is None:
        return False
    if before == "1":
        holds.note(host, holds.AUTOPROBE, before, "0")
    _forget(host)
    return before == "1"


def _forget(host):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(host.path(MARK))
