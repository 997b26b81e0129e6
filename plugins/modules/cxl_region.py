#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL regions as declared state."""
from __future__ import annotations

DOCUMENTATION = r"""
module: cxl_region
short_description: Make or remove CXL memory regions, volatile or persistent
version_added: "0.1.0"
description:
  - Makes regions of CXL memory devices, volatile (ram) or persistent (pmem), or removes them, all regions of a host in one call.
  - The dax device of a new ram region is left without a driver, whatever the kernel would do by itself, so that
    M(memlab.testbed.dax_device) can decide where its memmap goes before any memory is added.
  - A pmem region has no dax device. The kernel makes an NVDIMM region of it, which is where namespaces are made, with their labels on the devices.
  - Regions are made from the lowest address up and removed from the highest down, in whatever order they are listed, because the decoders
    of a host bridge or switch take addresses in ascending order only.
  - What cannot be made is refused before anything is changed, with the reason. The kernel answers most of these cases with one error number.
  - A region is known by the memory devices that it is made of, in their order. The kernel's names, such as C(region0), are returned and never asked for.
options:
  regions:
    description: The regions, each by its memory devices.
    type: list
    elements: dict
    required: true
    suboptions:
      memory_devices:
        description:
          - Memory devices by serial number (V(1) or V(0x1)) or PCI address (V(0000:0d:00.0)), in their order in the interleave set.
          - Quote PCI addresses, YAML takes some of them for numbers.
        type: list
        elements: str
        required: true
      state:
        description:
          - V(present) makes the region where there is none.
          - V(absent) removes it, or what is left of one that was not set up to its end.
          - Removing is refused while memory blocks of it are online, because the range would be lost until reboot, and while a program has a dax
            device of it open or mapped.
        type: str
        choices: [present, absent]
        default: present
      type:
        description:
          - Made of the devices' volatile capacity, V(ram), or of their persistent capacity, V(pmem).
          - A device that has both can be in a region of each. The volatile one is made first and removed last.
        type: str
        choices: [ram, pmem]
        default: ram
      size:
        description:
          - Bytes, or a number with K, M, G or T, or V(all) for as much as the devices and the memory window have.
          - A multiple of 256 MiB for each memory device, and for V(ram) of the host's memory block size.
          - Regions cannot be resized. One with another size than is wanted is an error.
        type: str
        default: all
      granularity:
        description:
          - Bytes on one memory device before the next one's turn, V(256) to V(16K), a power of two. By default the memory window's.
          - A window that interleaves host bridges allows no other than its own.
        type: str
      root_decoder:
        description:
          - The memory window by the kernel's name, such as V(decoder0.0).
          - By default the first one, those for this type alone before others, that leads to exactly the devices' host bridges, takes the type, has the room,
            and whose interleaving fits the devices' number, order and granularity.
        type: str
      allow_data_loss:
        description:
          - Whether a pmem region may be removed although there are namespaces in it, a ram region although its dax devices in mode devdax hold more than zeros.
            What is mounted, open or online as memory is never removed.
          - The labels and contents of a pmem region stay on the devices. The same region, made again, brings its namespaces back; another one does not.
        type: bool
        default: false
      memory:
        description:
          - What M(memlab.testbed.dax_device) and M(memlab.testbed.memory_blocks) are going to be asked to make of a ram region.
          - Nothing is made of it here. A region is refused before it is made where its size, the kernel or free DRAM do not allow that.
        type: dict
        suboptions:
          memmap:
            description: Where the struct pages go, as for M(memlab.testbed.dax_device).
            type: str
            choices: [device, dram]
          parts:
            description: What the region is to be divided in, as for M(memlab.testbed.dax_device).
            type: list
            elements: dict
            suboptions:
              size:
                description: Bytes, or a number with K, M, G or T. V(all) for the last part means what is left.
                type: str
                required: true
              mode:
                description: What this one is to be.
                type: str
                choices: [system-ram, devdax]
                default: system-ram
              memmap:
                description: As O(regions[].memory.memmap), which it defaults to.
                type: str
                choices: [device, dram]
          count:
            description: How many memory blocks are to go online, as for M(memlab.testbed.memory_blocks).
            type: str
requirements:
  - The C(cxl) tool (ndctl 81 or newer) and Linux 6.4 or newer on the host.
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
  - module: memlab.testbed.memory_blocks
"""

