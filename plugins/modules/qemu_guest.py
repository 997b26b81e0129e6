#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Emulated hosts as declared state."""
from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_guest
short_description: Start, stop and change a guest of a testbed
version_added: "0.1.0"
description:
  - Brings a guest that a testbed file declares into a state, on the controller. A started guest answers ssh when the task is done.
  - A guest is known by its own process and its own QMP socket. No other QEMU is looked at.
  - The guest listens on 127.0.0.1 only, with keys made for its testbed and a pinned host key.
  - KVM is used where a guest runs under it, else TCG. The result says which and why.
options:
  testbed_file:
    description: The testbed file that declares the guest.
    type: path
    required: true
  name:
    description: The guest's name in that file.
    type: str
    required: true
  state:
    description:
      - V(present) starts the guest if it does not run.
      - V(restarted) has it shut itself down and starts it again.
      - V(powercycled) ends it as a loss of power does and starts it again. Disk and persistent memory are kept by both.
      - V(absent) ends it and removes its disk and its persistent memory. Its keys stay, and its snapshot.
    type: str
    choices: [present, absent, restarted, powercycled]
    default: present
  image:
    description: Directory of the image to start it from, as returned by M(memlab.testbed.guest_image). Not needed for a guest that runs.
    type: path
  ssh_port:
    description: Port on 127.0.0.1 that leads to the guest's sshd. With 0, QEMU takes a free one.
    type: int
    default: 0
  warm:
    description:
      - Let the first start of a guest restore a snapshot of itself where that is possible without a loss, and take one where there is none yet.
      - Later starts boot, because the guest has a disk of its own by then.
      - A snapshot that the guest does not come up from is removed, and the guest boots; a warning says so.
    type: bool
    default: true
  kernel_parameters:
    description: Kernel parameters beside the declared ones, one in each item, kept over later starts. They take effect at a start only.
    type: list
    elements: str
  plugged:
    description:
      - Names of all memory devices that are to be plugged in; others are unplugged.
      - Left out, they stay as they are.
    type: list
    elements: str
  forget:
    description: With O(state=absent), remove the guest's snapshot, too.
    type: bool
    default: false
  timeout:
    description: Seconds that the guest may take to answer ssh, or to shut down.
    type: int
    default: 600
requirements:
  - QEMU 8.2 or newer and the Python library qemu.qmp on the controller
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - What differs is whether a process runs.
  idempotent:
    support: partial
    details:
      - V(restarted) and V(powercycled) always do what they say.
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.guest_image
  - plugin: memlab.testbed.qemu
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Start the guest of this inventory host
  memlab.testbed.qemu_guest:
    testbed_file: "{{ memlab_testbed_file }}"
    name: "{{ memlab_guest }}"
    image: "{{ image.directory }}"
  delegate_to: localhost

- name: Pull a memory device out of it
  memlab.testbed.qemu_guest:
    testbed_file: "{{ memlab_testbed_file }}"
    name: "{{ memlab_guest }}"
    plugged: [mem_a]
  delegate_to: localhost
"""

RETURN = r"""
running:
  description: Whether the guest runs.
  returned: not in check mode
  type: bool
pid:
  description: QEMU's process id.
  returned: when the guest runs
  type: int
ssh_port:
  description: Port on 127.0.0.1 that leads to its sshd.
  returned: when the guest runs
  type: int
directory:
  description: Directory with its logs, sockets and disks.
  returned: when the guest runs
  type: str
start:
  description: V(warm) from a snapshot, V(cold) by booting, V(none) when it ran already.
  returned: with another state than absent
  type: str
accelerator:
  description: V(kvm) or V(tcg).
  returned: when it was started
  type: str
accelerator_reason:
  description: Why that one.
  returned: when it was started
  type: str
plugged:
  description: The memory devices that are plugged in.
  returned: when O(plugged) was given
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import lifecycle
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "testbed_file": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "restarted", "powercycled"], "default": "present"},
            "image": {"type": "path"},
            "ssh_port": {"type": "int", "default": 0},
            "warm": {"type": "bool", "default": True},
            "kernel_parameters": {"type": "list", "elements": "str"},
            "plugged": {"type": "list", "elements": "str"},
            "forget": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        with signals.as_errors():
            machine = lifecycle.find(asked["testbed_file"], asked["name"], asked["image"], asked["ssh_port"], asked["state"] != "absent")
            result = lifecycle.apply(Host(), machine, asked["state"], asked, module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    notice = result.pop("notice", None)
    if notice is not None:
        module.warn(notice)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
