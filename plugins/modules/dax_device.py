#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as system RAM, with their memmap on the device or in DRAM, or as devdax."""
from __future__ import annotations

DOCUMENTATION = r"""
module: dax_device
short_description: Make memory of dax devices, with the memmap where it is wanted, or hand them to programs
version_added: "0.1.0"
description:
  - Gives dax devices to kmem, which makes memory blocks of them, or to device_dax, through which programs map them. All devices of a host in one call.
  - A device belongs to a CXL region, to a devdax namespace or to memory that firmware calls soft-reserved. The task names one of these. Regions of
    volatile memory can be divided into several devices.
  - The knob C(memmap_on_memory) of each device is written before kmem sees it. The new memory blocks are left offline, for M(memlab.testbed.memory_blocks).
  - What is asked for is what comes out, or an error. Nothing falls back to another placement. Where the kernel's page tables can be read, they are asked.
    RV(devices[].proven) says whether they were.
  - When something fails, what this call had changed is put back, and the error says so.
options:
  devices:
    description: The dax devices, each named by exactly one of O(devices[].memory_devices), O(devices[].namespace) and O(devices[].soft_reserved).
    type: list
    elements: dict
    required: true
    suboptions:
      memory_devices:
        description: Memory devices of a CXL ram region by serial number or PCI address, as for M(memlab.testbed.cxl_region).
        type: list
        elements: str
      namespace:
        description: A namespace in mode devdax, by its name or its uuid.
        type: str
      soft_reserved:
        description: Memory that firmware calls soft-reserved, by the physical address where it begins, such as V(0x240000000).
        type: str
      mode:
        description:
          - What the device is to be. V(system-ram) gives it to kmem, V(devdax) to device_dax.
          - System RAM overwrites what a device in mode devdax holds. Such a change is refused where it holds data, unless O(devices[].allow_data_loss) says
            otherwise.
        type: str
        choices: [system-ram, devdax]
        default: system-ram
      memmap:
        description:
          - Where the struct pages of its memory go. Needed with O(devices[].mode=system-ram), and only there.
          - V(device) puts them in the first pages of each memory block. It needs the boot parameter C(memory_hotplug.memmap_on_memory=1), Linux 6.8 or
            newer, and a memory block size that the kernel can do it with.
          - V(dram) puts them in memory that no device brought. It is refused when they do not fit in free DRAM, and when the kernel would
            take them from a device, because it is on the same or a nearer node and has memory online in a kernel zone.
        type: str
        choices: [device, dram]
      offline:
        description: Allow the memory blocks of the device to be taken offline where its memmap or its mode has to change. They are left offline.
        type: bool
        default: false
      allow_data_loss:
        description:
          - Allow what a device in mode devdax holds to be lost. Its contents carry no signature, so they count as data unless they read as zero, be the memory
            persistent or not, and also where they are only what was left of system RAM. A namespace's label does not count, since it stays as it is.
          - What is open or mapped is never taken away.
        type: bool
        default: false
      count:
        description:
          - How many memory blocks of it M(memlab.testbed.memory_blocks) is going to be asked for.
          - What the device does not have is refused before anything is changed. Nothing goes online here.
        type: str
      parts:
        description:
          - Divides the region into several dax devices, one after another from its start. What the list leaves over stays unused.
          - Parts that are there already, from the first on, stay as they are. The others are removed and made anew.
          - Where it is absent, the region has to be whole.
        type: list
        elements: dict
        suboptions:
          size:
            description: Bytes, or a number with K, M, G or T. A multiple of the host's memory block. V(all) for the last part means what is left.
            type: str
            required: true
          mode:
            description: As O(devices[].mode), which it defaults to.
            type: str
            choices: [system-ram, devdax]
          memmap:
            description: As O(devices[].memmap), which is taken for parts in mode V(system-ram) that have none.
            type: str
            choices: [device, dram]
  block_timeout:
    description: Seconds that taking one memory block offline may last, above 0 and at most 86400.
    type: float
    default: 60
  reboot_pending:
    description:
      - An earlier task has set the boot parameter C(memory_hotplug.memmap_on_memory) and would have restarted the host, but for check mode.
      - In check mode the parameter then counts as set. Otherwise this has no effect.
    type: bool
    default: false
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

- name: Make memory of an NVDIMM whose contents may go, and of soft-reserved memory
  memlab.testbed.dax_device:
    devices:
      - namespace: data
        memmap: device
        allow_data_loss: true
      - soft_reserved: "0x240000000"
        memmap: dram

- name: Give a program half of a memory device, and the kernel the other half
  memlab.testbed.dax_device:
    devices:
      - memory_devices: ["0x1"]
        memmap: device
        parts:
          - {size: 512M, mode: devdax}
          - {size: all}
"""

RETURN = r"""
devices:
  description:
    - The devices in the order of the task, as they are after it, one for each part where there are parts.
    - In check mode, as they would be, as far as that can be known.
  returned: success
  type: list
  elements: dict
  contains:
    memory_devices:
      description: The names that the task gave.
      type: list
      elements: str
      returned: when named so
    namespace:
      description: The name that the task gave.
      type: str
      returned: when named so
    soft_reserved:
      description: The address that the task gave.
      type: str
      returned: when named so
    part:
      description: Number of the part, from 0.
      type: int
      returned: when there are parts
    mode:
      description: V(system-ram), V(devdax), or none without a driver.
      type: str
      returned: always
    memmap:
      description: The placement that the task gave, none for V(devdax). M(memlab.testbed.memmap_facts) proves it.
      type: str
      returned: always
    changed:
      description: Whether this device was changed.
      type: bool
      returned: always
    lost:
      description: What the change overwrites, as O(devices[].allow_data_loss) allows.
      type: list
      elements: str
      returned: when there is such
    proven:
      description: Whether the kernel's page tables show its memmap to be where it was asked for.
      returned: in mode V(system-ram), in check mode only where nothing is to be changed
      type: bool
    unproven:
      description: Why that is not proven. M(memlab.testbed.memmap_facts) has other proofs, for memory blocks that are online.
      returned: when it is not proven
      type: str
    size:
      description: Bytes of the dax device.
      type: int
      returned: when its region exists
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
      description: Memory blocks that it has as system RAM.
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
                    "memory_devices": {"type": "list", "elements": "str"},
                    "namespace": {"type": "str"},
                    "soft_reserved": {"type": "str"},
                    "mode": {"type": "str", "choices": ["system-ram", "devdax"], "default": "system-ram"},
                    "memmap": {"type": "str", "choices": ["device", "dram"]},
                    "offline": {"type": "bool", "default": False},
                    "allow_data_loss": {"type": "bool", "default": False},
                    "count": {"type": "str"},
                    "parts": {
                        "type": "list", "elements": "dict",
                        "options": {
                            "size": {"type": "str", "required": True},
                            "mode": {"type": "str", "choices": ["system-ram", "devdax"]},
                            "memmap": {"type": "str", "choices": ["device", "dram"]},
                        },
                    },
                },
                "mutually_exclusive": [["memory_devices", "namespace", "soft_reserved"]],
                "required_one_of": [["memory_devices", "namespace", "soft_reserved"]],
            },
            "block_timeout": {"type": "float", "default": 60},
            "reboot_pending": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before, policy = system_ram.apply(host, module.params["devices"], module.check_mode, module.params["block_timeout"],
                                                                module.params["reboot_pending"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {"before": {"devices": [system_ram.outline(report) for report in before]}, "after": {"devices": [system_ram.outline(report) for report in reports]}}
    module.exit_json(changed=changed or bool(repaired), devices=reports, auto_online_blocks=policy, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
