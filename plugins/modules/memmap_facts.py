#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the memmap of a host's memory lies, and how that is known."""
from __future__ import annotations

DOCUMENTATION = r"""
module: memmap_facts
short_description: Tell where the memmap of memory blocks lies, with proof
version_added: "0.1.0"
description:
  - Reads memory blocks, memory nodes, dax devices and NVDIMM namespaces, and finds out for each block on which pages its struct pages (its memmap) lie.
  - There are three proofs. V(page_tables) walks the kernel's page tables through C(/proc/kcore), and also covers offline blocks. V(page_flags) reads
    C(/proc/kpageflags) and tells for online blocks whether they host their own memmap. V(zone_accounting) compares present and managed pages in
    C(/proc/zoneinfo), on nodes whose memory is all hot-added.
  - A proof that cannot be had is listed with the reason. Where no proof speaks, the placement is V(unknown). Where proofs contradict each other, it is
    V(unknown) too and the contradiction is listed under C(conflicts). The knob of a device and the boot parameter are never taken as proof.
  - No kernel virtual address is returned. Physical addresses are.
options:
  gather:
    description:
      - V(ranges) returns runs of blocks that are alike, so that tens of thousands of blocks are a short list.
      - V(blocks) returns one entry per block as well.
    type: str
    choices: [ranges, blocks]
    default: ranges
  sysroot:
    description:
      - Directory with a recorded C(/proc) and C(/sys) to read instead of the running machine, such as an unpacked archive of C(scripts/record_capture.py).
    type: path
    default: /
  proofs:
    description: The proofs to try.
    type: list
    elements: str
    choices: [page_tables, page_flags, zone_accounting]
    default: [page_tables, page_flags, zone_accounting]
author:
  - memlab.testbed contributors (@memlab)
notes:
  - V(page_tables) and V(page_flags) need root. V(page_tables) is unavailable under kernel lockdown at the confidentiality level.
  - V(page_tables) knows x86-64, with 4 and 5 levels of page tables.
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
  - memlab.testbed.attributes.info_module
attributes:
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.dax_device
  - module: memlab.testbed.memory_blocks
"""

EXAMPLES = r"""
- name: Find out where the memmap lies
  memlab.testbed.memmap_facts:

- name: Check that each memory device hosts its own
  ansible.builtin.assert:
    that: ansible_facts.memmap.devices | rejectattr('placement', 'equalto', 'self') | length == 0

- name: Look at the capture of another machine
  memlab.testbed.memmap_facts:
    sysroot: /var/tmp/capture
    gather: blocks
"""

