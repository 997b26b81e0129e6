# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: sizes."""
from __future__ import annotations

DOCUMENTATION = r"""
name: size
short_description: Read and write sizes in bytes
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Makes bytes of a size as people write it, and the other way round. Units are powers of 1024.
positional: form
options:
  _input:
    description: Bytes, or a number with K, M, G, T or P, such as V(512M) or V(1.5GiB).
    type: raw
    required: true
  form:
    description:
      - V(bytes) returns a number.
      - V(text) returns the size with the largest unit that divides it, exactly.
    type: str
    choices: [bytes, text]
    default: bytes
"""

EXAMPLES = r"""
- name: Show 134217728 and 128M
  ansible.builtin.debug:
    msg:
      - "{{ '128M' | memlab.testbed.size }}"
      - "{{ 134217728 | memlab.testbed.size('text') }}"
"""

RETURN = r"""
_value:
  description: The size.
  type: raw
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size


def size(value, form="bytes"):
    try:
        count = parse_size(value)
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))
    if form not in ("bytes", "text"):
        raise AnsibleFilterError("form is bytes or text, not %.60r" % (form,))
    return count if form == "bytes" else format_size(count)


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"size": size}
