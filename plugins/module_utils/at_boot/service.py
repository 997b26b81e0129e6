# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the service does at boot: the host's declared memory, made by the modules' own code, all of it or nothing.

A declaration that the host cannot meet leaves memory offline: everything is checked, first what there is, then what would come of it, before the first
memory block goes online, and what went online before a failure is taken offline again.
"""
from __future__ import annotations

import os
import sys
import time

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import declared_file, hold, units
from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, declaration, holds, lock, namespaces, regions, session, signals
from ansible_collections.memlab.testbed.plugins.module_utils.devices import stepwise, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

# What a module's argument spec adds to an entry.
REGION = {"state": "present", "type": "ram", "size": "all", "granularity": None, "root_decoder": None, "allow_data_loss": False, "memory": None}
NAMESPACE = {"nvdimms": None, "memory_devices": None, "name": None, "uuid": None, "state": "present", "mode": None, "map": None, "size": None,
             "align": None, "sector_size": None, "allow_data_loss": False}
DEVICE = {"memory_devices": None, "namespace": None, "soft_reserved": None, "mode": "system-ram", "memmap": None, "parts": None, "offline": False,
          "allow_data_loss": False, "count": None}
BLOCKS = {"memory_devices": None, "namespace": None, "soft_reserved": None, "node": None, "start": None, "size": None, "state": "online",
          "zone": "movable", "count": "all", "order": None}

# How systemd takes a line's level from what a service writes (sd-daemon(3)).
ERROR, WARNING, INFO = "<3>", "<4>", "<6>"


def main(arguments=()):
    """The service's whole run. Returns its exit code. :arg arguments: :data:`units.ENDED` for :func:`ended`."""
    host = Host()
    if units.ENDED in arguments:
        return ended(host)
    try:
        # first of all: a namespace has to be usable whatever is wrong with the declaration
        hold.pass_on(host)
        lines = apply(host, _declared(host))
    except signals.Interrupted as exc:
        return _failed(host, exc, "the time that the service has (TimeoutStartSec) is over, or somebody stopped it")
    except TestbedError as exc:
        return _failed(host, exc)
    except Exception as exc:  # pylint: disable=broad-except
        # no traceback reaches a reader; that nothing goes online still has to be said
        return _failed(host, TestbedError("an error of this service itself: %s: %s" % (type(exc).__name__, " ".join(str(exc).split()))))
    try:
        # What has kept dax devices from their drivers since early boot ends where all is well. Otherwise it stays, until a module runs here.
        hold.release(host)
    except TestbedError as exc:
        return _failed(host, exc, *lines, said="all is as declared, but dax devices stay without a driver")
    for line in lines:
        _say(INFO, line)
    return 0


def ended(host):
    """After the service, which ends the hold or hands it over: where it is still there, the service was killed before it could. Returns an exit code."""
    try:
        with lock.exclusive(host, timeout=units.STOPPING / 2):
            if not host.exists(hold.MARK):
                return 0
            by = os.environ.get("EXIT_STATUS", "by what is not known")
            said = ["killed before it could say what there is (%s): blocks that it had put online stay so" % by]
            if hold.hand_over(host):
                said.append(_HELD)
    except TestbedError as exc:
        said = str(exc).splitlines()
    _say(ERROR, said[0])
    for line in said[1:]:
        _say(WARNING, line)
    return 0


_HELD = "new dax devices stay without a driver (%s is 0) until a module of memlab.testbed runs" % holds.AUTOPROBE


def _failed(host, exc, *more, said="nothing was brought online"):
    """The first line says it all, since ``systemctl status`` shows few."""
    lines = str(exc).splitlines() + list(more)
    if exc.changed and getattr(exc, "results", None):
        said = "not every memory block is again as it was"
    try:
        if os.geteuid() == 0 and hold.hand_over(host):
            lines.append(_HELD)
    except TestbedError as also:
        lines.append(also.summary)
    _say(ERROR, "%s: %s" % (said, lines[0]))
    for line in lines[1:]:
        _say(WARNING, line)
    return 1