RETURN = r"""
ansible_facts:
  description: The facts. Sizes and addresses are bytes, addresses physical. Node ids are strings where they are keys.
  returned: success
  type: dict
  contains:
    memmap:
      description: Where the memmap lies.
      returned: success
      type: dict
      contains:
        kernel:
          description: What the kernel is and can do.
          returned: success
          type: dict
          contains:
            release:
              description: The kernel's release.
              returned: success
              type: str
            page_size:
              description: Bytes in a page.
              returned: success
              type: int
            struct_page_size:
              description: Bytes in a struct page. None where the kernel does not tell.
              returned: success
              type: int
            block_size:
              description: Bytes in a memory block.
              returned: success
              type: int
            memmap_per_block:
              description: Bytes of memmap for a memory block.
              returned: success
              type: int
            memmap_on_memory:
              description: The boot parameter C(memory_hotplug.memmap_on_memory) as it reads, or none where the kernel has none.
              returned: success
              type: str
            supported:
              description: Whether the kernel can keep the memmap of a device on that device. None where that cannot be told.
              returned: success
              type: bool
            why_not:
              description: The reason where RV(ansible_facts.memmap.kernel.supported) is not V(true).
              returned: success
              type: str
        ranges:
          description: Neighbouring memory blocks that are alike in all that is said of them here.
          returned: success
          type: list
          elements: dict
          contains:
            first_block:
              description: Id of the first block.
              returned: success
              type: int
            last_block:
              description: Id of the last block.
              returned: success
              type: int
            blocks:
              description: How many blocks.
              returned: success
              type: int
            start:
              description: Address of the first byte.
              returned: success
              type: int
            size:
              description: Bytes in all.
              returned: success
              type: int
            state:
              description: V(online), V(offline) or V(going-offline).
              returned: success
              type: str
            zone:
              description: Zone of online blocks. V(none) is the kernel's word for a block in several zones.
              returned: success
              type: str
            node:
              description: Memory node. None for a block on several nodes.
              returned: success
              type: int
            device:
              description: >-
                Name of the dax device that the memory belongs to, whatever driver has it now. "System RAM (kmem)" where that device is gone and left its
                memory behind. None for memory that the machine booted with.
              returned: success
              type: str
            placement:
              description:
                - V(self) where the memmap of each block is exactly the block's first pages. V(same_node) where it is elsewhere on the block's node,
                  V(other_node) where it is on other nodes (DRAM, or another device's memory), V(mixed) where it is on both.
                - V(unknown) where no proof speaks, or proofs contradict each other.
              returned: success
              type: str
            memmap_bytes:
              description: Bytes of memmap, as far as known.
              returned: success
              type: int
            memmap_nodes:
              description: Bytes of memmap on each node. V(unknown) is the key for memory whose node is not known.
              returned: success
              type: dict
            memmap_devices:
              description:
                - Bytes of memmap on the memory of each dax device, by the names that RV(ansible_facts.memmap.ranges[].device) has.
                  Empty where all of it is on memory that the machine booted with.
                - Tells slow memory from DRAM where node ids do not, as the other node may be that of another device, and the device's own may have DRAM, too.
              returned: success
              type: dict
            memmap:
              description: Physical runs of the memmap, as C(start) and C(size). The first eight of them.
              returned: success
              type: list
              elements: dict
            memmap_runs:
              description: How many physical runs there are.
              returned: success
              type: int
            proofs:
              description: The proofs that the placement rests on.
              returned: success
              type: list
              elements: str
        blocks:
          description: >-
            One entry per block, with C(id), C(start), C(size), C(state), C(zone), C(node), C(device), C(placement), C(memmap_nodes), C(memmap_devices),
            C(memmap) and C(proofs), as in RV(ansible_facts.memmap.ranges).
          returned: if O(gather=blocks)
          type: list
          elements: dict
        devices:
          description: Dax devices.
          returned: success
          type: list
          elements: dict
          contains:
            name:
              description: The kernel's name, which may differ after the next boot.
              returned: success
              type: str
            mode:
              description: V(system-ram), V(devdax), or none for a device without a driver.
              returned: success
              type: str
            driver:
              description: The kernel's name for its driver.
              returned: success
              type: str
            intent:
              description: What the device's knob C(memmap_on_memory) asks for, V(device) or V(dram). None where the kernel has no such knob. Not a proof.
              returned: success
              type: str
            target_node:
              description: Memory node that the device's memory belongs to.
              returned: success
              type: int
            size:
              description: Bytes of the device.
              returned: success
              type: int
            ranges:
              description: Its physical ranges, as C(start) and C(size). None where only root may know.
              returned: success
              type: list
              elements: dict
            blocks:
              description: >-
                How many blocks are C(online) and C(offline), and how many C(absent) although the device has room for them. None where only root may know.
              returned: success
              type: dict
            zones:
              description: Zones of its online blocks.
              returned: success
              type: list
              elements: str
            placement:
              description: >-
                As in RV(ansible_facts.memmap.ranges[].placement), for all its blocks. V(mixed) also where they differ. None for a device without blocks.
              returned: success
              type: str
            memmap_bytes:
              description: Bytes of memmap of its blocks, as far as known.
              returned: success
              type: int
            memmap_nodes:
              description: Bytes of memmap of its blocks on each node.
              returned: success
              type: dict
            memmap_devices:
              description: Bytes of memmap of its blocks on the memory of each dax device, this one or others.
              returned: success
              type: dict
            proofs:
              description: The proofs that speak of all its blocks.
              returned: success
              type: list
              elements: str
            region:
              description: Name of the CXL region that it belongs to.
              returned: success
              type: str
            memory_devices:
              description: CXL memory devices of that region in order of position, each with C(name), C(serial) (a number) and C(pci) (its address).
              returned: success
              type: list
              elements: dict
            namespace:
              description: The C(name), C(label) and C(uuid) of the namespace of persistent memory that it belongs to, or none.
              returned: success
              type: dict
            soft_reserved:
              description: Physical address at which the soft-reserved range begins that it is on, or none.
              returned: success
              type: int
        regions:
          description: >-
            CXL regions, with C(name) (the kernel's), C(type) (V(ram) or V(pmem)), C(start) (none where only root may know), C(size), C(ways), C(granularity),
            C(root_decoder), and C(memory_devices) as in RV(ansible_facts.memmap.devices[].memory_devices).
          returned: success
          type: list
          elements: dict
        namespaces:
          description: >-
            Namespaces of NVDIMM and CXL persistent memory, with C(name) (the kernel's), C(label) (the name in its label), C(region) (C(nvdimms), handles, and
            C(memory_devices), serial numbers, that its region is made of), C(mode), C(enabled), C(size), C(map) (V(mem), V(dev) or V(none), where the
            namespace's own memmap lies), C(overhead_bytes) (what that and its metadata take), C(align), C(sector_size), C(uuid) (as C(ndctl) shows it),
            C(label_uuid), C(node) and C(dax) (its device on the nd bus).
          returned: success
          type: list
          elements: dict
        nodes:
          description: >-
            Memory nodes, with C(id), C(memory) and C(free) in bytes, C(cpus), C(blocks) (counts C(online) and C(offline)), and C(device_only), true where all
            of its memory belongs to dax devices.
          returned: success
          type: list
          elements: dict
        proofs:
          description: For each proof, whether it is C(available), and C(why_not).
          returned: success
          type: dict
        conflicts:
          description: Contradictions, with C(first_block), C(last_block), C(node), and C(statements), a dictionary of what each source says.
          returned: success
          type: list
          elements: dict
  sample:
    memmap:
      ranges:
        - {first_block: 338, last_block: 345, blocks: 8, start: 45365592064, size: 1073741824, state: online, zone: Movable, node: 1, device: dax0.0,
           placement: self, memmap_bytes: 16777216, memmap_nodes: {"1": 16777216}, memmap_runs: 8,
           proofs: [page_tables, page_flags, zone_accounting]}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts


def main():
    module = AnsibleModule(
        argument_spec={
            "gather": {"type": "str", "choices": ["ranges", "blocks"], "default": "ranges"},
            "sysroot": {"type": "path", "default": "/"},
            "proofs": {"type": "list", "elements": "str", "choices": list(facts.PROOFS), "default": list(facts.PROOFS)},
        },
        supports_check_mode=True,
    )
    try:
        found = facts.collect(Host(module.params["sysroot"]), module.params["gather"], module.params["proofs"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, ansible_facts={"memmap": found})


if __name__ == "__main__":
    main()
