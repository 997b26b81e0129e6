# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: desired against proven."""
from __future__ import annotations

DOCUMENTATION = r"""
name: memmap_statements
short_description: Compare what memory devices should be with what is proven
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Makes a list of statements about a host, each with what was wanted, what was found, and whether it holds.
  - Statements about a device are size, granularity and root decoder of its region, mode, memmap, size, alignment and sector size of its namespace, each where
    it is declared; that it has one dax device, or one for each part; its mode, its size, what its knob asks for, that all of it was added, how many blocks
    are online, their zone, where their memmap lies, and that this is proven. One about the host is that the proofs agree.
  - Where the memmap lies is never concluded from the knob. What no proof speaks of does not hold.
  - Missing facts, a mistake in O(devices) and a wrong expression are statements that do not hold, too. Without facts nothing else is said.
positional: devices, assertions
options:
  _input:
    description: The host's C(ansible_facts.memmap), as M(memlab.testbed.memmap_facts) returns it.
    type: dict
    required: true
  devices:
    description: What the memory devices should be, as for the role P(memlab.testbed.verify#role).
    type: list
    elements: dict
    required: true
  assertions:
    description: JMESPath expressions over the facts, as C(expression) with C(message). What is empty, zero, false or not there does not hold.
    type: list
    elements: dict
    default: []
seealso:
  - plugin: memlab.testbed.verify
    plugin_type: role
"""

EXAMPLES = r"""
- name: Show what is not as it should be
  ansible.builtin.debug:
    msg: "{{ statements | rejectattr('ok') | map(attribute='message') }}"
  vars:
    statements: "{{ ansible_facts.memmap | memlab.testbed.memmap_statements(memory_devices) }}"
"""

RETURN = r"""
_value:
  description:
    - The statements, each with C(device) (its serial number or PCI address, none for the whole host), C(statement), C(wanted), C(found), C(ok)
      and C(message), a line that names the device and the blocks. One about a device has C(about), the kernel's names of what it is about, C(blocks), the first
      and the last of each run of memory blocks that it is about, and C(known), false where it does not hold because nothing can be said, too.
  type: list
  elements: dict
"""

from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.report.statements import statements


def memmap_statements(facts, devices, assertions=()):
    return statements(plain(facts), plain(devices), plain(assertions))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"memmap_statements": memmap_statements}
