#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel boot parameters in GRUB's configuration."""
from __future__ import annotations

DOCUMENTATION = r"""
module: boot_parameters
short_description: Set kernel boot parameters in a GRUB file of their own
version_added: "0.1.0"
description:
  - Keeps kernel boot parameters in a file of their own below C(/etc/default/grub.d), and has C(update-grub) take it over.
  - Parameters are whole words and compared as such. What else the host's configuration holds is left alone.
  - C(memory_hotplug.memmap_on_memory=1) counts as given where the running kernel has it on, however that was written, and is not written
    where the configuration says V(force) elsewhere, which is more.
  - A host that systemd-boot starts is refused, also where GRUB is installed beside it.
  - The host is not rebooted. RV(reboot_needed) says whether it has to be.
options:
  name:
    description: Part of the file's name, C(50-memlab-NAME.cfg). One name for each purpose, so that they do not overwrite each other.
    type: str
    required: true
  parameters:
    description:
      - The parameters, one word each, such as V(memory_hotplug.memmap_on_memory=1) or V(memmap=4G$12G). Written as the kernel has to see them, without escapes.
      - With O(state=absent), parameters to look for on the running kernel's command line, besides those in the file.
    type: list
    elements: str
    default: []
  state:
    description: Whether the file is to be there, with exactly these parameters.
    type: str
    choices: [present, absent]
    default: present
  loader:
    description:
      - What gives the kernel its command line.
      - With V(external), a program that this host does not configure, such as QEMU for a guest that it boots directly. Nothing is written,
        RV(reboot_needed) is all that is found out.
    type: str
    choices: [grub, external]
    default: grub
  supported:
    description:
      - With O(state=present), whether the running kernel has to be one that can make use of the parameters. Where it cannot, nothing is changed.
      - Looked at is C(memory_hotplug.memmap_on_memory) only, which takes a kernel with CONFIG_MHP_MEMMAP_ON_MEMORY, a knob C(memmap_on_memory) on dax devices,
        and a memory block whose memmap fills whole pageblocks.
    type: bool
    default: false
requirements:
  - C(update-grub), as Debian and Ubuntu have it, with O(loader=grub).
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
    platforms: debian
"""

EXAMPLES = r"""
- name: Allow memory blocks to hold their own memmap
  memlab.testbed.boot_parameters:
    name: memmap-on-memory
    parameters:
      - memory_hotplug.memmap_on_memory=1
  register: boot

- name: Reboot where that is needed
  ansible.builtin.reboot:
  when: boot.reboot_needed
"""

RETURN = r"""
reboot_needed:
  description: Whether the running kernel was started without these parameters, or with them where they are to be absent.
  returned: success
  type: bool
file:
  description: The file.
  returned: with O(loader=grub)
  type: str
  sample: /etc/default/grub.d/50-memlab-memmap-on-memory.cfg
earlier:
  description: The parameters that the file held before. Empty where there was none.
  returned: with O(loader=grub)
  type: list
  elements: str
repaired:
  description: What an earlier run of a module of this collection that was killed had left behind and this one put right.
  returned: with O(loader=grub)
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import boot_line, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "parameters": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "loader": {"type": "str", "choices": ["grub", "external"], "default": "grub"},
            "supported": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    host = Host()
    name, parameters, present = module.params["name"], module.params["parameters"], module.params["state"] == "present"
    try:
        boot_line.check(parameters)
        if module.params["supported"] and present:
            boot_line.refuse_unsupported(host, parameters)
        if module.params["loader"] == "external":
            module.exit_json(changed=False, reboot_needed=boot_line.reboot_needed(host, parameters, present))
        with session.changing(host, module.check_mode) as repaired:
            changed, reboot_needed, before, after = boot_line.apply(host, name, parameters, present, module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {"before": before, "after": after, "before_header": boot_line.path(name), "after_header": boot_line.path(name)}
    module.exit_json(changed=changed or bool(repaired), reboot_needed=reboot_needed, file=boot_line.path(name), earlier=boot_line.of_fragment(before),
                     repaired=repaired, diff=diff)


if __name__ == "__main__":
    main()
