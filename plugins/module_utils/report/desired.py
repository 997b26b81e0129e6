# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which entries of the facts a declared memory device is about."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration


def dax_devices(facts, entry):
    """The entries of the fact ``devices`` that belong to a declared memory device, in the order of their addresses: none or one, or one for each part.

    :arg entry: :class:`declaration.Entry`.
    """
    if entry.namespace:
        found = [device for device in facts["devices"] if device.get("namespace") and is_namespace(device["namespace"], entry)]
    elif entry.soft_reserved is not None:
        found = [device for device in facts["devices"] if device.get("soft_reserved") == entry.soft_reserved]
    else:
        found = [device for device in facts["devices"] if _made_of(device.get("memory_devices") or (), entry.identities)]
    return sorted(found, key=lambda device: [part["start"] for part in device["ranges"] or ()])


def _made_of(members, identities):
    """Exactly these memory devices, in this order."""
    return len(members) == len(identities) and all(member.get("pci" if isinstance(wanted, str) else "serial") == wanted
                                                   for member, wanted in zip(members, identities))


def is_namespace(found, entry):
    """Whether a namespace of the facts is the declared one, by the name in its label, else by its uuid."""
    return found.get("label" if "name" in entry.namespace else "uuid") == declaration.label(entry.namespace)


def namespaces(facts, entry):
    """The entries of the fact ``namespaces`` that are the declared one."""
    return [namespace for namespace in facts["namespaces"] if is_namespace(namespace, entry)]