EXAMPLES = r"""
- name: Make one region of each of two memory devices
  memlab.testbed.cxl_region:
    regions:
      - memory_devices: ["0x1"]
      - memory_devices: ["0000:41:00.0"]
        size: 512M

- name: Interleave two memory devices below two host bridges, and make a region of a persistent one
  memlab.testbed.cxl_region:
    regions:
      - memory_devices: ["0x2", "0x3"]
        granularity: 4K
      - memory_devices: ["0x5"]
        type: pmem

- name: Remove a region whose memory blocks are offline
  memlab.testbed.cxl_region:
    regions:
      - memory_devices: ["0x1"]
        state: absent
"""

RETURN = r"""
regions:
  description: The regions in the order of the task, as they are after it. In check mode, as they would be, as far as that can be known.
  returned: success
  type: list
  elements: dict
  contains:
    memory_devices:
      description: The names that the task gave.
      type: list
      elements: str
      returned: always
    state:
      description: V(present) or V(absent).
      type: str
      returned: always
    changed:
      description: Whether this region was made or removed.
      type: bool
      returned: always
    serials:
      description: Serial numbers of the memory devices.
      type: list
      elements: str
      returned: when known
    pci:
      description: PCI addresses of the memory devices.
      type: list
      elements: str
      returned: when known
    type:
      description: V(ram) or V(pmem), as the task says.
      type: str
      returned: always
    region:
      description: The kernel's name for it now, on the CXL bus.
      type: str
      returned: when present
    root_decoder:
      description: The memory window that it is in.
      type: str
      returned: when present
    mode:
      description: The kind of region.
      type: str
      returned: when present
    size:
      description: Bytes; none where the kernel does not tell, of a region that is being made or taken down.
      type: int
      returned: when present
    start:
      description: Physical address of its first byte.
      type: int
      returned: when present
    ways:
      description: Memory devices that it interleaves.
      type: int
      returned: when present
    granularity:
      description: Bytes on one device before the next one's turn.
      type: int
      returned: when present
    dax:
      description: The kernel's name for its dax device now.
      type: str
      returned: when a ram region is present
    driver:
      description: The driver that has the dax device, or none.
      type: str
      returned: when a ram region is present
    node:
      description: The node that its memory would belong to.
      type: int
      returned: when a ram region is present
    nvdimm_region:
      description: The kernel's name for the NVDIMM region that it appears as now. It is not the name on the CXL bus, even where both read alike.
      type: str
      returned: when a pmem region is present
    available:
      description: Bytes that are in no namespace.
      type: int
      returned: when a pmem region is present
    namespaces:
      description: Namespaces in it, each with C(name), C(uuid) and C(size).
      type: list
      elements: dict
      returned: when a pmem region is present
repaired:
  description: What an earlier run that was killed had left behind and this one put right.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import regions, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "regions": {
                "type": "list", "elements": "dict", "required": True,
                "options": {
                    "memory_devices": {"type": "list", "elements": "str", "required": True},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "type": {"type": "str", "choices": ["ram", "pmem"], "default": "ram"},
                    "size": {"type": "str", "default": "all"},
                    "granularity": {"type": "str"},
                    "root_decoder": {"type": "str"},
                    "allow_data_loss": {"type": "bool", "default": False},
                    "memory": {
                        "type": "dict",
                        "options": {
                            "memmap": {"type": "str", "choices": ["device", "dram"]},
                            "parts": {
                                "type": "list", "elements": "dict",
                                "options": {
                                    "size": {"type": "str", "required": True},
                                    "mode": {"type": "str", "choices": ["system-ram", "devdax"], "default": "system-ram"},
                                    "memmap": {"type": "str", "choices": ["device", "dram"]},
                                },
                            },
                            "count": {"type": "str"},
                        },
                    },
                },
            },
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before = regions.apply(host, module.params["regions"], module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {"before": {"regions": [regions.outline(report) for report in before]}, "after": {"regions": [regions.outline(report) for report in reports]}}
    module.exit_json(changed=changed or bool(repaired), regions=reports, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
