# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the report on several hosts."""
from __future__ import annotations

DOCUMENTATION = r"""
name: memmap_report
short_description: Report on the memory devices of hosts
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Puts together what the facts of several hosts say of their memory devices, and what the inventory wants them to be.
  - The same state makes the same report. There is no time in it.
positional: hostvars, variable
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  variable:
    description: Name of the inventory variable that says what a host's memory devices should be.
    type: str
    default: memory_devices
seealso:
  - plugin: memlab.testbed.memmap_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show devices whose memmap is not where it should be
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | memlab.testbed.memmap_report(hostvars) | memlab.testbed.query(expression) }}"
  vars:
    expression: "hosts.*.devices[] | [?memmap.wanted && memmap.wanted != memmap.found].device"
"""

RETURN = r"""
_value:
  description:
    - A dictionary with C(hosts), one entry by name, which is none for a host without facts.
    - An entry has C(kernel), C(namespaces), C(proofs) and C(conflicts) of M(memlab.testbed.memmap_facts), C(slow_nodes) (ids of nodes whose memory is
      all on dax devices), C(mistake) (in the inventory's variable, or none) and C(devices).
    - A device has C(device) (names that outlive a reboot), C(name), C(size), C(mode), C(region), C(namespace), C(blocks), C(zones), C(node), C(wanted) and
      C(memmap), which has C(wanted), C(found), C(placement), C(intent), C(proofs), C(bytes) and C(nodes).
  type: dict
"""

from ansible_collections.memlab.testbed.plugins.module_utils.report.rows import of_hosts


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"memmap_report": of_hosts}
