# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what memory costs in struct pages."""
from __future__ import annotations

DOCUMENTATION = r"""
name: memmap_cost
short_description: Bytes of memmap for an amount of memory
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Tells how many bytes of struct pages the kernel needs for memory of a size. With the defaults it is 1/64 of it.
positional: page_size, struct_page_size
options:
  _input:
    description: Bytes of memory, or a number with K, M, G, T or P.
    type: raw
    required: true
  page_size:
    description: Bytes in a page, C(ansible_facts.memmap.kernel.page_size).
    type: raw
    default: 4096
  struct_page_size:
    description: Bytes in a struct page, C(ansible_facts.memmap.kernel.struct_page_size).
    type: raw
    default: 64
"""

EXAMPLES = r"""
- name: Show that 1T of memory takes 16G of memmap
  ansible.builtin.debug:
    msg: "{{ '1T' | memlab.testbed.memmap_cost | memlab.testbed.size('text') }}"
"""

RETURN = r"""
_value:
  description: Bytes of memmap.
  type: int
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.cost import memmap_cost


def memmap_cost_filter(value, page_size=4096, struct_page_size=64):
    try:
        return memmap_cost(value, page_size, struct_page_size)
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"memmap_cost": memmap_cost_filter}
