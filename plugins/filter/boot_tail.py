# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the end of one boot in a serial line's log."""
from __future__ import annotations

DOCUMENTATION = r"""
name: boot_tail
short_description: Last lines of a kernel's last boot in the log of a serial line
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Finds the last boot of a kernel by what GRUB says when it loads one, and returns what stands before the next boot.
  - Where the loader has said nothing of that kernel, the log's end is returned. Kernel addresses are taken out.
positional: release, lines
options:
  _input:
    description: Path of the log on the controller. Bytes of it that are no text do not matter.
    type: path
    required: true
  release:
    description: Release of the kernel.
    type: str
    required: true
  lines:
    description: How many lines.
    type: int
    default: 15
"""

EXAMPLES = r"""
- name: Show how a kernel ended
  ansible.builtin.debug:
    msg: "{{ '/var/log/conserver/rack7.log' | memlab.testbed.boot_tail('6.1.176-memlab') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.boot.serial import tail
from ansible_collections.memlab.testbed.plugins.module_utils.errors import errno_name


def boot_tail(path, release, lines=15):
    if not isinstance(path, str):
        raise AnsibleFilterError("not a log's path: %.60r" % (path,))
    try:
        # what a line says while a machine resets is no UTF-8, which the lookup file is going to refuse
        with open(path, encoding="utf-8", errors="replace") as stream:
            return tail(stream.read(), release, lines)
    except OSError as exc:
        raise AnsibleFilterError("cannot read %s (%s)" % (path, errno_name(exc.errno)))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"boot_tail": boot_tail}
