# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory plugin: the guests of a testbed file are the hosts."""
from __future__ import annotations

DOCUMENTATION = r"""
name: qemu
short_description: Guests declared in a testbed file
version_added: "0.1.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Lists the emulated hosts that a testbed file declares. The role P(memlab.testbed.qemu_testbed#role) creates them from the same file.
  - The file is validated completely, as it is before a guest is started. A mistake is one line that names the file, the guest and the key.
  - The file's name ends in C(.qemu.yml) or C(.qemu.yaml). What it declares is read as it stands, without templates.
  - A guest is listed whether it runs or not. C(ansible_port) is there only while it runs.
  - Nothing is cached.
  - Every guest is in the groups C(testbed) and C(testbed_NAME), where C(NAME) is the testbed's name with C(_) for C(-), and in the groups it declares.
  - Sizes are bytes, or a number with K, M, G or T (powers of 1024).
  - Names start with a small letter and go on with small letters, digits, C(_) and C(-), guests' names with single dots, too.
    Names of bridges, ports, switches and devices are
    different from each other within a guest.
options:
  plugin:
    description: Marks a testbed file.
    type: str
    required: true
    choices: [memlab.testbed.qemu]
  testbed:
    description: Name of the testbed. Its keys, disks and sockets are kept under this name in the cache directory.
    type: str
    required: true
  defaults:
    description: Keys of a guest, for every guest that does not have them itself. A key is taken whole, not merged.
    type: dict
    default: {}
  guests:
    description: Name of each guest, and what it is made of.
    type: dict
    required: true
    suboptions:
      memory:
        description: RAM at start, all nodes together.
        type: str
        default: 2G
      cpus:
        description: Number of processors.
        type: int
        default: 2
      max_memory:
        description: RAM and DIMMs together, up to which memory can be plugged. By default what is there at start.
        type: str
      slots:
        description: Number of DIMMs, NVDIMMs among them, that can be plugged. By default the number of NVDIMMs.
        type: int
      image:
        description: What the guest boots, see the role P(memlab.testbed.guest_image#role).
        type: dict
        suboptions:
          suite:
            description: Debian suite.
            type: str
            default: trixie
          packages:
            description: Packages beside those that the testbed needs.
            type: list
            elements: str
            default: []
          kernel_package:
            description: Kernel package instead of the suite's default one.
            type: str
          backports_kernel:
            description: Whether the kernel comes from the suite's backports.
            type: bool
            default: false
          kernel_file:
            description:
              - Absolute path of a kernel's Debian package on the controller, in place of a kernel from the mirror. Only with C(loader=qemu), because
                a guest with a boot loader has packages installed in it.
            type: str
          loader:
            description:
              - What starts the kernel. V(qemu) does it itself, which is fast. V(grub) and V(systemd-boot) are started by firmware from the guest's own disk,
                as on a host, and the guest keeps its boot parameters itself.
            type: str
            choices: [qemu, grub, systemd-boot]
            default: qemu
      kernel_parameters:
        description: Boot parameters, one in each item.
        type: list
        elements: str
        default: []
      hypervisor_bit:
        description:
          - Whether the guest's processors say that they are virtual. A kernel that sees it commits no CXL region, unless it was built with
            C(CONFIG_CXL_REGION_INVALIDATION_TEST); this is for seeing that failure.
        type: bool
        default: false
      watchdog:
        description: Whether the guest has a watchdog timer (i6300esb) that resets it when it was started and nobody feeds it.
        type: bool
        default: false
      groups:
        description: Further inventory groups of the guest.
        type: list
        elements: str
        default: []
      vars:
        description: Further variables of the host, as in any inventory.
        type: dict
        default: {}
      numa:
        description: NUMA nodes and what HMAT says of them. By default one node with everything.
        type: dict
        suboptions:
          nodes:
            description: The place in the list is the node's number.
            type: list
            elements: dict
            suboptions:
              memory:
                description: RAM of the node. A node without RAM is a place for an NVDIMM.
                type: str
                default: "0"
              cpus:
                description: Numbers of its processors. When no node names any, node 0 has all.
                type: list
                elements: int
                default: []
          hmat:
            description: Latency and bandwidth between nodes.
            type: list
            elements: dict
            default: []
            suboptions:
              initiator:
                description: Node whose processors access.
                type: int
                required: true
              target:
                description: Node whose memory is accessed.
                type: int
                required: true
              latency:
                description: Nanoseconds.
                type: int
                required: true
              bandwidth:
                description: Bytes per second, a multiple of 1M.
                type: str
                required: true
          distances:
            description: A row for each node, of its distances to all nodes, 10 to itself. By default 20 to every other. Not together with C(hmat).
            type: list
            elements: list
            default: []
      cxl:
        description: CXL topology.
        type: dict
        suboptions:
          host_bridges:
            description: Host bridges.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: Name.
                type: str
                required: true
              root_ports:
                description: Slots below the bridge.
                type: list
                elements: dict
                required: true
                suboptions:
                  name:
                    description: Name.
                    type: str
                    required: true
                  device:
                    description: Memory device that is in the port at start. A port with neither device nor switch is empty, for hot-plug.
                    type: str
                  switch:
                    description: Switch in the port.
                    type: dict
                    suboptions:
                      name:
                        description: Name.
                        type: str
                        required: true
                      downstream_ports:
                        description: Slots below the switch.
                        type: list
                        elements: dict
                        required: true
                        suboptions:
                          name:
                            description: Name.
                            type: str
                            required: true
                          device:
                            description: Memory device that is in the port at start.
                            type: str
          memory_devices:
            description: CXL type-3 devices. One that is in no port can be plugged later.
            type: list
            elements: dict
            default: []
            suboptions:
              name:
                description: Name.
                type: str
                required: true
              serial:
                description: Serial number, not 0, by which roles know the device.
                type: int
                required: true
              volatile:
                description: Volatile capacity, a multiple of 256M.
                type: str
              persistent:
                description: Persistent capacity, a multiple of 256M. A device has either or both.
                type: str
              label_area:
                description: Label storage of a persistent device, 256K when not given.
                type: str
          windows:
            description: Host address windows over the bridges' memory.
            type: list
            elements: dict
            default: []
            suboptions:
              targets:
                description: Host bridges that it is interleaved over, 1, 2, 3, 4, 6, 8, 12 or 16 of them.
                type: list
                elements: str
                required: true
              size:
                description:
                  - A multiple of 256M for each target, and at least the capacity of the memory devices below the targets.
                  - An empty port counts with the largest device that is in no port.
                type: str
                required: true
              granularity:
                description: Bytes in turn from each target, a power of two from 256 to 16K.
                type: str
                default: 4K
      nvdimms:
        description: NVDIMMs.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name.
            type: str
            required: true
          size:
            description: Usable size, a multiple of 16M.
            type: str
            required: true
          label_area:
            description: Size of the label area, 0 for none.
            type: str
            default: 256K
          node:
            description: NUMA node.
            type: int
            default: 0
"""

