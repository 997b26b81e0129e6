# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What brings a host back from a boot on trial when nobody is there: boot parameters, a watchdog that the initramfs starts, and a limit of time.

A panic is left by ``panic=``. A kernel that hangs, from its initramfs on, starves the watchdog; systemd feeds it once it runs. A system that comes up and
that nobody confirms is rebooted by a timer. All of it acts in a boot with the parameter :data:`PARAMETER` only.
"""
from __future__ import annotations

import fnmatch
import posixpath
import re

from ansible_collections.memlab.testbed.plugins.module_utils.boot import files

PARAMETER = "memlab.trial"
# For what leaves a kernel's timers running.
SOFT = "softdog"
# What HOOK needs of the package whose mkinitramfs runs it.
_FUNCTIONS = "/usr/share/initramfs-tools/hook-functions"
HOOK = "/etc/initramfs-tools/hooks/memlab-trial"
SCRIPT = "/etc/initramfs-tools/scripts/init-top/memlab-trial"
FEEDER = "/etc/systemd/system.conf.d/90-memlab-trial.conf"
UNITS = "/etc/systemd/system"
TIMER, SERVICE = "memlab-trial.timer", "memlab-trial.service"

_HOOK = """\
#!/bin/sh
# Written by memlab.testbed: drivers of the watchdog that guards a kernel on trial.
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules %s
"""

# The driver takes its own name for the seconds; the kernel passes over the others.
_SCRIPT = """\
#!/bin/sh
# Written by memlab.testbed: starts the watchdog of a boot on trial before anything else can hang.
[ "$1" != prereqs ] || exit 0
for word in $(cat /proc/cmdline); do
  case "$word" in %(parameter)s=*) seconds="${word#*=}" ;; esac
done
[ -n "$seconds" ] || exit 0
for driver in %(drivers)s; do
  modprobe -q "$driver" heartbeat="$seconds" timeout="$seconds" soft_margin="$seconds" || :
done
# Where this kernel has none of them.
[ -c /dev/watchdog ] || modprobe -q %(soft)s soft_margin="$seconds" || :
# Closed without the letter V, it goes on.
[ ! -c /dev/watchdog ] || echo > /dev/watchdog
"""

_FEEDER = "# Written by memlab.testbed for a kernel on trial: systemd goes on feeding the watchdog.\n[Manager]\nRuntimeWatchdogSec=%d\n"

_TIMER = """\
[Unit]
Description=Limit of time for a kernel on trial
ConditionKernelCommandLine=%s
DefaultDependencies=no

[Timer]
OnBootSec=%d
AccuracySec=1
"""

_SERVICE = """\
[Unit]
Description=Return from a kernel on trial that nobody has confirmed
ConditionKernelCommandLine=%s
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=systemctl --force reboot
"""


def drivers(host, release):
    """Names of the watchdog drivers of this machine: the one that has a watchdog now, and those whose aliases a device has; softdog where there is none.

    :arg release: the running kernel's, whose modules.dep and modules.alias are read. softdog needs a kernel that still serves its timers.
    """
    found = []
    for name in host.listdir("/sys/class/watchdog"):
        module = host.link_name("/sys/class/watchdog/%s/device/driver/module" % name)
        if module and module not in found:
            found.append(module)
    if not found:
        directory = "/lib/modules/" + release
        dependencies = (host.read_optional(directory + "/modules.dep") or "").splitlines()
        known = {_module(line.partition(":")[0]) for line in dependencies if "/drivers/watchdog/" in line}
        buses = ["/sys/bus/%s/devices" % name for name in ("pci", "acpi", "platform")]
        there = [host.read_optional("%s/%s/modalias" % (bus, device)) or "" for bus in buses for device in host.listdir(bus)]
        for line in (host.read_optional(directory + "/modules.alias") or "").splitlines():
            words = line.split()
            if len(words) == 3 and words[2] in known and words[2] not in found and any(fnmatch.fnmatchcase(alias, words[1]) for alias in there if alias):
                found.append(words[2])
    return found or [SOFT]


def of_kernel(host, names, release):
    """(those of ``names`` that an installed kernel has, softdog where it has none of them, or nothing; those of them that are built in)."""
    found = {}
    for place, ending in (("modules.dep", ":"), ("modules.builtin", "\n")):
        text = host.read_optional("/lib/modules/%s/%s" % (release, place)) or ""
        found[place] = {_module(line.partition(ending)[0]) for line in text.splitlines()}
    there = [name for name in names if name in found["modules.dep"] | found["modules.builtin"]]
    if not there and SOFT in found["modules.dep"] | found["modules.builtin"]:
        there = [SOFT]
    return there, [name for name in there if name in found["modules.builtin"]]


def lacks(host, there, names, release):
    """What of the early watchdog is not to be had with an installed kernel, one line each. :arg there: as :func:`of_kernel` returns them."""
    found = []
    if not there:
        found.append("kernel %s has no driver of a watchdog (%s): what hangs in it does not come back by itself" % (
            release, ", ".join(dict.fromkeys(list(names) + [SOFT]))))
    elif not host.exists(_FUNCTIONS):
        found.append("no initramfs-tools here, whose initramfs would start the watchdog: what hangs before systemd runs does not come back by itself")
    return found


def _module(path):
    return re.sub(r"\.ko(\.\w+)?$", "", posixpath.basename(path)).replace("-", "_")


def parameters(given, seconds, built=()):
    """The boot parameters of the trial: those given, the one that the watchdog is started by, and the seconds of drivers that are built in.

    modprobe does not reach these. A driver takes its own name for the seconds; the kernel passes over the others.
    """
    words = ["%s.%s=%d" % (driver, name, seconds) for driver in built for name in ("heartbeat", "timeout", "soft_margin")]
    return list(given) + ["%s=%d" % (PARAMETER, seconds)] + words


def put(host, names, seconds, deadline):
    """Write the files, before the new kernel's initramfs is made. Returns whether any changed. Raises :class:`TestbedError`.

    :arg names: watchdog drivers. :arg seconds: that the watchdog waits. :arg deadline: seconds from the start after which an unconfirmed boot ends.
    """
    # the new kernel may have another driver than this one
    texts = ((HOOK, _HOOK % " ".join(dict.fromkeys(list(names) + [SOFT])), 0o755),
             (SCRIPT, _SCRIPT % {"parameter": PARAMETER, "drivers": " ".join(names), "soft": SOFT}, 0o755),
             (FEEDER, _FEEDER % seconds, 0o644), (UNITS + "/" + TIMER, _TIMER % (PARAMETER, deadline), 0o644),
             (UNITS + "/" + SERVICE, _SERVICE % PARAMETER, 0o644))
    changed = [files.put(host, place, text, mode) for place, text, mode in texts]
    if any(changed):
        # systemd of the next boot reads it; this one need not know
        files.link(host, _wanted(), "../" + TIMER)
    return any(changed)


def _wanted():
    return "%s/sysinit.target.wants/%s" % (UNITS, TIMER)


def remove(host):
    """Take the files away and stop the timer, once the trial is decided. The watchdog goes on being fed. Returns whether there were any."""
    there = [place for place in (HOOK, SCRIPT, FEEDER, _wanted(), UNITS + "/" + TIMER, UNITS + "/" + SERVICE) if host.exists(place)]
    if there and host.exists("/run/systemd/system"):
        host.run(["systemctl", "stop", "--quiet", TIMER] if UNITS + "/" + TIMER in there else ["systemctl", "daemon-reload"])
    for place in there:
        files.put(host, place, None)
    if there and host.exists("/run/systemd/system"):
        host.run(["systemctl", "daemon-reload"])
    return bool(there)
