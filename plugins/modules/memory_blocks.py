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
  - Puts the memory blocks of devices, nodes or address ranges online or offline, one by one, all of a host in one call.
  - With O(devices[].state=online) the amount is exact. What is online already counts, surplus is taken offline from the end, and a block in another
    zone than is wanted is taken offline and put online again. Neither is done to memory that no dax device brought.
  - With O(devices[].state=offline) at least the amount is offline afterwards. What is offline already counts, and nothing goes online for it.
  - The first block that refuses ends the call, and so does a condition of O(health) that does not hold, with the block, the error and what is online
    now in its message. O(on_failure) says what becomes of the blocks done before. The same task run again does only the rest.
  - Where a block does not go offline, the message and RV(devices[].unmovable) say which blocks hold pages that cannot be moved, and of what kind they
    are.
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
          - How many of the blocks are to be in O(devices[].state). V(all), a number of blocks, bytes with a unit, such as V(512M), or a share of its
            blocks, such as V(50%).
          - Bytes must be a multiple of the memory block. A share is rounded down to whole blocks; one that comes to less than a block is refused.
        type: str
        default: all
      order:
        description:
          - Whether blocks are changed from the lowest address upwards or from the highest downwards. This also says which ones are taken where
            O(devices[].count) is not all of them.
          - Blocks go online in V(ascending) and offline in V(descending) order unless this says otherwise.
        type: str
        choices: [ascending, descending]
  block_timeout:
    description:
      - Seconds that one memory block may last. The kernel tries for ever to move pages away that something holds; it is interrupted then, and the
        block stays online.
    type: float
    default: 60
  pause:
    description: Seconds to let pass between two memory blocks.
    type: float
    default: 0
  health:
    description: Conditions looked at before the first memory block and after each. One that does not hold ends the call like a block that refuses.
    type: dict
    suboptions:
      free_memory:
        description:
          - DRAM that must stay to be had, in bytes or with a unit, such as V(256M).
          - Counted are free pages above the high watermark, and the page cache that can be dropped, in the kernel's zones of nodes with memory that
            no dax device brought.
        type: str
      kernel_log:
        description:
          - Whether a line that tells of a warning, an oops, a lockup, a lack of memory or a memory error ends the call, when the kernel has logged it
            since the call began. Only the kernel's own lines count.
        type: bool
        default: false
      block_seconds:
        description: Seconds that no memory block may last longer than. Unlike O(block_timeout) it lets the block finish.
        type: float
  on_failure:
    description:
      - V(stop) keeps what was done.
      - V(rollback) puts every block that this call changed back into the state and zone it was in, the last one first. A block that cannot be put
        back is named in the message and does not keep the others from it. It is done for signals, too.
    type: str
    choices: [stop, rollback]
    default: stop
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

- name: Carefully half of a device, or nothing of it
  memlab.testbed.memory_blocks:
    devices:
      - memory_devices: ["0x1"]
        count: 50%
        order: descending
    pause: 2
    health:
      free_memory: 256M
      kernel_log: true
      block_seconds: 5
    on_failure: rollback
"""

RETURN = r"""
devices:
  description: One entry for each of the task's, in its order. In check mode, as they would be. On failure, as they are then.
  returned: always
  type: list
  elements: dict
  contains:
    memory_devices:
      description: The names that the task gave, where it gave these.
      type: list
      elements: str
      returned: when given
    namespace:
      description: The namespace that the task named.
      type: str
      returned: when given
    soft_reserved:
      description: The soft-reserved range that the task named.
      type: str
      returned: when given
    node:
      description: The node that the task named.
      type: int
      returned: when given
    start:
      description: The physical address that the task named.
      type: str
      returned: when given
    size:
      description: Bytes of the range at RV(devices[].start).
      type: int
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
          description: How long the kernel took, or none where a signal cut it short.
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
    undone:
      description: As C(results), of what was done to put blocks back.
      type: list
      elements: dict
      returned: failure, with O(on_failure=rollback)
    unscanned:
      description:
        - How many of the blocks that are to go offline have pages that were not looked at, so that RV(devices[].unmovable) may lack them. They are
          the last in turn where 10 seconds did not do, and all where C(/proc/kpageflags) cannot be read.
      type: int
      returned: failure, and in check mode when blocks are to go offline
    unmovable:
      description:
        - Blocks that hold pages which cannot be moved, the one that refused first, then those next in turn.
        - In check mode those that are to go offline. Free pages that a processor keeps for itself can then be counted as kernel memory.
      type: list
      elements: dict
      returned: failure, and in check mode when blocks are to go offline
      contains:
        id:
          description: The block's id.
          type: int
          returned: always
        pages:
          description: Kind to number of pages, kinds being C(slab), C(page table), C(poisoned) and C(kernel memory).
          type: dict
          returned: always
        memmap_of:
          description: Ids of other blocks whose memmap lies in it. They must be removed before it can go offline.
          type: list
          elements: int
          returned: always
        at:
          description: Physical address of the page at which the kernel gave up, or none.
          type: str
          returned: always
        said:
          description:
            - The kernel's reason and the kind of that page, or none. A C(migration failure) is a page that something holds, such as a device or a
              pipe.
          type: str
          returned: always
repaired:
  description: What an earlier run that was killed had left behind and this one put right.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import session, stepwise
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
                    "order": {"type": "str", "choices": ["ascending", "descending"]},
                },
                "mutually_exclusive": [["memory_devices", "namespace", "soft_reserved", "node", "start"]],
                "required_one_of": [["memory_devices", "namespace", "soft_reserved", "node", "start"]],
                "required_together": [["start", "size"]],
            },
            "block_timeout": {"type": "float", "default": 60},
            "pause": {"type": "float", "default": 0},
            "health": {
                "type": "dict",
                "options": {
                    "free_memory": {"type": "str"},
                    "kernel_log": {"type": "bool", "default": False},
                    "block_seconds": {"type": "float"},
                },
            },
            "on_failure": {"type": "str", "choices": ["stop", "rollback"], "default": "stop"},
        },
        supports_check_mode=True,
    )
    host, given = Host(), module.params
    try:
        manner = stepwise.Manner(given["block_timeout"], given["pause"], given["health"], given["on_failure"])
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before = stepwise.apply(host, given["devices"], module.check_mode, manner)
    except TestbedError as exc:
        module.fail_json(devices=getattr(exc, "results", []), **exc.fail_arguments())
    diff = {when: {"devices": [stepwise.outline(report) for report in found]} for when, found in (("before", before), ("after", reports))}
    module.exit_json(changed=changed or bool(repaired), devices=reports, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
