# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup: patches as the module kernel_build takes them."""
from __future__ import annotations

DOCUMENTATION = r"""
name: kernel_patches
short_description: Patches for M(memlab.testbed.kernel_build)
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Reads patches on the controller, in order.
options:
  _terms:
    description:
      - Each a directory with a file C(series), a mailbox, a mail, or a patch. Paths have a slash, relative ones are relative to the playbook.
      - Mails may be encoded, and carry the patch as an attachment. Binary differences, symbolic links and submodules are refused.
      - A name without a slash is a series in O(shipped).
    required: true
  shipped:
    description: Directory of the series that are known by name.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Show which patches a mailbox holds
  ansible.builtin.debug:
    msg: "{{ query('memlab.testbed.kernel_patches', './series.mbox') | map(attribute='name') }}"
"""

RETURN = r"""
_raw:
  description: One entry for each patch, with C(name), C(content) as base64 and C(strip).
  type: list
  elements: dict
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import patches


class LookupModule(LookupBase):
    """The lookup of this file."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return patches.packed(patches.collect([self._loader.path_dwim(term) if "/" in term else term for term in terms], self.get_option("shipped")))
        except TestbedError as exc:
            raise AnsibleLookupError(str(exc)) from exc
