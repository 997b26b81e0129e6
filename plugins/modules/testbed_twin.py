#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Emulated twins of real hosts."""
from __future__ import annotations

DOCUMENTATION = r"""
module: testbed_twin
short_description: Make a testbed file of emulated twins from captures of real hosts
version_added: "0.2.0"
description:
  - Reads captures of hosts (of the module M(memlab.testbed.host_capture), or of C(scripts/record_capture.py)) and writes a testbed file with one guest for
    each of them, with the host's CXL host bridges, root ports, switches, memory devices, memory windows, free slots, NVDIMMs, NUMA nodes and boot
    parameters, and with what its memory devices are declared to be. Runs on the controller.
  - Capacities are scaled down by one rule. All CXL memory devices and NVDIMMs of a host are divided by the same power of two, the least with which they fit
    in O(capacity), and rounded to the nearest size that they can have. DRAM is scaled likewise, to O(memory). Sizes in the declared list become smaller as
    their devices do.
  - What an emulated host cannot have, or has otherwise, is said in RV(hosts), and above the guest in the file, and with O(strict) refused.
options:
  testbed_file:
    description: The file to write. Its name ends in C(.qemu.yml).
    type: path
    required: true
  testbed:
    description: Name of the testbed.
    type: str
    default: rehearsal
  hosts:
    description: The hosts, each a guest in the file.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the inventory. The guest has the same name where a testbed file allows that.
        type: str
        required: true
      capture:
        description: The capture, an archive or the directory it was unpacked in.
        type: path
        required: true
      vars:
        description:
          - Variables of the guest. Of C(memory_devices) sizes are scaled, and devices are named as the twin has them.
          - Without C(memory_devices) the list that the host keeps for its next boot counts, where the capture has one.
        type: dict
        default: {}
      groups:
        description: Inventory groups of the guest.
        type: list
        elements: str
        default: []
  capacity:
    description: What the CXL memory devices and NVDIMMs of a guest may have together. Volatile ones take memory of the controller when they are used.
    type: str
    default: 4G
  memory:
    description: How much DRAM a guest may have.
    type: str
    default: 2G
  cpus:
    description: How many processors a guest may have. Each node that has processors keeps one.
    type: int
    default: 2
  image:
    description: What the guests boot, as in a testbed file.
    type: dict
    default: {}
  strict:
    description: Refuse to make twins that lack something their hosts have.
    type: bool
    default: false
requirements:
  - PyYAML
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
  - module: memlab.testbed.host_capture
  - plugin: memlab.testbed.qemu
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Twins of two hosts
  memlab.testbed.testbed_twin:
    testbed_file: /var/tmp/rehearsal.qemu.yml
    hosts:
      - name: server1.example.org
        capture: captures/server1.example.org.tgz
        vars:
          memory_devices:
            - {serial: "0x1a2b3c", memmap: device, amount: 64G}
      - name: server2.example.org
        capture: captures/server2.example.org.tgz
  delegate_to: localhost
"""

RETURN = r"""
testbed_file:
  description: The file.
  returned: success
  type: str
hosts:
  description: What was made of each host.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: Its name.
      returned: success
      type: str
    guest:
      description: The twin's name.
      returned: success
      type: str
    has:
      description: What the twin has, in words.
      returned: success
      type: str
    scaled:
      description: Each C(what) that differs in size or name, on the C(host) and on the C(twin).
      returned: success
      type: list
      elements: dict
    not_expressed:
      description: C(what) the twin does not have or has otherwise, the C(evidence) (file of the capture), and the C(consequence) for a rehearsal.
      returned: success
      type: list
      elements: dict
    declared_from:
      description: Where the twin's declared memory devices come from, V(inventory) or a file of the host.
      returned: success
      type: str
    memory_devices:
      description: The twin's declared memory devices.
      returned: success
      type: list
      elements: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils import store
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size
from ansible_collections.memlab.testbed.plugins.module_utils.twin import make


def main():
    module = AnsibleModule(
        argument_spec={
            "testbed_file": {"type": "path", "required": True},
            "testbed": {"type": "str", "default": "rehearsal"},
            "hosts": {"type": "list", "elements": "dict", "required": True, "options": {
                "name": {"type": "str", "required": True},
                "capture": {"type": "path", "required": True},
                "vars": {"type": "dict", "default": {}},
                "groups": {"type": "list", "elements": "str", "default": []},
            }},
            "capacity": {"type": "str", "default": "4G"},
            "memory": {"type": "str", "default": "2G"},
            "cpus": {"type": "int", "default": 2},
            "image": {"type": "dict", "default": {}},
            "strict": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    path = os.path.abspath(asked["testbed_file"])
    try:
        amounts = {option: parse_size(asked[option], option) for option in ("capacity", "memory")}
        text, answers = make.make(path, asked["testbed"], asked["hosts"], cpus=asked["cpus"], image=asked["image"], strict=asked["strict"], **amounts)
        changed, before = store.store(path, text, module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=changed, testbed_file=path, hosts=answers, diff={"before": before, "after": text, "before_header": path, "after_header": path})


if __name__ == "__main__":
    main()
