#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why memory is not there, or not as it was asked for."""
from __future__ import annotations

DOCUMENTATION = r"""
module: memory_doctor
short_description: Say why memory is not there, or not as it was asked for
version_added: "0.2.0"
description:
  - Looks at CXL memory devices, NVDIMMs, soft-reserved memory, dax devices, memory blocks, the kernel and what firmware handed over, and answers with
    findings. Each says what is wrong, on what evidence, and what to do about it. Nothing is changed.
  - C(docs/doctor.md) lists all findings.
options:
  wanted:
    description:
      - What the host's memory devices are declared to be, the inventory variable C(memory_devices) as the role C(memlab.testbed.memory_devices) takes
        it. A mistake in any key is an error.
      - Without it, only what contradicts itself or cannot work is a problem, and memory that came online unasked is not told from memory that somebody wanted.
    type: list
    elements: dict
    default: []
  sysroot:
    description:
      - Directory with a recorded C(/proc) and C(/sys) to read instead of the running machine, such as an unpacked archive of C(scripts/record_capture.py).
    type: path
    default: /
author:
  - memlab.testbed contributors (@memlab)
notes:
  - As an ordinary user some of it cannot be seen; RV(unseen) lists that.
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
  - memlab.testbed.attributes.info_module
attributes:
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.memmap_facts
"""

EXAMPLES = r"""
- name: Ask why memory is not as declared
  memlab.testbed.memory_doctor:
    wanted: "{{ memory_devices }}"
  register: doctor

- name: Go on only without problems
  ansible.builtin.assert:
    that: doctor.problems == 0
    fail_msg: "{{ doctor.findings | map(attribute='message') | join('; ') }}"

- name: Look at the capture of another machine
  memlab.testbed.memory_doctor:
    sysroot: /var/tmp/capture
"""

RETURN = r"""
findings:
  description: What was found, problems first.
  returned: success
  type: list
  elements: dict
  contains:
    finding:
      description: Which finding it is. These names do not change.
      returned: success
      type: str
    severity:
      description:
        - V(problem) where something is not as declared, contradicts itself or cannot work. V(notice) where it is worth knowing and nobody said it is wrong.
      returned: success
      type: str
    message:
      description: What is wrong, in one line.
      returned: success
      type: str
    subject:
      description:
        - What it is about, a dictionary of one key. C(memory_devices) (serial numbers, or PCI addresses where those do not tell devices apart),
          C(namespace) (name or uuid), C(nvdimms) (handles) or C(soft_reserved) (address) for a device, C(window) (address) for a memory window,
          C(host) for what concerns all of it.
      returned: success
      type: dict
    evidence:
      description: What was read, each a C(file) and its C(value), none for a file that is absent.
      returned: success
      type: list
      elements: dict
    remedy:
      description: What to do about it.
      returned: success
      type: str
  sample:
    - finding: auto_online_policy
      severity: notice
      message: "new memory goes online by the kernel's own policy (online): daxctl aborts a move to system-ram (EBUSY), and the kernel chooses the zone"
      subject: {host: memory policy}
      evidence:
        - {file: /sys/devices/system/memory/auto_online_blocks, value: online}
      remedy: use memlab.testbed.dax_device, which holds the policy meanwhile
problems:
  description: How many of the findings are problems.
  returned: success
  type: int
unseen:
  description: What could not be looked at, each a C(file) and C(why). The findings that rest on it could not be made.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.doctor.diagnose import diagnose
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "list", "elements": "dict", "default": []},
            "sysroot": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        found = diagnose(Host(module.params["sysroot"]), module.params["wanted"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
