#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal of a rollout: the action plugin of this name writes and reads it."""
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_journal
short_description: Write or read the journal of a rollout
version_added: "0.1.0"
description:
  - Runs on the controller. Adds an entry to the journal of the rollout or of one host, and returns when it is on the disk.
  - Without O(event) it says what the journal knows of the host.
options:
  directory:
    description: Where the journal is.
    type: path
    required: true
  host:
    description: The host. Without it, the rollout as a whole.
    type: str
  event:
    description: What happened, such as V(begun), V(snapshot), V(done), V(failed), V(rolled_back). V(finished) ends the run and gives the journal's lock back.
    type: str
  run:
    description: Which run of the rollout this is.
    type: int
  data:
    description: What belongs to the event, such as C(step), C(before) or C(reason).
    type: dict
  kernel_packages:
    description: With the event V(done), the kernel's packages on the controller. The entry has them by name and digest.
    type: list
    elements: path
    default: []
  kernel_key:
    description: With the event V(done), the key of the kernel's artifact, where there are no packages.
    type: str
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.journal_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: Note that the host is done
  memlab.testbed.rollout_journal:
    directory: "{{ rollout_directory }}"
    host: "{{ inventory_hostname }}"
    event: done
    run: 1
"""

RETURN = r"""
entry:
  description: The entry.
  returned: with O(event)
  type: dict
state:
  description: V(planned), V(interrupted), V(done) or V(rolled_back).
  returned: without O(event)
  type: str
step:
  description: The step that was begun last, or none.
  returned: without O(event)
  type: str
before:
  description: What the snapshot found, or none.
  returned: without O(event)
  type: dict
done:
  description: The entry that says the host is done, with C(kernel) and C(release), or none.
  returned: without O(event)
  type: dict
in_service:
  description: Whether the host may be in service, so that it is drained before it is brought back.
  returned: without O(event)
  type: bool
"""
