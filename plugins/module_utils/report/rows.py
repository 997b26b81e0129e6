# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report: what each host's devices are, as plain values. It holds nothing that changes while the state does not, such as a time or free memory."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.online import zone_kind
from ansible_collections.memlab.testbed.plugins.module_utils.report import desired as desired_state
from ansible_collections.memlab.testbed.plugins.module_utils.report import in_dram, words
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain

# What a placement is called as a policy; other placements are none.
ABSENT = "absent"


def of_hosts(names, hostvars, variable="memory_devices"):
    """:func:`report` of these hosts, as Ansible's host variables know them; ``variable`` names the one that declares their memory devices."""
    return report({str(name): (plain(hostvars[name].get("ansible_facts", {}).get("memmap")), plain(hostvars[name].get(variable))) for name in names})


def report(hosts):
    """``{"hosts": {name: entry}}``, with ``None`` for a host without facts.

    :arg hosts: ``{name: (the fact memmap or None, the inventory's memory devices or None)}``. A mistake in the latter is reported with the host.
    """
    return {"hosts": {name: _host(facts, entries) if facts else None for name, (facts, entries) in hosts.items()}}


def _host(facts, entries):
    mistake, desired = None, []
    try:
        desired = declaration.parse(entries)
    except TestbedError as exc:
        mistake = str(exc)
    wanted = {}
    missing = []
    for entry in desired:
        parts = entry.parts or [{"mode": entry.mode, "memmap": entry.memmap}]
        devices = desired_state.dax_devices(facts, entry)
        for device, part in zip(devices, parts if len(parts) == len(devices) else parts[:1] * len(devices)):
            wanted[device["name"]] = entry, part
        if not devices and (entry.mode or entry.parts):
            missing.append({"device": [entry.name], "name": None, "size": None, "mode": None, "region": None, "namespace": None, "blocks": None,
                            "zones": [], "node": None, "memmap": _memmap(parts[0], None), "wanted": _wanted(entry, parts[0])})
    return {"kernel": facts["kernel"], "mistake": mistake,
            "devices": [_device(device, *wanted.get(device["name"], (None, None))) for device in facts["devices"]] + missing,
            "namespaces": facts["namespaces"], "proofs": facts["proofs"], "conflicts": facts["conflicts"],
            "slow_nodes": [node["id"] for node in facts["nodes"] if node["device_only"]]}


def _device(device, entry, part):
    blocks = device["blocks"] and dict(device["blocks"], total=sum(device["blocks"].values()))
    return {"device": words.identities(device), "name": device["name"], "size": device["size"], "mode": device["mode"], "region": device["region"],
            "namespace": device["namespace"], "blocks": blocks, "zones": sorted({zone_kind(zone) for zone in device["zones"]}),
            "node": device["target_node"], "memmap": _memmap(part, device), "wanted": _wanted(entry, part) if entry else None}


def _memmap(part, device):
    found = device["placement"] if device else ABSENT
    if device:
        found = "device" if found == "self" else "dram" if in_dram.holds(device) else found
    return {"wanted": part.get("memmap") if part else None, "found": found, "placement": device["placement"] if device else None,
            "intent": device["intent"] if device else None, "proofs": device["proofs"] if device else [],
            "bytes": device["memmap_bytes"] if device else 0, "nodes": device["memmap_nodes"] if device else {}}


def _wanted(entry, part):
    return {"size": "all" if entry.size is None else entry.size, "mode": part["mode"], "memmap": part.get("memmap"), "zone": entry.zone, "amount": entry.amount}
