# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's memory devices are declared to be, as far as the doctor compares it with what they are: a view of :mod:`~..devices.declaration`."""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration

# subject: as findings give it; members: memory devices as written; memory_devices: their serial numbers and PCI addresses; namespace: name or uuid, or None;
# soft_reserved: address, or None; dax: whether dax devices are to come of it; mode: what these are to be, None where there are none or they differ;
# memmaps: where their memmaps are to lie, a set; zone: of their memory blocks; text: as a message names it; entry: all that is declared
Wanted = collections.namedtuple("Wanted", "subject members memory_devices namespace soft_reserved dax mode memmaps zone text entry")


def parse(entries):
    """The list ``memory_devices`` of a host's inventory -> list of :class:`Wanted`. Raises :class:`TestbedError` as :func:`declaration.parse` does."""
    return [_view(entry) for entry in declaration.parse(entries)]


def _view(entry):
    name = declaration.label(entry.namespace) if entry.namespace else None
    if name:
        subject, text = {"namespace": name}, "namespace %s" % name
    elif entry.members:
        subject, text = {"memory_devices": list(entry.members)}, "memory device %s" % ", ".join(entry.members)
    else:
        subject, text = {"soft_reserved": entry.name}, "the soft-reserved range at %s" % entry.name
    modes = declaration.modes(entry)
    return Wanted(subject, entry.members, tuple(entry.identities), name, entry.soft_reserved, bool(modes), min(modes) if len(modes) == 1 else None,
                  declaration.memmaps(entry), entry.zone, text, entry)
