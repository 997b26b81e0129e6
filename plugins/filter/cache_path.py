# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: where a testbed keeps what it makes."""
from __future__ import annotations

DOCUMENTATION = r"""
name: cache_path
short_description: Path of a file in the collection's cache directory
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Puts a relative path below the directory where the collection keeps images, guests and reports on the controller.
  - This is E(MEMLAB_CACHE), or C(memlab) below E(XDG_CACHE_HOME), by default C(~/.cache).
options:
  _input:
    description: A relative path.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where the report on this inventory is
  ansible.builtin.debug:
    msg: "{{ ('reports/' ~ (inventory_dir | basename) ~ '.json') | memlab.testbed.cache_path }}"
"""

RETURN = r"""
_value:
  description: The absolute path.
  type: path
"""

import os

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory


def cache_path(name):
    if not isinstance(name, str) or os.path.isabs(name) or ".." in name.split("/"):
        raise AnsibleFilterError("not a path below the cache directory: %.60r" % (name,))
    return os.path.join(cache_directory(), name)


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"cache_path": cache_path}
