#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guest images for emulated hosts."""
from __future__ import annotations

DOCUMENTATION = r"""
module: guest_image
short_description: Build a Debian guest image, or find the one already built
version_added: "0.1.0"
description:
  - Builds a root file system with its kernel and an initrd for guests of a testbed, on the controller and without a privileged helper.
  - Images are kept in the user's cache under the digest of everything they are made from. One that is there is used and not looked at again.
  - The manifest names the image's inputs and the version of every package in it.
options:
  suite:
    description: Debian suite.
    type: str
    default: trixie
  packages:
    description: Packages beside those that every guest needs.
    type: list
    elements: str
    default: []
  kernel_package:
    description: The kernel's package. By default Debian's meta package for this architecture.
    type: str
  backports_kernel:
    description: Take the kernel from the suite's backports.
    type: bool
    default: false
  kernel_file:
    description:
      - A kernel's Debian package (C(linux-image-*.deb)) on the controller, in place of one from the mirror. The image has its modules, and is made anew
        when the package's content is another.
      - Excludes O(kernel_package), O(backports_kernel), O(tuned=false), and any O(loader) but V(qemu).
    type: path
    version_added: "0.1.0"
  disk_size:
    description: Size of the root file system, a number with M or G. The file is sparse.
    type: str
    default: 4G
  loader:
    description:
      - What starts the kernel. V(qemu) does it itself. With V(grub) and V(systemd-boot) the image is a whole disk that firmware and this boot loader start
        from, as on a host, and the guest keeps its own boot configuration.
    type: str
    choices: [qemu, grub, systemd-boot]
    default: qemu
  tuned:
    description:
      - Leave out what a testbed guest does not need while it boots, and boot it by an initrd of its own.
      - V(false) keeps Debian's services, initrd and boot parameters. It serves as the yardstick for boot times.
    type: bool
    default: true
requirements:
  - mmdebstrap, e2fsprogs and zstd on the controller, fdisk and mtools for guests with a boot loader, uidmap and fakeroot for users other than root
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
      - An image is made from nothing. RV(manifest) says what is in it.
  idempotent:
    support: full
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.qemu_guest
"""

EXAMPLES = r"""
- name: An image with the stock kernel
  memlab.testbed.guest_image:
    suite: trixie

- name: An image with the kernel of backports
  memlab.testbed.guest_image:
    suite: trixie
    backports_kernel: true

- name: An image with a kernel of one's own
  memlab.testbed.guest_image:
    suite: bookworm
    kernel_file: ~/kernels/linux-image-6.1.192_amd64.deb
"""

RETURN = r"""
directory:
  description: Directory of the image.
  returned: success
  type: str
manifest:
  description: Inputs, kernel release and package versions.
  returned: when there is an image, so not when check mode finds none
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import image
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size


def main():
    module = AnsibleModule(
        argument_spec={
            "suite": {"type": "str", "default": "trixie"},
            "packages": {"type": "list", "elements": "str", "default": []},
            "kernel_package": {"type": "str"},
            "backports_kernel": {"type": "bool", "default": False},
            "kernel_file": {"type": "path"},
            "disk_size": {"type": "str", "default": "4G"},
            "loader": {"type": "str", "choices": ["qemu", "grub", "systemd-boot"], "default": "qemu"},
            "tuned": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        disk_size = parse_size(asked["disk_size"], "disk_size")
        wanted = image.inputs(asked["suite"], asked["packages"], asked["kernel_package"], asked["backports_kernel"], disk_size, asked["tuned"],
                              asked["loader"], asked["kernel_file"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    if module.check_mode:
        found = image.manifest(image.directory(wanted))
        module.exit_json(changed=found is None, directory=image.directory(wanted), **({} if found is None else {"manifest": found}))
    try:
        with signals.as_errors():
            changed, directory, manifest = image.ensure(Host(), wanted, asked["kernel_file"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=changed, directory=directory, manifest=manifest)


if __name__ == "__main__":
    main()
