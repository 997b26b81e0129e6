# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what brings a host's memory devices back."""
from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_restore
short_description: What brings a host's memory devices back to an earlier state
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Compares the memory devices that were declared then with what P(memlab.testbed.rollout_before#filter) said of them, and makes the lists for the
    modules that bring them back.
  - Namespaces stay as they are.
positional: before
options:
  _input:
    description: C(ansible_facts.memmap), as M(memlab.testbed.memmap_facts) returns it.
    type: dict
    required: true
  before:
    description: What P(memlab.testbed.rollout_before#filter) returned.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Take what was not online before offline again
  memlab.testbed.memory_blocks:
    devices: "{{ (ansible_facts.memmap | memlab.testbed.rollout_restore(before)).offline }}"
"""

RETURN = r"""
_value:
  description: The lists, to be given to the modules in this order, and what is not as it was.
  type: dict
  contains:
    offline:
      description: For M(memlab.testbed.memory_blocks).
      type: list
      elements: dict
    absent:
      description: For M(memlab.testbed.cxl_region).
      type: list
      elements: dict
    regions:
      description: For M(memlab.testbed.cxl_region).
      type: list
      elements: dict
    devices:
      description: For M(memlab.testbed.dax_device).
      type: list
      elements: dict
    blocks:
      description: For M(memlab.testbed.memory_blocks), from facts gathered after the others.
      type: list
      elements: dict
    different:
      description: Names of the memory devices that are not as they were.
      type: list
      elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import restore


def rollout_restore(facts, before):
    facts, before = plain(facts), plain(before)
    try:
        return dict(restore.back(facts, before), different=restore.different(facts, before))
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"rollout_restore": rollout_restore}
