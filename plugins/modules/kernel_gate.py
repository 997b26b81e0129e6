#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a kernel may be kept."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_gate
short_description: Look whether a kernel does what it should
version_added: "0.1.0"
description:
  - Compares the running kernel with what is wanted, its release, its modules, its log, and what commands say of it.
  - In the log, a warning, an oops, a lockup, a stall or a memory error does not pass, unless the kernel before the trial had said the same
    (M(memlab.testbed.kernel_trial) writes that down). Where the kernel does not hold its log from the start any more, the journal is read, too;
    a warning says where that does not help.
  - The task does not fail where something does not hold, so that the host can be brought back first. RV(reasons) says what.
options:
  release:
    description: The release that is to run.
    type: str
    required: true
  modules:
    description: Modules that have to be in the kernel, loaded or built in.
    type: list
    elements: str
    default: []
  log:
    description: Whether to look at the kernel's log.
    type: bool
    default: true
  known:
    description: Lines of the log that are nothing new. By default what M(memlab.testbed.kernel_trial) has written down.
    type: list
    elements: str
  checks:
    description: Commands that have to end well, each a list of its words. No shell reads them.
    type: list
    elements: list
    default: []
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
- name: See whether the new kernel may stay
  memlab.testbed.kernel_gate:
    release: "{{ kernel.release }}"
    modules: [dax_pmem, kmem]
    checks:
      - [systemctl, is-active, --quiet, ssh.service]
  register: gate
"""

RETURN = r"""
passed:
  description: Whether all of it holds.
  returned: success
  type: bool
reasons:
  description: What does not hold, a line each.
  returned: success
  type: list
  elements: str
  sample: ["running release: wanted 6.1.176-memlab, found 6.1.0-56-amd64"]
running:
  description: Release of the running kernel.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.boot import gate, loader, trial
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "modules": {"type": "list", "elements": "str", "default": []},
            "log": {"type": "bool", "default": True},
            "known": {"type": "list", "elements": "str"},
            "checks": {"type": "list", "elements": "list", "default": []},
        },
        supports_check_mode=True,
    )
    host, asked = Host(), module.params
    known = asked["known"] if asked["known"] is not None else (trial.record(host) or {}).get("known", [])
    try:
        reasons = gate.look(host, asked["release"], asked["modules"], known, asked["checks"], asked["log"])
        gap = gate.log_since_start(host)[1] if asked["log"] else None
        if gap:
            module.warn(gap)
        module.exit_json(changed=False, passed=not reasons, reasons=reasons, running=loader.running(host))
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())


if __name__ == "__main__":
    main()
