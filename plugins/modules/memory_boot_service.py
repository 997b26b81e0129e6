#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A systemd service that sets declared memory up at boot."""
from __future__ import annotations

DOCUMENTATION = r"""
module: memory_boot_service
short_description: Have a host set its declared memory up at boot, without a controller
version_added: "0.1.0"
description:
  - Installs a systemd service that applies the host's declaration at each boot, with the code of this collection's modules, and enables it.
  - Memory is kept from kmem until then. Modprobe does not load kmem for a device that appears, and the dax bus binds no device by itself.
  - The service makes all that is declared, or nothing. A declaration that cannot be read, is of another version, names a device that is not there, or would
    lose data leaves memory offline. The service then fails, and its first line in the journal says why.
  - Regions are made anew, as they do not outlive a reboot. Namespaces do, and are never made or changed at boot.
  - Nothing is done to memory now. Restart C(memlab-memory.service) for that.
options:
  state:
    description: Whether the service is to be there. With V(absent), all that it consists of is removed.
    type: str
    choices: [present, absent]
    default: present
  memory_devices:
    description: The host's memory devices, as the role P(memlab.testbed.memory_devices#role) takes them. Required with O(state=present).
    type: list
    elements: dict
  allow_data_loss:
    description: Whether what a namespace or a device in mode devdax holds may be lost, for entries that do not say. It is written into each of them.
    type: bool
    default: false
  offline:
    description: Whether memory blocks may be taken offline where a memmap has to move, because something had bound the device before the service ran.
    type: bool
    default: true
  timeout:
    description: Seconds that the service may take, and so the most that it can delay C(multi-user.target). It gets 60 more to undo what it has begun.
    type: int
    default: 180
  wait:
    description: Seconds for the declared devices to appear, less than O(timeout).
    type: float
    default: 30
  block_timeout:
    description: Seconds that one memory block may last.
    type: float
    default: 60
  python:
    description: The interpreter that runs the service, Python 3.9 or newer.
    type: str
    default: /usr/bin/python3
requirements:
  - systemd on the host
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
  - module: memlab.testbed.memory_blocks
"""

EXAMPLES = r"""
- name: Have the host set its memory up at boot
  memlab.testbed.memory_boot_service:
    memory_devices:
      - serial: "0x1"
        memmap: device
      - serial: "0x2"
        memmap: dram

- name: Leave it to itself again
  memlab.testbed.memory_boot_service:
    state: absent
"""

RETURN = r"""
service:
  description: The service's unit.
  returned: success
  type: str
  sample: memlab-memory.service
files:
  description: The files that it consists of.
  returned: success
  type: list
  elements: str
repaired:
  description: What an earlier run that was killed had left behind and this one put right.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import declared_file, install, units
from ansible_collections.memlab.testbed.plugins.module_utils.devices import session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "memory_devices": {"type": "list", "elements": "dict"},
            "allow_data_loss": {"type": "bool", "default": False},
            "offline": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 180},
            "wait": {"type": "float", "default": 30},
            "block_timeout": {"type": "float", "default": 60},
            "python": {"type": "str", "default": "/usr/bin/python3"},
        },
        required_if=[("state", "present", ["memory_devices"])],
        supports_check_mode=True,
    )
    host, asked = Host(), module.params
    present = asked["state"] == "present"
    try:
        entries = declared_file.allowing(asked["memory_devices"]) if present and asked["allow_data_loss"] else asked["memory_devices"]
        declared = declared_file.Declared(entries, asked["offline"], asked["wait"], asked["block_timeout"])
        settings = install.Settings(declared, asked["python"], asked["timeout"]) if present else None
        with session.changing(host, module.check_mode) as repaired:
            changed, before, after = install.apply(host, settings, present, module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = [{"before": before.get(path, ""), "after": after.get(path, ""), "before_header": path, "after_header": path}
            for path in sorted(set(before) | set(after)) if before.get(path) != after.get(path)]
    module.exit_json(changed=changed or bool(repaired), service=units.SERVICE, files=list(install.PATHS), repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
