# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The testbed file's text: what each guest is scaled by and what it does not have stand above it as comments."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

try:
    import yaml
except ImportError:
    yaml = None
    SafeDumper = object
else:
    SafeDumper = yaml.SafeDumper

HEAD = "# Emulated twins of real hosts, made from their captures by memlab.testbed.testbed_twin, which writes this file anew: change the hosts, not this.\n"


class _Dumper(SafeDumper):

    def increase_indent(self, flow=False, indentless=False):
        """Lists stand further in than their key."""
        return super(_Dumper, self).increase_indent(flow, False)

    def ignore_aliases(self, data):
        return True


class Hexadecimal(int):
    """A number that is written as 0x1a."""


def _hexadecimal(dumper, number):
    return dumper.represent_scalar("tag:yaml.org,2002:int", "%#x" % number)


if yaml is not None:
    _Dumper.add_representer(Hexadecimal, _hexadecimal)


def render(testbed, twins):
    """Text. :arg twins: list of (host, guest's name, :class:`~.express.Twin`). Raises :class:`TestbedError` without PyYAML."""
    if yaml is None:
        raise TestbedError("PyYAML is not installed", remedy="install ansible-core, which brings it, for the Python that runs this")
    text = "---\n%splugin: %s\ntestbed: %s\nguests:\n" % (HEAD, testbed_file.PLUGIN, testbed)
    for host, name, twin in twins:
        lines = ["Twin of %s." % host]
        lines += ["Scaled: %s: %s -> %s" % (entry["what"], entry["host"], entry["twin"]) for entry in twin.scaled]
        lines += ["Not expressed: %s (%s): %s" % (entry.what, entry.evidence, entry.consequence) for entry in twin.unexpressed]
        text += "".join("  # %s\n" % " ".join(line.split()) for line in lines)
        text += "".join("  %s\n" % line for line in _dump({name: _serials(twin.guest)}).splitlines())
    return text


def _serials(guest):
    guest = {key: value for key, value in guest.items() if value not in ({}, [])}
    cxl = guest.get("cxl")
    if not cxl:
        return guest
    devices = [dict(device, serial=Hexadecimal(device["serial"])) for device in cxl["memory_devices"]]
    return dict(guest, cxl=dict(cxl, memory_devices=devices))


def _dump(data):
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=150, allow_unicode=True)
