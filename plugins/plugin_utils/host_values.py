# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What variables are for each of many hosts, in a task that runs once for all of them."""
from __future__ import annotations

import json

from ansible.errors import AnsibleError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain


def host_values(names, hosts, task_vars, templar):
    """Variable's name -> list of (plain value, hosts that have it).

    A host to which the inventory gives none has the task's own: the role's default, or a variable of the play.
    Raises :class:`TestbedError` for a value that does not resolve.
    """
    found, common = {name: {} for name in names}, {}
    for host in hosts:
        own = task_vars["hostvars"][host]
        for name in names:
            try:
                if name not in own and name not in common:
                    common[name] = plain(templar.template(task_vars[name]))
                value = plain(own[name]) if name in own else common[name]
            except AnsibleError as exc:
                raise TestbedError("%s of %s does not resolve (%s)" % (name, host, exc))
            found[name].setdefault(json.dumps(value), (value, []))[1].append(host)
    return {name: list(values.values()) for name, values in found.items()}
