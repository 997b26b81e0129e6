#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as system RAM, with their memmap on the device or in DRAM."""
from __future__ import annotations

DOCUMENTATION = r"""
module: dax_device
short_description: Make memory of dax devices, with the memmap where it is wanted
version_added: "0.1.0"
description:
  - Gives the dax devices of CXL regions to kmem, which makes memory blocks of them, all devices of a host in one call.
  - The knob C(memmap_on_memory) of each device is written before kmem sees it. The new memory blocks are left offline, for M(memlab.testbed.memory_blocks).
  - What is asked for is what comes out, or an error. Nothing falls back to another placement.
  - When something fails, what this call had changed is put back, and the error says so.
options:
  devices:
    description: The dax devices, each by the memory devices of its region.
    type: list
    elements: dict
    required: true
    suboptions:
      memory_devices:
        description: Memory devices of the region by serial number or PCI address, as for M(memlab.testbed.cxl_region).
        type: list
        elements: str
        required: true
      mode:
        description: What the device is to be. V(system-ram) gives it to kmem.
        type: str
        choices: [system-ram]
        default: system-ram
      memmap:
        description:
          - Where the struct pages of its memory go.
          - V(device) puts them in the first pages of each memory block. It needs the boot parameter C(memory_hotplug.memmap_on_memory=1), Linux 6.8 or
            newer, and a memory block size that the kernel can do it with.
          - V(dram) puts them in memory that no device brought. It is refused when they do not fit in free DRAM, and when the kernel would
            take them from a device, because it is on the same or a nearer node and has memory online in a kernel zone.
        type: str
        choices: [device, dram]
        required: true
      offline:
        description: Allow the memory blocks of the device to be taken offline where its memmap has to move. They are left offline.
        type: bool
        default: false
  block_timeout:
    description: Seconds that taking one memory block offline may last.
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
    details:
      - The kernel is not asked whether it would put a memmap on the device, because that takes a write. The boot parameter is looked at.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.cxl_region
  - module: memlab.testbed.memory_blocks
"""

EXAMPLES = r"""
- name: Make memory of two devices, one with its memmap on the device, one with it in DRAM
  memlab.testbed.dax_device:
    devices:
      - memory_devices: ["0x1"]
        memmap: device
      - memory_devices: ["0x2"]
        memmap: dram

- name: Move a memmap to DRAM, taking memory blocks offline for it
  memlab.testbed.dax_device:
    devices:
      - memory_devices: ["0x1"]
        memmap: dram
        offline: true
"""

RETURN = r"""
devices:
  description: The devices in the order of the task, as they are after it. In check mode, as they would be, as far as that can be known.
  returned: success
  type: list
  elements: dict
  contains:
    memory_devices:
      description: The names that the task gave.
      type: list
      elements: str
      returned: always
    mode:
      description: V(system-ram), V(devdax), or none without a driver.
      type: str
      returned: always
    memmap:
      description: The placement that the task gave. It is proven by M(memlab.testbed.memmap_facts), not here.
      type: str
      returned: always
    changed:
      description: Whether this device was changed.
      type: bool
      returned: always
    dax:
      description: The kernel's name for it now.
      type: str
      returned: when its region exists
    driver:
      description: The driver that has it.
      type: str
      returned: when its region exists
    knob:
      description: What C(memmap_on_memory) of the device reads. None where the kernel has no such file.
      type: bool
      returned: when its region exists
    node:
      description: The node that its memory belongs to.
      type: int
      returned: when its region exists
    blocks:
      description: Memory blocks that it has.
      type: int
      returned: when its region exists
    blocks_online:
      description: How many of them are online.
      type: int
      returned: when its region exists
    first_block:
      description: Id of the first of them.
      type: int
      returned: when its region exists
    bytes:
      description: Bytes in its memory blocks.
      type: int
      returned: when its region exists
    unused_bytes:
      description: Bytes of the device that no whole memory block covers.
      type: int
      returned: when its region exists
auto_online_blocks:
  description: The host's auto-online policy. It was held at C(offline) meanwhile and is the same again.
  returned: success
  type: str
repaired:
  description: What an earlier run that was killed had left behind and this one put right.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import session, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list", "elements": "dict", "required": True,
                "options": {
                    "memory_devices": {"type": "list", "elements": "str", "required": True},
                    "mode": {"type": "str", "choices": ["system-ram"], "default": "system-ram"},
                    "memmap": {"type": "str", "choices": ["device", "dram"], "required": True},
                    "offline": {"type": "bool", "default": False},
                },
            },
            "block_timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before, policy = system_ram.apply(host, module.params["devices"], module.check_mode, module.params["block_timeout"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {"before": {"devices": [system_ram.outline(report) for report in before]}, "after": {"devices": [system_ram.outline(report) for report in reports]}}
    module.exit_json(changed=changed or bool(repaired), devices=reports, auto_online_blocks=policy, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
