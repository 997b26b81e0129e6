# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which entries of the facts a declared memory device is about."""
from __future__ import annotations


def dax_devices(facts, entry):
    """The entries of the fact ``devices`` that belong to a declared memory device, in the order of their addresses: none or one, or one for each part.

    :arg entry: :class:`declaration.Entry`.
    """
    if entry.namespace:
        names = [namespace["name"] for namespace in namespaces(facts, entry)]
        found = [device for device in facts["devices"] if (device.get("namespace") or {}).get("name") in names]
    elif entry.soft_reserved is not None:
        found = [device for device in facts["devices"] if device.get("soft_reserved") == entry.soft_reserved]
    else:
        found = [device for device in facts["devices"] if _made_of(device.get("memory_devices") or (), entry.identities)]
    # Of a region that was divided anew an emptied device may be left, which no module counts.
    return sorted([device for device in found if device["ranges"] != []], key=lambda device: [part["start"] for part in device["ranges"] or ()])


def region(facts, entry):
    """The entry of the fact ``regions`` that is made of the declared memory devices, or ``None``."""
    return next((found for found in facts["regions"] if found["type"] == entry.type and _made_of(found["memory_devices"], entry.identities)), None)


def _made_of(members, identities):
    """Exactly these memory devices, in this order."""
    return len(members) == len(identities) and all(member.get("pci" if isinstance(wanted, str) else "serial") == wanted
                                                   for member, wanted in zip(members, identities))


def namespaces(facts, entry):
    """The entries of the fact ``namespaces`` that are the declared one, by the name in its label, else by its uuid."""
    if "name" in entry.namespace:
        return [namespace for namespace in facts["namespaces"] if namespace.get("label") == entry.namespace["name"]]
    return [namespace for namespace in facts["namespaces"] if entry.namespace["uuid"] in (namespace.get("uuid"), namespace.get("label_uuid"))]
