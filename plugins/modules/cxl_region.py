#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL RAM regions as declared state."""
from __future__ import annotations

DOCUMENTATION = r"""
module: cxl_region
short_description: Make or remove CXL memory regions
version_added: "0.1.0"
description:
  - Makes volatile (RAM) regions of CXL memory devices, or removes them, all regions of a host in one call.
  - The dax device of a new region is left without a driver, whatever the kernel would do by itself, so that
    M(memlab.testbed.dax_device) can decide where its memmap goes before any memory is added.
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
          - V(absent) removes it. It is refused while memory blocks of it are online, because the range would be lost until reboot.
        type: str
        choices: [present, absent]
        default: present
      size:
        description:
          - Bytes, or a number with K, M, G or T, or V(all) for as much as the devices and the memory window have.
          - A multiple of the host's memory block size, and of 256 MiB for each memory device.
          - Regions cannot be resized. One with another size than is wanted is an error.
        type: str
        default: all
      root_decoder:
        description: The memory window by the kernel's name, such as V(decoder0.0). By default the first that leads to the devices' host bridges and takes RAM.
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
    region:
      description: The kernel's name for it now.
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
      description: Bytes.
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
      returned: when present
    driver:
      description: The driver that has the dax device, or none.
      type: str
      returned: when present
    node:
      description: The node that its memory would belong to.
      type: int
      returned: when present
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
                    "size": {"type": "str", "default": "all"},
                    "root_decoder": {"type": "str"},
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
