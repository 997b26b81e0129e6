#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a controller has and lacks for running a testbed."""
from __future__ import annotations

DOCUMENTATION = r"""
module: controller_facts
short_description: Tools that a controller has and lacks for running a testbed
version_added: "0.1.0"
description:
  - Looks for QEMU in a version that is new enough and for the tools that build guest images. Installs nothing.
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.info_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: See what is missing
  memlab.testbed.controller_facts:
  register: controller
"""

RETURN = r"""
missing:
  description: Tool to Debian package, for each tool that is not there or too old.
  returned: success
  type: dict
qemu_version:
  description: QEMU's version, none where there is no QEMU.
  returned: success
  type: str
qemu_too_old:
  description: Whether that version is too old for volatile CXL memory devices.
  returned: success
  type: bool
apt:
  description: Whether the machine has apt.
  returned: success
  type: bool
release:
  description: Code name of the Debian release, none on other systems.
  returned: success
  type: str
backports:
  description: Whether QEMU has to come from the release's backports.
  returned: success
  type: bool
backports_source:
  description: What to tell apt about them, on the mirror that the machine uses already. None where apt knows them.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = tools.survey(Host())
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
