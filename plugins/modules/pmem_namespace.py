#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Namespaces of persistent memory as declared state."""
from __future__ import annotations

DOCUMENTATION = r"""
module: pmem_namespace
short_description: Make, remake or remove namespaces of persistent memory
version_added: "0.1.0"
description:
  - Makes namespaces of NVDIMMs and of persistent CXL regions, all of a host in one call.
  - A namespace is known by its region and by its name or uuid. The kernel's names, such as C(namespace0.0), are returned and never asked for.
  - Nothing that holds data is changed unless O(namespaces[].allow_data_loss) says so. Data is every signature that C(wipefs) knows (file systems, partition
    tables, LVM, md, swap and more), the info block of another mode, a label with a name, and bytes that are not zero. What is mounted, open, mapped, swapped
    to, held by another device or online as memory is never changed. The refusal lists everything that was found.
  - Bytes without a signature are looked for in samples over the whole device, up to 32 MiB in all of it, beyond that in 8192 pages of 4 KiB,
    two in each of 4096 equal stretches. Little data between them can go unseen.
  - Dax devices of namespaces that it makes or enables go to device_dax, whatever other driver would take them by their names.
  - When something fails, what this call made is removed again, and the error says what stays.
  - What a run that was killed outright left disabled is enabled by the next run of any of these modules, not in check mode. A namespace with a label that it
    had destroyed to make it anew is gone, with its uuid and all that the task does not say of it. The next run makes it where the task says
    O(namespaces[].mode) and O(namespaces[].size), or O(namespaces[].state=present).
options:
  namespaces:
    description: The namespaces. What an entry does not say is not compared, and is chosen by C(ndctl) when the namespace is made.
    type: list
    elements: dict
    required: true
    suboptions:
      nvdimms:
        description:
          - The NVDIMMs of the region, by handle (V(0x1)) or unique id, as C(ndctl list -D) shows them. Their order does not count.
          - Exactly one of this and O(namespaces[].memory_devices).
        type: list
        elements: str
      memory_devices:
        description: The CXL memory devices of the persistent region, by serial number or PCI address, in their order in the interleave set.
        type: list
        elements: str
      name:
        description:
          - The name in its label, 1 to 63 printable bytes without spaces at the ends. Neither a uuid nor one like the kernel's own, such as V(pmem0).
          - Needed, or O(namespaces[].uuid), where the region has labels, because it can hold several namespaces.
          - On NVDIMMs with a label area that is blank, labels are made when a name or uuid is given. Without one, the whole region is the namespace.
          - NVDIMMs without a label area can have neither, nor another size. Their region is one namespace, and absent means raw there.
        type: str
      uuid:
        description: The uuid in its label. An existing namespace is also found by the uuid that C(ndctl list) shows, which is that of its info block.
        type: str
      state:
        description:
          - V(present) makes the namespace where there is none, or enables it. One that is not as declared is an error.
          - V(reconfigured) makes one that is not as declared anew, with the uuid that it had. Where there is none, O(namespaces[].mode) and
            O(namespaces[].size) have to be given.
          - V(absent) removes it. Where its region does not exist there is none to remove.
        type: str
        choices: [present, absent, reconfigured]
        default: present
      mode:
        description: What it is used as. A new one is fsdax unless something else is said.
        type: str
        choices: [raw, sector, fsdax, devdax]
      map:
        description:
          - Where the memmap of the namespace lies, in DRAM (V(mem)) or on itself (V(dev)), for fsdax and devdax. A new one has it on itself.
          - This is not the memmap of memory blocks, for which see M(memlab.testbed.dax_device).
        type: str
        choices: [mem, dev]
      size:
        description:
          - Bytes that it takes of its region, or a number with K, M, G or T, or V(all), which is as much as the region has in one piece.
          - A multiple of the region's alignment, 16 MiB for each NVDIMM, and of O(namespaces[].align) for each NVDIMM.
        type: str
      align:
        description: Alignment of its mappings, for fsdax and devdax, such as V(2M).
        type: str
      sector_size:
        description: Bytes of a sector, not for devdax.
        type: str
      allow_data_loss:
        description: Whether what it holds may be lost. What is in use is refused all the same.
        type: bool
        default: false
requirements:
  - C(ndctl) 71 or newer, and C(wipefs) of util-linux 2.33 or newer, on the host.
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
  - module: memlab.testbed.cxl_region
  - module: memlab.testbed.dax_device
  - module: memlab.testbed.memmap_facts
"""

