#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a rollout may go on: the action plugin of this name looks."""
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_gate
short_description: Open a wave of a rollout, or count what became of its hosts
version_added: "0.1.0"
description:
  - Runs on the controller and rests on the journal. A host is good when its journal says so, whatever else Ansible knows of it, so one that is
    unreachable counts as well as one that failed or was rolled back.
options:
  state:
    description: V(opened) fails where an earlier wave of this run did not pass. V(closed) counts and writes. V(ended) fails where one host is bad.
    type: str
    choices: [opened, closed, ended]
    required: true
  directory:
    description: Where the journal is.
    type: path
    required: true
  run:
    description: Which run of the rollout this is.
    type: int
    required: true
  wave:
    description: The wave's number.
    type: int
    default: 0
  hosts:
    description: The wave's hosts, as planned.
    type: list
    elements: str
    required: true
  limit:
    description: How many bad hosts the rollout may have, those of earlier waves included.
    type: int
    default: 0
  domains:
    description:
      - With O(state=opened), the failure domain of each host that has one.
      - A wave that would take the last hosts of a domain the others of which were lost in earlier waves does not start.
    type: dict
    default: {}
  wanted:
    description: What hosts are to be.
    type: str
    choices: [done, undone]
    default: done
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.journal_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: Count what became of the first wave
  memlab.testbed.rollout_gate:
    state: closed
    directory: "{{ rollout_directory }}"
    run: 1
    wave: 1
    hosts: [server1, server2]
"""

RETURN = r"""
passed:
  description: Whether the next wave may start.
  returned: with O(state=closed) and O(state=ended)
  type: bool
message:
  description: What became of the hosts, in a line.
  returned: with O(state=closed) and O(state=ended)
  type: str
verdict:
  description: Names of the hosts that are C(good), C(failed), C(unreachable) and C(rolled_back), and how many are C(bad).
  returned: with O(state=closed) and O(state=ended)
  type: dict
"""
