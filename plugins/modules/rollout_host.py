#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which rollout a host belongs to."""
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_host
short_description: Claim a host for a rollout, or give it back
version_added: "0.1.0"
description:
  - Keeps a file on the host that says which rollout it belongs to, so that a second controller is refused wherever it runs.
  - The claim outlives reboots, and stays when a rollout stops halfway. The same rollout may claim again.
options:
  state:
    description: V(looked) changes nothing. V(claimed) and V(released) are for the rollout of that O(id).
    type: str
    choices: [looked, claimed, released]
    default: looked
  path:
    description: The file on the host.
    type: path
    default: /var/lib/memlab/rollout.json
  rollout:
    description: Name of the rollout, for people. Needed with O(state=claimed).
    type: str
  id:
    description: What tells this rollout from all others. Needed unless O(state=looked).
    type: str
  controller:
    description: Name of the controller, for people. Needed with O(state=claimed).
    type: str
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
  idempotent:
    support: full
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: See whether a rollout is at work on the host
  memlab.testbed.rollout_host:
  register: host
"""

RETURN = r"""
claim:
  description: The claim that was found, with C(rollout), C(id), C(controller) and C(since), or none.
  returned: success
  type: dict
claimed:
  description: Whether the host belongs to the rollout O(id) now.
  returned: success
  type: bool
release:
  description: Release of the running kernel.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import claim


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["looked", "claimed", "released"], "default": "looked"},
            "path": {"type": "path", "default": "/var/lib/memlab/rollout.json"},
            "rollout": {"type": "str"},
            "id": {"type": "str"},
            "controller": {"type": "str"},
        },
        required_if=[("state", "claimed", ("rollout", "id", "controller")), ("state", "released", ("id",))],
        supports_check_mode=True,
    )
    host, asked, changed = Host(), module.params, False
    try:
        if asked["state"] == "claimed":
            changed = claim.take(host, asked["path"], asked["rollout"], asked["id"], asked["controller"], module.check_mode)
        elif asked["state"] == "released":
            changed = claim.release(host, asked["path"], asked["id"], module.check_mode)
        found = claim.look(host, asked["path"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=changed, claim=found, claimed=found is not None and found["id"] == asked["id"],
                     release=os.uname().release)


if __name__ == "__main__":
    main()