def _say(level, line):
    sys.stderr.write("%s%s\n" % (level, line))


def _declared(host):
    text = host.read_optional(declared_file.PATH)
    if text is None:
        raise TestbedError("cannot read %s" % declared_file.PATH, remedy="have the role memory_at_boot write it again")
    return declared_file.load(text)


def apply(host, declared):
    """Make the host's memory what is declared. Returns lines saying what there is now.

    Raises :class:`TestbedError`; nothing is online then that was not before.

    :arg declared: :class:`declared_file.Declared`.
    """
    entries = declaration.parse(declared.memory_devices)
    whole = declaration.plan(declared.memory_devices, offline=declared.offline)
    # A namespace on CXL memory is there when its region is, and no region outlives a boot.
    first = declaration.plan([entry.asked for entry in entries if not (entry.members and entry.namespace)], offline=declared.offline)
    # what no device that is still to come could change
    refusal = dax.no_self_hosting(host) if any("device" in declaration.memmaps(entry) for entry in entries) else None
    if refusal:
        raise refusal
    deadline = time.monotonic() + declared.wait
    with session.changing(host):
        # ends before the first block goes online: a policy that somebody else set meanwhile is a failure, and a hold says so at its end
        with holds.auto_online_off(host):
            # main ends this, or leaves it as it is after a failure
            hold.take(host)
            _when_it_would_do(host, first._replace(regions=whole.regions), deadline)
            if whole.regions:
                regions.apply(host, _filled(whole.regions, REGION))
                _when_it_would_do(host, whole, deadline)
            if whole.devices:
                system_ram.apply(host, _filled(whole.devices, DEVICE), timeout=declared.block_timeout)
        if not whole.blocks:
            return ["no memory blocks are declared"]
        return _online(host, _filled(whole.blocks, BLOCKS), declared.block_timeout)


def _filled(entries, defaults):
    return [dict(defaults, **entry) for entry in entries]


def _when_it_would_do(host, plan, deadline):
    """Wait until all that is declared could be made of what is there: drivers find their devices in their own time.

    :arg deadline: of time.monotonic, to which there is at least one look.

    Raises the :class:`TestbedError` that was there to the end, or at once one that no waiting helps against.
    """
    last = []

    def would_do():
        try:
            hold.pass_on(host)
            if plan.regions:
                regions.apply(host, _filled(plan.regions, REGION), check_mode=True)
            if plan.namespaces:
                _check_namespaces(host, _filled(plan.namespaces, NAMESPACE))
            if plan.devices:
                system_ram.apply(host, _filled(plan.devices, DEVICE), check_mode=True)
            if plan.blocks:
                stepwise.apply(host, _filled(plan.blocks, BLOCKS), check_mode=True)
        except TestbedError as exc:
            last[:] = [exc]
            if exc.lasting:
                raise
            return False
        return True

    try:
        host.wait_until(would_do, "what is declared", timeout=max(0, deadline - time.monotonic()), interval=1.0)
    except TestbedError:
        raise last[0]


def _check_namespaces(host, entries):
    """Namespaces outlive a boot. One that is not as declared is nothing to put right here, where nobody is asked about data."""
    changed, planned = namespaces.apply(host, entries, check_mode=True)[:2]
    if not changed:
        return
    odd = next(entry for entry, report in zip(entries, planned) if report["changed"])
    raise TestbedError("namespace %s is not there as it is declared, and none is made or changed at boot" % (odd["name"] or odd["uuid"]),
                       remedy="run the role memory_devices")


def _online(host, entries, timeout):
    """The last step. When a block refuses, those that went online in it are taken offline again."""
    reports = stepwise.apply(host, entries, manner=stepwise.Manner(timeout, on_failure="rollback"))[1]
    return ["%s: %d of %d memory blocks online" % (_name(report), report["online"], report["blocks"]) for report in reports]


def _name(report):
    for key in ("memory_devices", "namespace", "soft_reserved"):
        if report.get(key):
            return ", ".join(report[key]) if isinstance(report[key], (list, tuple)) else report[key]
    return "memory"
