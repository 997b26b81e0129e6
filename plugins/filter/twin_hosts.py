# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a twin takes over from its host."""
from __future__ import annotations

DOCUMENTATION = r"""
name: twin_hosts
short_description: Hosts for the module testbed_twin, with what their twins take over
version_added: "0.2.0"
author:
  - memlab.testbed contributors (@memlab)
description:
  - Makes the option C(hosts) of M(memlab.testbed.testbed_twin). A twin gets its host's groups, and of the host's variables those of this collection's roles.
  - Variables that say where the controller keeps something are left out, and so are all that say how a host is reached.

positional: hostvars, directory, further
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  directory:
    description: Directory of the captures, C(NAME.tgz) each.
    type: str
    required: true
  further:
    description: Names of further variables to take over.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Twins of all hosts
  memlab.testbed.testbed_twin:
    testbed_file: /var/tmp/twins.qemu.yml
    hosts: "{{ groups.cxl_hosts | memlab.testbed.twin_hosts(hostvars, '/var/tmp/captures') }}"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: A list of dictionaries C(name), C(capture), C(vars), C(groups).
  type: list
  elements: dict
"""

from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.twin import carry_vars


def twin_hosts(hosts, hostvars, directory, further=()):
    return carry_vars.twin_hosts([str(host) for host in hosts], {str(host): _Plain(hostvars[host]) for host in hosts}, str(directory), plain(list(further)))


class _Plain(object):
    """Variables of a host, each made plain when it is asked for: most are not, and a template of those may not even resolve."""

    def __init__(self, variables):
        self._variables = variables

    def __iter__(self):
        return (str(name) for name in self._variables)

    def __getitem__(self, name):
        return plain(self._variables[name])

    def get(self, name, default=None):
        return self[name] if name in self._variables else default


class FilterModule(object):
    """The filter of this file."""

    def filters(self):
        return {"twin_hosts": twin_hosts}
