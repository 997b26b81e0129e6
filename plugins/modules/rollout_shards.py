#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A wave on other controllers: the action plugin of this name sends it there."""
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_shards
short_description: Have other controllers roll out to the hosts of a wave
version_added: "0.1.0"
description:
  - Runs on the controller. Cuts the hosts of a wave into shards, has C(ansible-runner) send each to a worker, and takes what the workers' journals say
    over into the rollout's own.
  - A variable of a host that does not resolve is not sent, and a worker that does not end well is told of, each in a warning.
  - Whether the wave is good is not looked at here. M(memlab.testbed.rollout_gate) does, over all shards.
options:
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
    required: true
  hosts:
    description: The wave's hosts.
    type: list
    elements: str
    required: true
  workers:
    description: The other controllers.
    type: list
    elements: dict
    required: true
    suboptions:
      command:
        description: What starts C(ansible-runner worker) there, word by word, such as V([ssh, worker1, ansible-runner, worker]).
        type: list
        elements: str
        required: true
  reboots:
    description: How many hosts may reboot at once, over all shards. 0 for no limit.
    type: int
    default: 0
  environment:
    description: Environment variables for the workers' C(ansible-playbook).
    type: dict
    default: {}
requirements:
  - ansible-runner on this controller and on the workers, and this collection on the workers.
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.journal_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: Roll out to the first wave from two other controllers
  memlab.testbed.rollout_shards:
    directory: "{{ rollout_directory }}"
    run: 1
    wave: 1
    hosts: [server1, server2]
    workers:
      - command: [ssh, controller1, ansible-runner, worker]
      - command: [ssh, controller2, ansible-runner, worker]
"""

RETURN = r"""
shards:
  description: For each shard its C(hosts), the exit C(codes) of its three processes, how many journal C(entries) came back, and its C(log).
  returned: success
  type: list
  elements: dict
journal:
  description: The journal's entries that came back, of all shards.
  returned: success
  type: list
  elements: dict
"""
