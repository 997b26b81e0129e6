# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a rollout has to know to bring a host's memory devices back."""
from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_before
short_description: A host's declared memory devices as they are
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Says of each declared memory device whether it is there, what mode it is in, where its memmap lies, and which of its blocks are online in which zone.
  - The declaration is kept with it, because a host may declare something else when it is brought back.
  - M(memlab.testbed.rollout_journal) keeps it, P(memlab.testbed.rollout_restore#filter) makes of it what brings the devices back.
positional: devices, allow_data_loss
options:
  _input:
    description: C(ansible_facts.memmap), as M(memlab.testbed.memmap_facts) returns it.
    type: dict
    required: true
  devices:
    description: The memory devices, as for the role P(memlab.testbed.memory_devices#role).
    type: list
    elements: dict
    required: true
  allow_data_loss:
    description: Whether what a namespace or a device in mode devdax holds may be lost on the way back, too, where an entry does not say it itself.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: "{{ ansible_facts.memmap | memlab.testbed.rollout_before(memory_devices) }}"
"""

RETURN = r"""
_value:
  description: One dictionary for each memory device, with C(name), C(declared) and C(was).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import restore


def rollout_before(facts, devices, allow_data_loss=False):
    try:
        return restore.before(plain(facts), plain(devices), allow_data_loss)
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"rollout_before": rollout_before}
