#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The configuration of a host's running kernel."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_configuration_facts
short_description: The configuration of a host's running kernel, and its loaded modules
version_added: "0.1.0"
description:
  - Reads C(/boot/config-RELEASE), or C(/proc/config.gz) where there is none, and C(/proc/modules).
options:
  sysroot:
    description: Read the files below this directory instead of the machine's own.
    type: path
    default: /
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.info_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: Read what the host's kernel was built with
  memlab.testbed.kernel_configuration_facts:
  register: running
"""

RETURN = r"""
release:
  description: The running kernel's release.
  returned: success
  type: str
content:
  description: Text of its configuration.
  returned: success
  type: str
modules:
  description: Names of the loaded modules, one a line, sorted.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import running


def main():
    module = AnsibleModule(argument_spec={"sysroot": {"type": "path", "default": "/"}}, supports_check_mode=True)
    try:
        found = running.configuration(Host(module.params["sysroot"]))
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
