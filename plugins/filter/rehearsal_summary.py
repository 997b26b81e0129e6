# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a rehearsal proved."""
from __future__ import annotations

DOCUMENTATION = r"""
name: rehearsal_summary
short_description: Say what a rehearsal proved, and what it could not
version_added: "0.2.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Puts together what M(memlab.testbed.testbed_twin) said of the twins and how the rehearsed playbook ended.

positional: playbook, failure, hostvars, extra_vars, journal
options:
  _input:
    description: RV(memlab.testbed.testbed_twin#module:hosts).
    type: list
    elements: dict
    required: true
  playbook:
    description: What was rehearsed.
    type: str
    required: true
  failure:
    description: What failed, empty for nothing.
    type: str
    default: ""
  hostvars:
    description: Variables of the hosts and of C(localhost), among which those are that the rehearsal did without.
    type: dict
    default: {}
  extra_vars:
    description: What the rehearsal was given.
    type: dict
    default: {}
  journal:
    description: Directory of the journal, where a rollout was rehearsed. It says what became of each twin.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ (twins.hosts | memlab.testbed.rehearsal_summary('memlab.testbed.provision')).text }}"
"""

RETURN = r"""
_value:
  description: C(playbook), C(failure), C(hosts) (each C(host), C(guest), C(proved), C(not_proved)), and the same as C(text).
  type: dict
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.module_utils.twin import carry_vars, summary as twin_summary


def rehearsal_summary(hosts, playbook, failure="", hostvars=None, extra_vars=None, journal=""):
    hosts = plain(hosts)
    left_out = {host["host"]: carry_vars.left_out(host["host"], hostvars or {}, extra_vars or {}) for host in hosts}
    try:
        return twin_summary.summary(hosts, str(playbook), str(failure), left_out, Journal(str(journal)).read_hosts() if journal else {})
    except TestbedError as exc:
        raise AnsibleFilterError(str(exc))


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"rehearsal_summary": rehearsal_summary}
