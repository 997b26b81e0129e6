#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of a rollout has to do: the action plugin of this name does it."""
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_plan
short_description: Plan a rollout, or find out how far an earlier run has come
version_added: "0.1.0"
description:
  - Runs on the controller. The role P(memlab.testbed.rollout#role) calls it, and says what the options mean.
  - Cuts hosts into waves, reads the journal, and refuses what cannot be before anything is touched.
options:
  state:
    description:
      - V(opened) checks the settings, makes the waves and takes the journal's lock. Of those that may differ from host to host (hooks, gates, soak, reboots)
        it checks what each host has, and it parses the task files of hooks and steps. V(accepted) weighs what the hosts have answered and writes the plan.
      - V(claimed) fails where a host is another rollout's, or where more hosts than may be bad did not answer.
      - V(back) and V(going_back) are for bringing a whole rollout back. V(back) parses the task files that this takes.
    type: str
    choices: [opened, accepted, claimed, back, going_back]
    required: true
  directory:
    description: Where the journal is.
    type: path
    required: true
  name:
    description: Name of the rollout.
    type: str
  hosts:
    description: All hosts, in the inventory's order.
    type: list
    elements: str
  canaries:
    description: How many hosts are in the first wave, or their names.
    type: raw
  waves:
    description: The other waves, each a number, a percentage, or a dictionary with C(group) or C(hosts).
    type: list
    elements: raw
  domain:
    description: Host variable that names the failure domain, or empty.
    type: str
  domain_limit:
    description: How many hosts of one domain may be in one wave.
    type: str
  limit:
    description: How many bad hosts there may be.
    type: int
  steps:
    description: The steps of a host.
    type: list
    elements: str
  steps_from:
    description: Directories with the steps' task files.
    type: list
    elements: str
  kernel_packages:
    description: The kernel's packages on the controller, for hosts without a variable of their own.
    type: list
    elements: path
    default: []
  kernel_key:
    description: Key of the kernel's artifact, for hosts without a variable of their own.
    type: str
  workers:
    description: Other controllers, as M(memlab.testbed.rollout_shards) takes them. What starts them has to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      command:
        description: What starts C(ansible-runner worker) there, word by word.
        type: list
        elements: str
        required: true
  plan:
    description: What O(state=opened) or O(state=back) returned.
    type: dict
  back:
    description: With O(state=claimed), whether this is the way back, from which hosts that do not answer keep no other.
    type: bool
    default: false
  preview:
    description: Whether nothing is to be written.
    type: bool
    default: false
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run of a rollout is an entry of its own in the journal.
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: See what there is to bring back
  memlab.testbed.rollout_plan:
    state: back
    directory: "{{ rollout_directory }}"
    name: "{{ rollout_name }}"
    limit: 0
"""

RETURN = r"""
plan:
  description: The plan, with C(name), C(id), C(run) (a number), C(waves), C(states) and C(repair).
  returned: with O(state=opened) and O(state=back)
  type: dict
name:
  description: Name of the rollout, for all plays and hosts.
  returned: with O(state=opened) and O(state=back)
  type: str
directory:
  description: Where the journal is, for all plays and hosts.
  returned: with O(state=opened) and O(state=back)
  type: str
order:
  description: Hosts in the order of their waves, each wave headed by a host of the controller's own.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
serial:
  description: How many of them belong to each wave.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: int
hosts:
  description: Hosts of all waves, of which each has to be the rollout's. Without any in a preview.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
gates:
  description: The controller's own hosts, one for each wave.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
repair:
  description: Hosts that an earlier run left midway, headed by a host of the controller's own.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
limit:
  description: How many bad hosts the run bears.
  returned: with O(state=opened) and O(state=back)
  type: int
todo:
  description: Hosts that are not done.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
ask:
  description: The same, headed by a host of the controller's own.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
claim:
  description: All hosts, headed by a host of the controller's own, or none where nothing is to be changed.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
release:
  description: All hosts that the rollout may have claimed, headed likewise.
  returned: with O(state=opened) and O(state=back)
  type: list
  elements: str
domains:
  description: Failure domain of each host that has one.
  returned: with O(state=opened)
  type: dict
gone:
  description: Hosts that were rolled out to and are not in the inventory any more.
  returned: with O(state=back)
  type: list
  elements: str
silent:
  description: Hosts that did not answer, and are borne.
  returned: with O(state=claimed)
  type: list
  elements: str
text:
  description: The plan for people.
  returned: with O(state=accepted) and O(state=going_back)
  type: list
  elements: str
"""
