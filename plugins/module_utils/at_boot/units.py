# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files that make the service, as text.

Measured on Debian's 6.12: kmem is loaded by udev, by the alias ``dax:t0*`` that each dax device carries, and takes every device the moment both are there.
Its initramfs (initramfs-tools, MODULES=most) holds neither dax, nor CXL, nor NVDIMM drivers. So memory is kept from kmem in two ways: modprobe does not
load kmem for an alias, and the dax bus binds nothing by itself until the service has done its work. Loading kmem by name, as the service does, still works.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import declared_file, hold
from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds

PROGRAM = "/usr/local/lib/memlab/memory-at-boot.pyz"
MODPROBE = "/etc/modprobe.d/memlab-memory.conf"
SYSTEM = "/etc/systemd/system"
SERVICE, HOLD = hold.SERVICE, "memlab-memory-hold.service"
# Unit and the target that wants it.
WANTED = {SERVICE: "multi-user.target", HOLD: "sysinit.target"}

# What the program is told when it is run after itself, see service.ended.
ENDED = "--ended"
# Seconds for the service to put things right after its time is over.
STOPPING = 60

_MINE = "# Written by memlab.testbed.memory_boot_service; it owns this file.\n"


def modprobe():
    """Of kmem only its aliases are taken away (modprobe.d(5)): no event loads it, whoever names it does."""
    return _MINE + "blacklist kmem\n"


def hold_unit():
    """Before udev asks the kernel for events about the devices there are, so before a driver of CXL or NVDIMM devices is loaded."""
    return _MINE + """\
[Unit]
Description=Keep dax devices from their drivers until declared memory is set up
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target sysinit.target systemd-udevd.service systemd-udev-trigger.service
ConditionPathExists=%(autoprobe)s

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=90
ExecStart=/bin/sh -c 'mkdir -p -m 0700 %(directory)s && cat %(autoprobe)s > %(mark)s && echo 0 > %(autoprobe)s'

[Install]
WantedBy=%(target)s
""" % {"autoprobe": holds.AUTOPROBE, "directory": hold.MARK.rpartition("/")[0], "mark": hold.MARK, "target": WANTED[HOLD]}


def service_unit(python, timeout):
    """Nothing waits for it but its target, and that for at most ``timeout`` seconds and those for stopping."""
    return _MINE + """\
[Unit]
Description=Memory devices as declared in %(declaration)s
After=%(hold)s

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%(python)s -I -S %(program)s
ExecStopPost=%(python)s -I -S %(program)s %(ended)s
TimeoutStartSec=%(timeout)d
TimeoutStopSec=%(stopping)d

[Install]
WantedBy=%(target)s
""" % {"declaration": declared_file.PATH, "hold": HOLD, "python": python, "program": PROGRAM, "ended": ENDED, "timeout": timeout, "stopping": STOPPING,
       "target": WANTED[SERVICE]}
