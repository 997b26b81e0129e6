#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks online or offline, one by one, each with its result."""
from __future__ import annotations

DOCUMENTATION = r"""
module: memory_blocks
short_description: Put memory blocks online or offline
version_added: "0.1.0"
description:
  - Puts the memory blocks of devices, nodes or address ranges online or offline, one by one and in address order, all of a host in one call.
  - The amount is exact. What is online already counts, surplus is taken offline from the end, and a block in another zone than is wanted is taken offline and
    put online again.
  - The first block that refuses ends the call, with the block, the error and what is online now in its message. Blocks done before that stay as they are.
options:
  devices:
    description: What the blocks belong to, and what is wanted of them.
    type: list
    elements: dict
    required: true
    suboptions:
      memory_devices:
        description: Memory devices of a region by serial number or PCI address, as for M(memlab.testbed.cxl_region).
        type: list
        elements: str
      namespace:
        description: A devdax namespace by its name or its uuid, as for M(memlab.testbed.dax_device).
        type: str
      soft_reserved:
        description: Soft-reserved memory by the physical address where it begins, as for M(memlab.testbed.dax_device).
        type: str
      node:
        description: All memory blocks of a memory node.
        type: int
      start:
        description: Physical address of the first byte of a range, such as V(0x180000000). Goes with O(devices[].size).
        type: str
      size:
        description: Bytes in the range that begins at O(devices[].start), or a number with K, M, G or T.
        type: str
      state:
        description: Whether blocks are to be online or offline.
        type: str
        choices: [online, offline]
        default: online
      zone:
        description:
          - The zone for blocks that go online.
          - Memory in the V(movable) zone can be taken offline again, as far as memory ever can. Memory in the V(kernel) zone often cannot.
        type: str
        choices: [movable, kernel]
        default: movable
      count:
        description:
          - How many of the blocks are to be online. V(all), a number of blocks, or bytes with a unit, such as V(512M).
        type: str
        default: all
  block_timeout:
    description: Seconds that one memory block may last.
    type: float
    default: 60
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
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.dax_device
  - module: memlab.testbed.memmap_facts
"""

EXAMPLES = r"""
- name: Put all blocks of one memory device online, and half a GiB of another
  memlab.testbed.memory_blocks:
    devices:
      - memory_devices: ["0x1"]
      - memory_devices: ["0x2"]
        zone: kernel
        count: 512M

- name: Take all blocks of a node offline
  memlab.testbed.memory_blocks:
    devices:
      - node: 2
        state: offline
"""

RETURN = r"""
devices:
  description: One entry for each of the task's, in its order. In check mode, as they would be. On failure, those that were reached.
  returned: always
  type: list
  elements: dict
  contains:
    memory_devices:
      description: The names that the task gave, where it gave these.
      type: list
      elements: str
      returned: when given
    blocks:
      description: Memory blocks there are.
      type: int
      returned: always
    online:
      description: How many of them are online.
      type: int
      returned: always
    bytes_online:
      description: Bytes in them.
      type: int
      returned: always
    zones:
      description: Number of online blocks by zone, V(movable), V(kernel) or V(mixed).
      type: dict
      returned: always
    nodes:
      description: The nodes that the blocks belong to.
      type: list
      elements: int
      returned: always
    changed:
      description: Whether a block of it was changed.
      type: bool
      returned: always
    results:
      description: One entry for each thing done to a block, in order. In check mode only C(id) and C(action).
      type: list
      elements: dict
      returned: always
      contains:
        id:
          description: The block's id.
          type: int
          returned: always
        action:
          description: The word that was written to its C(state).
          type: str
          returned: always
        errno:
          description: The error's name, or none.
          type: str
          returned: not in check mode
        milliseconds:
          description: How long the kernel took.
          type: float
          returned: not in check mode
        state:
          description: V(online) or V(offline), as it reads afterwards.
          type: str
          returned: not in check mode
        zone:
          description: The zone that it is in afterwards.
          type: str
          returned: not in check mode
repaired:
  description: What an earlier run that was killed had left behind and this one put right.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list", "elements": "dict", "required": True,
                "options": {
                    "memory_devices": {"type": "list", "elements": "str"},
                    "namespace": {"type": "str"},
                    "soft_reserved": {"type": "str"},
                    "node": {"type": "int"},
                    "start": {"type": "str"},
                    "size": {"type": "str"},
                    "state": {"type": "str", "choices": ["online", "offline"], "default": "online"},
                    "zone": {"type": "str", "choices": ["movable", "kernel"], "default": "movable"},
                    "count": {"type": "str", "default": "all"},
                },
                "mutually_exclusive": [["memory_devices", "namespace", "soft_reserved", "node", "start"]],
                "required_one_of": [["memory_devices", "namespace", "soft_reserved", "node", "start"]],
                "required_together": [["start", "size"]],
            },
            "block_timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before = amounts.apply(host, module.params["devices"], module.check_mode, module.params["block_timeout"])
    except TestbedError as exc:
        reached = getattr(exc, "results", [])
        module.fail_json(devices=reached, changed=bool(reached), **exc.fail_arguments())
    diff = {"before": {"devices": [amounts.outline(report) for report in before]}, "after": {"devices": [amounts.outline(report) for report in reports]}}
    module.exit_json(changed=changed or bool(repaired), devices=reports, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
