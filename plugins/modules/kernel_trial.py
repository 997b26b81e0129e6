#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A kernel for one boot."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_trial
short_description: Install a kernel for one boot, and accept it or take it back
version_added: "0.1.0"
description:
  - V(armed) installs kernel packages beside the kernels that are there, and chooses the new kernel for the next boot alone. The default entry stays what it is.
  - That boot has further parameters, a watchdog that the initramfs starts where the machine has one (C(softdog) where it or its driver is not there),
    and a limit of time, so that a host that panics, hangs or is not heard of again returns to its default kernel by itself.
  - Where the new kernel has no watchdog at all, or the host no initramfs-tools, a warning says so.
  - V(accepted) makes the running kernel the default and removes kernels that are not to be kept.
  - V(abandoned) takes everything back that V(armed) has brought.
  - What dpkg was interrupted at is finished first. While something else installs packages the module waits, for ten minutes at most. The host is not rebooted.
  - A kernel that systemd-boot starts as a unified kernel image cannot be tried, because its boot parameters are part of it.
options:
  state:
    description: How far the trial is to be.
    type: str
    choices: [armed, accepted, abandoned]
    required: true
  release:
    description:
      - Release of the kernel. Required with V(armed) and V(accepted).
      - With V(abandoned), it is needed only where the trial was accepted since.
    type: str
  packages:
    description:
      - With V(armed), the packages as M(memlab.testbed.kernel_package_info) describes them, with C(path) on this host, or O(directory).
      - With V(abandoned), and where the trial was accepted since, those to remove; only C(package) counts.
      - By default the one that dpkg says the kernel is from.
    type: list
    elements: dict
    default: []
  directory:
    description:
      - Directory on this host with the package files, which are removed there once they are installed.
      - Left out, they are where C(path) says, and stay.
    type: path
  parameters:
    description: Boot parameters of that boot beside those that every entry has, one in each item.
    type: list
    elements: str
    default: []
  watchdog:
    description: Seconds that the watchdog waits before it resets the host.
    type: int
    default: 120
  deadline:
    description: Seconds after its start at which a boot that is not accepted yet ends in a reboot.
    type: int
    default: 900
  kexec:
    description: Whether to load the kernel for C(systemctl kexec) instead of choosing it in the boot loader.
    type: bool
    default: false
  keep:
    description:
      - With V(accepted), kernels to keep beside the running one and the earlier default. Left out, none is removed.
      - They are removed as the trial ends. After that nothing says any more which the earlier default was, so none is.
    type: int
requirements:
  - dpkg, and GRUB with C(grub-editenv) and C(update-grub), or systemd-boot with C(bootctl)
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - Everything that would be refused is refused.
  diff_mode:
    support: none
    details:
      - What changes is in packages.
  idempotent:
    support: partial
    details:
      - V(armed) installs and chooses again until the kernel runs.
  platform:
    platforms: debian
seealso:
  - module: memlab.testbed.kernel_gate
  - module: memlab.testbed.boot_entry
"""

EXAMPLES = r"""
- name: Try a kernel at the next boot
  memlab.testbed.kernel_trial:
    state: armed
    release: "{{ kernel.release }}"
    packages: "{{ kernel.packages }}"
    parameters:
      - panic=10
      - softlockup_panic=1
"""

RETURN = r"""
stage:
  description:
    - V(armed), V(booted) where the kernel runs already and is not the default yet, or V(accepted) where nothing is left to do.
  returned: with state armed
  type: str
release:
  description: Release of the kernel.
  returned: with state armed or accepted
  type: str
release_before:
  description: Release of the kernel that ran before the trial.
  returned: with state armed
  type: str
default_before:
  description: Id of the entry that is the default.
  returned: with state armed
  type: str
held_before:
  description: Whether that was chosen, so that no installation of a kernel changes it. The trial holds it; V(abandoned) lets it go again if nobody did before.
  returned: with state armed
  type: bool
watchdog:
  description: Drivers of a watchdog that guard the boot, of those that the new kernel has. In check mode those of the running kernel.
  returned: with state armed
  type: list
  elements: str
repaired:
  description: What an earlier run had left half done and this one put right.
  returned: with state armed
  type: list
  elements: str
removed:
  description: Releases removed with V(accepted), packages with V(abandoned).
  returned: with state accepted or abandoned
  type: list
  elements: str
remembered:
  description: The end of what the kernel left in persistent storage (pstore) when it died.
  returned: with state abandoned
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.boot import packages, trial
from ansible_collections.memlab.testbed.plugins.module_utils.devices import session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["armed", "accepted", "abandoned"], "required": True},
            "release": {"type": "str"},
            "packages": {"type": "list", "elements": "dict", "default": []},
            "directory": {"type": "path"},
            "parameters": {"type": "list", "elements": "str", "default": []},
            "watchdog": {"type": "int", "default": 120},
            "deadline": {"type": "int", "default": 900},
            "kexec": {"type": "bool", "default": False},
            "keep": {"type": "int"},
        },
        required_if=[("state", "armed", ["release", "packages"]), ("state", "accepted", ["release"])],
        supports_check_mode=True,
    )
    host, asked = Host(), module.params
    try:
        with session.changing(host, module.check_mode):
            if asked["state"] == "armed":
                wanted = trial.Wanted(**{name: asked[name] for name in trial.Wanted._fields})
                result = trial.arm(host, wanted, module.check_mode)
            elif asked["state"] == "accepted":
                result = trial.accept(host, asked["release"], asked["keep"], module.check_mode)
            else:
                result = trial.abandon(host, asked["release"], packages.names(asked["packages"]), module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    for line in result.pop("warnings", []):
        module.warn(line)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