EXAMPLES = r"""
# testbed.qemu.yml: a host with two CXL memory devices, one of them to be plugged while it runs
plugin: memlab.testbed.qemu
testbed: example
guests:
  cxlhost:
    memory: 2G
    kernel_parameters: [memory_hotplug.memmap_on_memory=1]
    groups: [cxl_hosts]
    cxl:
      host_bridges:
        - name: hb0
          root_ports:
            - {name: rp0, device: mem_a}
            - {name: rp1}
      memory_devices:
        - {name: mem_a, serial: 0x1, volatile: 1G}
        - {name: mem_b, serial: 0x2, volatile: 1G}
      windows:
        - {targets: [hb0], size: 4G}
"""

import dataclasses
import json
import os
import shlex

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import keys, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import guest_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


class InventoryModule(BaseInventoryPlugin):

    NAME = "memlab.testbed.qemu"
    # The file is as trusted as any inventory; without this, ansible-inventory wraps every text for readers such as testinfra.
    trusted_by_default = True

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(testbed_file.SUFFIXES)

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        try:
            testbed = testbed_file.load(path)
        except TestbedError as exc:
            raise AnsibleParserError(str(exc)) from None
        for guest in testbed.guests.values():
            self._add_guest(testbed, guest)

    def _add_guest(self, testbed, guest):
        for group in ["testbed", "testbed_" + testbed.name.replace("-", "_")] + guest.groups:
            self.inventory.add_group(group)
            self.inventory.add_host(guest.name, group=group)
        for name, value in dict(host_variables(testbed, guest), **guest.vars).items():
            self.inventory.set_variable(guest.name, name, value)


def host_variables(testbed, guest):
    """How to reach a guest, and what it was declared to be."""
    options = ["UserKnownHostsFile=" + keys.known_hosts(testbed.name), "StrictHostKeyChecking=yes", "IdentitiesOnly=yes",
               "HostKeyAlias=" + keys.alias(testbed.name, guest.name)]
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": keys.user_key(testbed.name),
        "ansible_ssh_common_args": " ".join("-o " + shlex.quote(option) for option in options),
        "ansible_python_interpreter": "/usr/bin/python3",
        "memlab_testbed": testbed.name,
        "memlab_testbed_file": testbed.path,
        "memlab_guest": guest.name,
        "memlab_guest_definition": dataclasses.asdict(guest),
    }
    port = ssh_port(testbed.name, guest.name)
    if port is not None:
        variables["ansible_port"] = port
    return variables


def ssh_port(testbed, guest):
    """The port that a running guest left in its ``connection.json``, or ``None`` when it does not run."""
    try:
        with open(os.path.join(guest_directory(testbed, guest), "connection.json"), encoding="utf-8") as stream:
            port = json.load(stream)["ssh_port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return port if isinstance(port, int) else None
