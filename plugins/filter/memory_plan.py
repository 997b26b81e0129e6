# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a host's declared memory devices as the lists that the modules take."""
from __future__ import annotations

DOCUMENTATION = r"""
name: memory_plan
short_description: What each module is asked for, from one declared list
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Checks the list of memory devices that a host declares, and makes of it the lists for M(memlab.testbed.cxl_region), M(memlab.testbed.pmem_namespace),
    M(memlab.testbed.dax_device) and M(memlab.testbed.memory_blocks), which are to run in this order.
  - A mistake is an error of one line that names the entry and the key.
positional: allow_data_loss, offline
options:
  _input:
    description: The memory devices, as for the role P(memlab.testbed.memory_devices#role).
    type: list
    elements: dict
    required: true
  allow_data_loss:
    description: What holds for entries that do not say.
    type: bool
    default: false
  offline:
    description: Whether memory blocks may be taken offline where a memmap has to move.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make the declared regions
  memlab.testbed.cxl_region:
    regions: "{{ (memory_devices | memlab.testbed.memory_plan).regions }}"
"""

RETURN = r"""
_value:
  description: The lists.
  type: dict
  contains:
    regions:
      description: For M(memlab.testbed.cxl_region).
      type: list
      elements: dict
    namespaces:
      description: For M(memlab.testbed.pmem_namespace).
      type: list
      elements: dict
    devices:
      description: For M(memlab.testbed.dax_device).
      type: list
      elements: dict
    blocks:
      description: For M(memlab.testbed.memory_blocks).
      type: list
      elements: dict
    memmaps:
      description: Where memmaps are to lie, V(device) and V(dram), as far as they are asked for.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain


def memory_plan(entries, allow_data_loss=False, offline=False):
    try:
        entries = plain(entries)
        found = declaration.plan(entries, bool(allow_data_loss), bool(offline))._asdict()
        asked = [declaration.memmaps(entry) for entry in declaration.parse(entries)]
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))
    return dict(found, memmaps=sorted(set().union(*asked)))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"memory_plan": memory_plan}
