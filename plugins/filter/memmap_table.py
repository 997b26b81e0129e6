# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the report as text."""
from __future__ import annotations

DOCUMENTATION = r"""
name: memmap_table
short_description: Show a report on memory devices as a table
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Makes lines for a terminal from what P(memlab.testbed.memmap_report#filter) returns, a table with one line per device.
options:
  _input:
    description: The report.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the report
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts | memlab.testbed.memmap_report(hostvars) | memlab.testbed.memmap_table }}"
"""

RETURN = r"""
_value:
  description: Lines, with newlines between them.
  type: str
"""

from collections.abc import Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.report.table import table


def memmap_table(report):
    if not isinstance(report, Mapping) or not isinstance(report.get("hosts"), Mapping):
        raise AnsibleFilterError("not a report of memlab.testbed.memmap_report: %.60r" % (report,))
    return table(plain(report))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"memmap_table": memmap_table}
