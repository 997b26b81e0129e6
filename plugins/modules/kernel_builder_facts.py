#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a builder has and lacks for building kernels."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_builder_facts
short_description: Tools that a builder has and lacks for building kernels
version_added: "0.1.0"
description:
  - Looks for the compiler, the tools and the headers that a kernel is built with. Installs nothing.
options:
  compiler:
    description: The compiler.
    type: str
    default: gcc
  git:
    description: Whether the source comes from a git repository.
    type: bool
    default: false
  distcc:
    description: Whether other hosts compile, too.
    type: bool
    default: false
  suite:
    description: Debian suite that the source comes from.
    type: str
  btf:
    description: Whether the configuration has C(CONFIG_DEBUG_INFO_BTF), as a distribution's has.
    type: bool
    default: false
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.info_module
  - memlab.testbed.attributes.actiongroup_all
"""

EXAMPLES = r"""
- name: See what is missing
  memlab.testbed.kernel_builder_facts:
  register: builder
"""

RETURN = r"""
missing:
  description: Tool or header to Debian package, for each that is not there.
  returned: success
  type: dict
apt:
  description: Whether the machine has apt.
  returned: success
  type: bool
release:
  description: Code name of the Debian release, none on other systems.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import needs


def main():
    module = AnsibleModule(
        argument_spec={
            "compiler": {"type": "str", "default": "gcc"},
            "git": {"type": "bool", "default": False},
            "distcc": {"type": "bool", "default": False},
            "suite": {"type": "str"},
            "btf": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        found = needs.survey(Host(), asked["compiler"], asked["git"], asked["distcc"], asked["suite"], asked["btf"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
