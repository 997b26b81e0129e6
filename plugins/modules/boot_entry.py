#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the boot loader starts, by default and once."""
from __future__ import annotations

DOCUMENTATION = r"""
module: boot_entry
short_description: See and choose what the boot loader starts
version_added: "0.1.0"
description:
  - Says which kernels the host's boot loader can start, which one by default, and which one at the next boot alone.
  - Chooses either of them. Without O(default) and O(once) nothing is changed.
  - GRUB and systemd-boot are known. Of both the module reads the files, and lets their own tools change them.
  - A default that was chosen is held, that is, installing a kernel does not change it any more. With GRUB, a file of the module's own below
    C(/etc/default/grub.d) sees to that, with systemd-boot the EFI variable for it.
  - With systemd-boot, entries are files in C(loader/entries) and unified kernel images in C(EFI/Linux), on the EFI system partition and the extended boot
    loader partition. A default that is a pattern or C(@saved) is made an entry's name by O(default). C(bootctl) changes nothing where another loader has
    started the system.
options:
  default:
    description: The entry to be started by default, as a kernel release, an id or a title.
    type: str
  once:
    description: The entry to be started at the next boot alone, as a kernel release, an id or a title. With V(""), none.
    type: str
  hold:
    description:
      - Whether the default stays what it is when kernels are installed. V(true) without O(default) holds the present one.
      - V(false) takes such a choice back. The boot loader's own configuration says again what the default is, mostly the newest kernel.
    type: bool
requirements:
  - C(grub-editenv) and C(update-grub) to change GRUB, C(bootctl) to change systemd-boot.
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
  - module: memlab.testbed.kernel_trial
"""

EXAMPLES = r"""
- name: See what the host would start
  memlab.testbed.boot_entry:
  register: boot

- name: Start another kernel by default
  memlab.testbed.boot_entry:
    default: 6.1.0-56-amd64

- name: Start the newest again
  memlab.testbed.boot_entry:
    hold: false
"""

RETURN = r"""
loader:
  description: The boot loader, V(grub) or V(systemd-boot).
  returned: success
  type: str
entries:
  description: The entries that start a kernel of this system, each with C(id), C(title) and C(release).
  returned: success
  type: list
  elements: dict
default:
  description: Id of the entry that is started by default.
  returned: success
  type: str
default_release:
  description: Its kernel release.
  returned: success
  type: str
held:
  description: Whether the default was chosen, so that no installation of a kernel changes it.
  returned: success
  type: bool
fixed:
  description: Why the default cannot be changed now, or none. systemd-boot's is in EFI variables, which a real-time kernel has only with C(efi=runtime).
  returned: success
  type: str
once:
  description: Id of the entry that is started at the next boot alone, or none.
  returned: success
  type: str
running:
  description: Release of the running kernel.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.boot import loader
from ansible_collections.memlab.testbed.plugins.module_utils.devices import session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={"default": {"type": "str"}, "once": {"type": "str"}, "hold": {"type": "bool"}},
        supports_check_mode=True,
    )
    host = Host()
    try:
        with session.changing(host, module.check_mode):
            changed, before, after = loader.apply(host, module.params["default"], module.params["once"], module.params["hold"], module.check_mode)
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    diff = {side: {name: found[name] for name in ("default", "held", "once")} for side, found in (("before", before), ("after", after))}
    module.exit_json(changed=changed, diff=diff, **after)


if __name__ == "__main__":
    main()
