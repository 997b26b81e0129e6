#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report on a play's hosts: the action plugin of this name makes it."""
from __future__ import annotations

DOCUMENTATION = r"""
module: memory_report
short_description: Report on the memory devices of a play's hosts
version_added: "0.2.0"
description:
  - Prints a table of the memory devices of all hosts of the play, from facts of M(memlab.testbed.memmap_facts), and writes the same as a JSON file.
  - Runs on the controller. Set C(run_once), since it speaks of all hosts.
options:
  variable:
    description: Name of the inventory variable that says what a host's memory devices should be.
    type: str
    default: memory_devices
  path:
    description: File on the controller. It changes only when the state does. Its directory is made. Without it nothing is written.
    type: str
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - plugin: memlab.testbed.memmap_report
    plugin_type: filter
  - plugin: memlab.testbed.memmap_table
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Report
  memlab.testbed.memory_report:
    path: /var/lib/lab/memory.json
  run_once: true
"""

RETURN = r"""
msg:
  description: The table, as the filter P(memlab.testbed.memmap_table#filter) makes it of P(memlab.testbed.memmap_report#filter).
  returned: success
  type: str
"""