EXAMPLES = r"""
- name: One namespace for a file system, and one that will be system RAM
  memlab.testbed.pmem_namespace:
    namespaces:
      - {nvdimms: ["0x1"], name: store, mode: fsdax, map: dev, size: 64G}
      - {memory_devices: ["0x5"], name: ram, mode: devdax, map: mem}

- name: Give up what it holds
  memlab.testbed.pmem_namespace:
    namespaces:
      - nvdimms: ["0x1"]
        name: store
        state: reconfigured
        mode: sector
        sector_size: 4096
        allow_data_loss: true
"""

RETURN = r"""
namespaces:
  description: The namespaces in the order of the task, as they are after it. In check mode, as they would be, as far as that can be known.
  returned: success
  type: list
  elements: dict
  contains:
    nvdimms:
      description: The names that the task gave.
      type: list
      elements: str
      returned: when given
    memory_devices:
      description: The names that the task gave.
      type: list
      elements: str
      returned: when given
    state:
      description: V(present) or V(absent).
      type: str
      returned: always
    changed:
      description: Whether this namespace was made, made anew, enabled or removed.
      type: bool
      returned: always
    lost:
      description: What it held, and what C(allow_data_loss) gave up.
      type: list
      elements: str
      returned: always
    name:
      description: The name in its label.
      type: str
      returned: always
    uuid:
      description: The uuid in its label, or in its info block where it has no label.
      type: str
      returned: always
    namespace:
      description: The kernel's name for it now.
      type: str
      returned: when present
    region:
      description: The kernel's name for its region on the bus C(nd) now, which is another numbering than that of CXL regions.
      type: str
      returned: when present
    enabled:
      description: Whether a driver has it.
      type: bool
      returned: when present
    mode:
      description: What it is used as, none while it is disabled.
      type: str
      returned: when present
    map:
      description: Where its memmap lies, V(mem) or V(dev), or none.
      type: str
      returned: when present
    size:
      description: Bytes that it takes of its region.
      type: int
      returned: when present
    usable_size:
      description: Bytes left of them for use.
      type: int
      returned: when present
    align:
      description: Alignment of its mappings in bytes.
      type: int
      returned: when present
    sector_size:
      description: Bytes of a sector.
      type: int
      returned: when present
    device:
      description: The kernel's name for its block device or dax device now.
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

from ansible_collections.memlab.testbed.plugins.module_utils.devices import namespaces, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "namespaces": {
                "type": "list", "elements": "dict", "required": True,
                "options": {
                    "nvdimms": {"type": "list", "elements": "str"},
                    "memory_devices": {"type": "list", "elements": "str"},
                    "name": {"type": "str"},
                    "uuid": {"type": "str"},
                    "state": {"type": "str", "choices": ["present", "absent", "reconfigured"], "default": "present"},
                    "mode": {"type": "str", "choices": ["raw", "sector", "fsdax", "devdax"]},
                    "map": {"type": "str", "choices": ["mem", "dev"]},
                    "size": {"type": "str"},
                    "align": {"type": "str"},
                    "sector_size": {"type": "str"},
                    "allow_data_loss": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode) as repaired:
            changed, reports, before = namespaces.apply(host, module.params["namespaces"], module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {"before": {"namespaces": [namespaces.outline(report) for report in before]},
            "after": {"namespaces": [namespaces.outline(report) for report in reports]}}
    module.exit_json(changed=changed or bool(repaired), namespaces=reports, repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
