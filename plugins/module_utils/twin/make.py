# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From captures to a testbed file, and what is to be said of it."""
from __future__ import annotations

import os
from dataclasses import asdict

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import schema, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.at_boot.declared_file import PATH as DECLARED
from ansible_collections.memlab.testbed.plugins.module_utils.twin import archive, declared, express, names, observe, render
from ansible_collections.memlab.testbed.plugins.module_utils.twin.observed import Unexpressed

VARIABLE = "memory_devices"


def make(path, testbed, hosts, capacity, memory, cpus, image, strict=False):
    """``(text, answers)``: the testbed file ``path`` is to hold, and for each host a dictionary of what was scaled and what is not expressed.

    :arg hosts: list of dictionaries of name, capture, vars, groups. Raises :class:`TestbedError`, also for what ``strict`` forbids.
    """
    if not path.endswith(testbed_file.SUFFIXES):
        raise TestbedError("%s is no name of a testbed file" % os.path.basename(path), remedy="let it end in %s" % " or ".join(testbed_file.SUFFIXES))
    if not hosts:
        raise TestbedError("no host is named, so there is nothing to make a twin of")
    called = names.guest_names([host["name"] for host in hosts])
    twins, answers = [], []
    for host in hosts:
        name, twin, source = called[host["name"]], *_twin(host, capacity, memory, cpus, image)
        if name != host["name"]:
            twin.unexpressed.append(Unexpressed("the name %s" % host["name"], "inventory", "the twin is called %s" % name))
        twins.append((host["name"], name, twin))
        answers.append({"host": host["name"], "guest": name, "has": has(twin.guest), "scaled": twin.scaled,
                        "not_expressed": [asdict(entry) for entry in twin.unexpressed],
                        "declared_from": source, VARIABLE: twin.guest["vars"].get(VARIABLE, [])})
    if strict:
        _refuse(twins)
    text = render.render(testbed, twins)
    testbed_file.parse(text, path)
    return text, answers


def has(guest):
    """What a guest has, in words."""
    cxl, nodes = guest.get("cxl", {}), len(guest["numa"]["nodes"])
    ports = [port for bridge in cxl.get("host_bridges", ()) for port in bridge["root_ports"]]
    slots = [inner for port in ports for inner in (port["switch"]["downstream_ports"] if "switch" in port else [port])]
    counted = ((nodes, "node"), (len(cxl.get("host_bridges", ())), "host bridge"), (sum("switch" in port for port in ports), "switch"),
               (len(cxl.get("memory_devices", ())), "memory device"), (sum("device" not in slot for slot in slots), "empty port"),
               (len(cxl.get("windows", ())), "memory window"), (len(guest.get("nvdimms", ())), "NVDIMM"))
    return ", ".join("%d %s%s" % (count, word, "" if count == 1 else "es" if word.endswith("ch") else "s") for count, word in counted if count)


def _twin(host, capacity, memory, cpus, image):
    with archive.opened(host["capture"]) as recorded:
        machine = observe.open_capture(recorded, host["capture"])
    variables = dict(host.get("vars") or {})
    source = "inventory" if VARIABLE in variables else DECLARED if machine.declared is not None else None
    try:
        twin = express.express(machine, capacity, memory, cpus, image)
        if source:
            evidence = "inventory" if source == "inventory" else DECLARED
            variables[VARIABLE] = declared.carry(variables.get(VARIABLE, machine.declared), machine, twin, evidence)
        twin.guest["groups"] = list(host.get("groups") or [])
        twin.guest["vars"] = schema.variables(variables, "vars")
    except (TestbedError, schema.Refused) as exc:
        raise TestbedError("host %s: %s" % (host["name"], getattr(exc, "summary", exc)), details=getattr(exc, "details", ()),
                           remedy=getattr(exc, "remedy", None))
    return twin, source


def _refuse(twins):
    lines = ["%s: %s (%s): %s" % (host, entry.what, entry.evidence, entry.consequence) for host, unused, twin in twins for entry in twin.unexpressed]
    if lines:
        raise TestbedError("%d thing%s cannot be emulated as on the hosts" % (len(lines), "" if len(lines) == 1 else "s"), details=lines,
                           remedy="leave strict out to make the twins without")
