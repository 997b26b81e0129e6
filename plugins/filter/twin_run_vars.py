# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the variables of a rehearsed playbook."""
from __future__ import annotations

DOCUMENTATION = r"""
name: twin_run_vars
short_description: Variables that a rehearsed playbook gets from the controller
version_added: "0.2.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Takes the variables of a rollout from those of the controller, and gives it a journal of its own.

positional: journal
options:
  _input:
    description: The controller's variables, C(hostvars.localhost).
    type: dict
    required: true
  journal:
    description: Directory of the rehearsal's journal.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what a rehearsed rollout is asked for
  ansible.builtin.debug:
    msg: "{{ hostvars.localhost | memlab.testbed.twin_run_vars('/var/tmp/journal') }}"
"""

RETURN = r"""
_value:
  description: The variables.
  type: dict
"""

from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.twin import carry_vars


def twin_run_vars(known, journal):
    return plain(carry_vars.run_vars({str(name): known[name] for name in known if str(name).startswith("rollout_")}, str(journal)))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"twin_run_vars": twin_run_vars}
