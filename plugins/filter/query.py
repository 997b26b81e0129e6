# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: JMESPath."""
from __future__ import annotations

DOCUMENTATION = r"""
name: query
short_description: Query facts and reports with JMESPath
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Evaluates a JMESPath expression with the Python library jmespath, which the controller needs.
  - Nothing that is found is V(none), or an empty list where the expression says so.
  - A wrong expression is an error of one line that names it.
positional: expression
options:
  _input:
    description: What to query, such as C(ansible_facts.memmap) or a report.
    type: raw
    required: true
  expression:
    description: The JMESPath expression.
    type: str
    required: true
seealso:
  - name: JMESPath
    description: The language.
    link: https://jmespath.org/specification.html
  - plugin: memlab.testbed.memmap_statements
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show which devices do not host their own memmap
  ansible.builtin.debug:
    msg: "{{ ansible_facts.memmap | memlab.testbed.query(expression) }}"
  vars:
    expression: "devices[?placement != 'self'].name"
"""

RETURN = r"""
_value:
  description: What the expression finds.
  type: raw
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.query import query


def query_filter(data, expression):
    try:
        return query(data, expression)
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"query": query_filter}
