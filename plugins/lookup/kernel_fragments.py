# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup: configuration fragments as the module kernel_build takes them."""
from __future__ import annotations

DOCUMENTATION = r"""
name: kernel_fragments
short_description: Configuration fragments for M(memlab.testbed.kernel_build)
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Reads fragments of a kernel's configuration on the controller, in order.
options:
  _terms:
    description:
      - Each a file, or the text of a fragment, which begins with C(CONFIG_) or C(#).
      - Paths have a slash, relative ones are relative to the playbook. A name without a slash is a fragment in O(shipped).
    required: true
  shipped:
    description: Directory of the fragments that are known by name, files C(NAME.config).
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Show a fragment
  ansible.builtin.debug:
    msg: "{{ query('memlab.testbed.kernel_fragments', './more.config', 'CONFIG_NUMA=y') }}"
"""

RETURN = r"""
_raw:
  description: One entry for each fragment, with C(name) and C(content).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import fragments


class LookupModule(LookupBase):
    """The lookup of this file."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [fragments.read(term, self._loader.path_dwim, self.get_option("shipped")) for term in terms]
        except TestbedError as exc:
            raise AnsibleLookupError(str(exc)) from exc
