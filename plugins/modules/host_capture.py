#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's memory devices are, in an archive."""
from __future__ import annotations

DOCUMENTATION = r"""
module: host_capture
short_description: Record what a host's memory is made of, as an archive
version_added: "0.2.0"
description:
  - Records what M(memlab.testbed.memmap_facts), M(memlab.testbed.memory_doctor) and M(memlab.testbed.testbed_twin) read on a host, in one archive. These
    modules read it anywhere else. It is the same as that of C(scripts/record_capture.py).
  - Serial numbers and physical addresses are in it, and neither kernel virtual addresses nor the host's name. Nothing else on the host is changed.
  - It has to run as root. Others see addresses as zero and no page tables, so that a capture of theirs would hide what the host is.
options:
  path:
    description: The archive to write, on the host. It is readable for root alone.
    type: path
    required: true
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
      - A capture is an archive.
  idempotent:
    support: partial
    details:
      - Counters such as free memory are in a capture, so that a later one differs on a running host.
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.testbed_twin
"""

EXAMPLES = r"""
- name: Record this host
  memlab.testbed.host_capture:
    path: /root/memmap-capture.tgz
  become: true
"""

RETURN = r"""
path:
  description: The archive.
  returned: success
  type: str
size:
  description: Its bytes.
  returned: success
  type: int
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils import store
from ansible_collections.memlab.testbed.plugins.module_utils.capture.recording import record
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def main():
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    if os.geteuid() != 0:
        module.fail_json(msg="recording a host takes root, because the kernel shows addresses and page tables to nobody else: say become: true")
    path = os.path.abspath(module.params["path"])
    try:
        content = record(Host()).archive()
        changed = store.store(path, content, module.check_mode)[0]
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=changed, path=path, size=len(content))


if __name__ == "__main__":
    main()
