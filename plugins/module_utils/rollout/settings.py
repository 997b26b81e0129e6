# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user says of a rollout, checked before anything is touched."""
from __future__ import annotations

import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.query import compile_expression
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown

# The last one is the role's own: it makes a host count as done.
STEPS = ("snapshot", "drain", "kernel", "parameters", "devices", "verify", "soak", "undrain", "record")

HOOKS = ("rollout_drain", "rollout_undrain")

# Settings that are whole numbers, and the least that each may be.
LEAST = {"rollout_reboots": 0, "rollout_reboot_timeout": 1, "rollout_soak": 0, "rollout_soak_interval": 1}


def check(name, steps, directories):
    """Raises :class:`TestbedError` for a name or step that cannot be.

    :arg directories: where the steps' task files are, the first that has one counts.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", str(name)):
        raise TestbedError("rollout_name: %.60r is not a name of letters, digits, points, dashes and underscores" % (name,))
    if not isinstance(steps, list) or not steps or steps[0] != "snapshot" or steps[-1] != "record" or len(set(map(str, steps))) != len(steps):
        raise TestbedError("rollout_steps: %s; it is a list, the first step is snapshot, the last one record, and none comes twice"
                           % (", ".join(map(str, steps)) if isinstance(steps, list) else steps))
    for step in steps:
        step_file(step, directories)


def step_file(step, directories):
    """Path of the step's task file. Raises :class:`TestbedError` for a step or directory that is not there."""
    for directory in directories:
        if not (os.path.isabs(directory) and os.path.isdir(directory)):
            raise TestbedError("rollout_steps_from: there is no directory %s" % directory, remedy="give the absolute path of one on the controller")
    for directory in directories:
        path = os.path.join(directory, "%s.yml" % step)
        if os.path.isfile(path):
            return path
    raise TestbedError("rollout_steps: there is no step %s" % step, remedy="there are %s" % ", ".join(STEPS))


def check_hosts(variable, values):
    """Raises :class:`TestbedError` for a value that cannot be, with the hosts that have it.

    :arg variable: one of :data:`OF_HOSTS`. :arg values: list of (value, hosts that have it).
    """
    for value, hosts in values:
        try:
            OF_HOSTS[variable](variable, value)
        except TestbedError as exc:
            raise TestbedError(exc.summary, details=exc.details + ["It is so for %s." % shown(hosts)], remedy=exc.remedy)


def _hook(variable, path):
    if path and not (isinstance(path, str) and os.path.isabs(path) and os.path.isfile(path)):
        raise TestbedError("%s: there is no hook file %s" % (variable, path), remedy="give the absolute path of a task file on the controller")


def _gates(variable, gates):
    if not isinstance(gates, list):
        raise TestbedError("%s: %.60r is not a list" % (variable, gates))
    for number, gate in enumerate(gates, 1):
        if not isinstance(gate, dict) or "expression" not in gate or set(gate) - {"expression", "message"}:
            raise TestbedError("%s[%d]: a gate is a dictionary with expression and message: %.60r" % (variable, number, gate))
        try:
            compile_expression(gate["expression"])
        except TestbedError as exc:
            raise TestbedError("%s[%d]: %s" % (variable, number, exc.summary), remedy=exc.remedy)


def _number(variable, value):
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value).strip()) or int(value) < LEAST[variable]:
        raise TestbedError("%s: %.60r is not a whole number from %d up" % (variable, value, LEAST[variable]))


# Settings that may differ from host to host -> what is wrong with a value.
OF_HOSTS = dict({**dict.fromkeys(LEAST, _number), **dict.fromkeys(HOOKS, _hook)}, rollout_gates=_gates)


def domains(variable, found):
    """Host -> failure domain, of the hosts that have one. Raises :class:`TestbedError`, also where none has: then the variable's name is wrong."""
    for host, domain in found.items():
        if isinstance(domain, (dict, list)):
            raise TestbedError("rollout_domain: %s of %s is %.60r, not a name" % (variable, host, domain))
    known = {host: str(domain) for host, domain in found.items() if domain not in (None, "")}
    if found and not known:
        raise TestbedError("rollout_domain: no host has the variable %s" % variable, remedy="see what the inventory calls it: ansible-inventory --list")
    return known


def limit(value):
    """How many bad hosts there may be. Raises :class:`TestbedError`."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}", str(value).strip()):
        raise TestbedError("rollout_limit: %.60r is not a number of hosts" % (value,))
    return int(value)
