# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: why a task failed."""
from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_reason
short_description: Why a task failed, in one line
version_added: "0.2.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - The first line of what the task said. Where that is a heading, which ends with a colon, the line below it belongs to it.
  - Of a loop the first item that failed counts. A file that could not be included has no result.
options:
  _input:
    description: C(ansible_failed_result).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say why a host could not be verified
  block:
    - name: Verify
      ansible.builtin.import_role:
        name: memlab.testbed.verify
  rescue:
    - name: Say why
      ansible.builtin.debug:
        msg: "{{ ansible_failed_result | memlab.testbed.rollout_reason }}"
"""

RETURN = r"""
_value:
  description: A line of text.
  type: str
"""

from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.reason import reason


def rollout_reason(result):
    return reason(plain(result))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"rollout_reason": rollout_reason}
