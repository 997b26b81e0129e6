#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in kernel packages."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_package_info
short_description: See what is in kernel packages
version_added: "0.1.0"
description:
  - Reads Debian packages, all of one kernel, and says which release that is and how much room they take.
options:
  packages:
    description: Paths of the packages on the machine that the task runs on.
    type: list
    elements: path
    required: true
requirements:
  - C(dpkg-deb)
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.info_module
  - memlab.testbed.attributes.actiongroup_all
seealso:
  - module: memlab.testbed.kernel_trial
"""

EXAMPLES = r"""
- name: See what the packages hold
  memlab.testbed.kernel_package_info:
    packages:
      - /srv/kernels/linux-image-6.1.176-memlab_1_amd64.deb
  delegate_to: localhost
"""

RETURN = r"""
release:
  description: Release of the kernel.
  returned: success
  type: str
packages:
  description:
    - The packages, each with C(path), C(file), C(size), C(package), C(version), C(architecture), C(release) where the kernel is in it, and the bytes of
      its files in /boot (C(boot_bytes)) and elsewhere (C(other_bytes)).
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.boot import packages
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={"packages": {"type": "list", "elements": "path", "required": True}},
        supports_check_mode=True,
    )
    try:
        release, found = packages.describe_all(Host(), module.params["packages"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, release=release, packages=found)


if __name__ == "__main__":
    main()
