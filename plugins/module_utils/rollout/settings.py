# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user says of a rollout, checked before anything is touched."""
from __future__ import annotations

import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.query import query

# The last one is the role's own: it makes a host count as done.
STEPS = ("snapshot", "drain", "kernel", "parameters", "devices", "verify", "soak", "undrain", "record")

# Settings that are whole numbers, and the least that each may be.
LEAST = {"rollout_reboots": 0, "rollout_reboot_timeout": 1, "rollout_soak": 0, "rollout_soak_interval": 1}


def check(name, steps, hooks, gates, directories):
    """Raises :class:`TestbedError` for a name, step, hook or gate that cannot be.

    :arg hooks: variable name -> path of a task file, or empty for none.
    :arg gates: dictionaries with ``expression`` and ``message``.
    :arg directories: where the steps' task files are, the first that has one counts.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", str(name)):
        raise TestbedError("rollout_name: %.60r is not a name of letters, digits, points, dashes and underscores" % (name,))
    for variable, path in hooks.items():
        if path and not (os.path.isabs(path) and os.path.isfile(path)):
            raise TestbedError("%s: there is no hook file %s" % (variable, path), remedy="give the absolute path of a task file on the controller")
    if not isinstance(steps, list) or not steps or steps[0] != "snapshot" or steps[-1] != "record" or len(set(map(str, steps))) != len(steps):
        raise TestbedError("rollout_steps: %s; it is a list, the first step is snapshot, the last one record, and none comes twice"
                           % (", ".join(map(str, steps)) if isinstance(steps, list) else steps))
    for step in steps:
        if not any(os.path.isfile(os.path.join(directory, "%s.yml" % step)) for directory in directories):
            raise TestbedError("rollout_steps: there is no step %s" % step, remedy="there are %s" % ", ".join(STEPS))
    for number, gate in enumerate(gates, 1):
        try:
            query({}, gate["expression"])
        except (TypeError, KeyError):
            raise TestbedError("rollout_gates[%d]: a gate is a dictionary with expression and message: %.60r" % (number, gate))
        except TestbedError as exc:
            if "not a JMESPath expression" in exc.summary:
                raise TestbedError("rollout_gates[%d]: %s" % (number, exc.summary))


def numbers(values):
    """Raises :class:`TestbedError` for a setting that is no whole number, or too small. :arg values: variable name -> value."""
    for variable, value in values.items():
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value).strip()) or int(value) < LEAST[variable]:
            raise TestbedError("%s: %.60r is not a whole number from %d up" % (variable, value, LEAST[variable]))


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
