# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about devices that are there and not as declared: those of the role verify's statements that do not hold, and not for want of knowledge.

Nothing is compared a second time here; what has a finding of its own, such as the mode, is left to that.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import PROBLEM, found
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.online import SHOWN
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.placement import evidence
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY
from ansible_collections.memlab.testbed.plugins.module_utils.placement import devices
from ansible_collections.memlab.testbed.plugins.module_utils.report.statements import KNOB

REGION, NAMESPACE = " of the region", " of the namespace"
REGION_ANEW = "memlab.testbed.cxl_region with state: absent, then present, once its memory is offline and its namespaces are gone"
NAMESPACE_ANEW = "memlab.testbed.pmem_namespace with state: reconfigured, by which it loses what it holds"
PARTS_ANEW = "memlab.testbed.dax_device with parts, once its memory is offline"


def size_unwanted(readings):
    """A device has another size than declared, or its region, its namespace or one of its parts has; or it is divided otherwise.

    Evidence: the size, or the dax devices that there are.
    Remedy: make it anew in the declared size, or correct the declaration.
    """
    for entry, said in _untrue(readings, ("size", "size" + REGION, "size" + NAMESPACE, "dax device", "dax devices")):
        yield found(PROBLEM, said["message"], _subject(readings, entry, said),
                    [(name, readings.text(name, needed=False)) for name in ["%s/size" % place for place in _places(said)]]
                    if said["statement"].startswith("size") else [(devices.DAX, said["found"])],
                    "correct the declaration, or make it anew: %s" % _anew(entry, said))


def made_otherwise(readings):
    """A region or a namespace was made otherwise than declared: root decoder or granularity; mode, memmap, alignment or size of sectors.

    Evidence: the region or namespace, and what it has.
    Remedy: make it anew as declared, or correct the declaration.
    """
    for entry, said in _untrue(readings, [key + REGION for key in ("root_decoder", "granularity")] +
                               [key + NAMESPACE for key in ("mode", "memmap", "align", "sector_size")]):
        yield found(PROBLEM, said["message"], entry.subject, [(place, "%s %s" % (said["statement"].split()[0], said["found"])) for place in _places(said)],
                    "correct the declaration, or make it anew: %s" % _anew(entry, said))


def placement_unwanted(readings):
    """The memmap of a device does not lie where it is declared to, and the knob does not ask for that either.

    Evidence: the knob, the boot parameter, and the nodes the memmap was found on.
    Remedy: memlab.testbed.dax_device with the declared memmap; offline true where its blocks are online.
    """
    misled = {name for entry, said in _untrue(readings, (KNOB,)) for name in said["about"]}
    for entry, said in _untrue(readings, ("memmap",)):
        for placed in (readings.placed(name) for name in said["about"]):
            # With the knob as declared it is the kernel that did otherwise, which knob_ignored and memmap_not_in_dram say.
            if placed["name"] in misled or placed["intent"] is None:
                yield found(PROBLEM, said["message"], _subject(readings, entry, said), evidence(readings, placed),
                            "memlab.testbed.dax_device with memmap: %s%s, then memlab.testbed.memory_blocks"
                            % (said["wanted"].split()[0], " and offline: true" if placed["blocks"]["online"] else ""))


def blocks_offline(readings):
    """Of a device that is memory, fewer or more memory blocks are online than declared.

    Evidence: how many are online, and some that are not.
    Remedy: memlab.testbed.memory_blocks with the declared amount.
    """
    for entry, said in _untrue(readings, ("blocks online",)):
        offline = [block for block in _blocks(readings, said) if not block.online]
        yield found(PROBLEM, said["message"], _subject(readings, entry, said),
                    [(MEMORY, "%s blocks of the device are online" % said["found"])] +
                    [("%s/memory%d/state" % (MEMORY, block.id), block.state) for block in offline[:SHOWN]],
                    "memlab.testbed.memory_blocks with count: %s and zone: %s" % (entry.entry.amount, entry.zone))


def zone_unwanted(readings):
    """Memory blocks of a device are online in another zone than declared.

    Evidence: the zones of its blocks.
    Remedy: memlab.testbed.memory_blocks with the declared zone, which takes them offline and online again.
    """
    for entry, said in _untrue(readings, ("zone",)):
        yield found(PROBLEM, said["message"], _subject(readings, entry, said),
                    [("%s/memory%d/valid_zones" % (MEMORY, block.id), block.zone) for block in _blocks(readings, said)[:SHOWN]],
                    "memlab.testbed.memory_blocks with zone: %s takes them offline and online again; blocks with pages that cannot move stay until a reboot"
                    % entry.zone)


def _untrue(readings, names):
    """(declared entry, statement) of each such statement that is about something there, and does not hold."""
    return [(entry, said) for entry, said in readings.statements if said["statement"] in names and said["about"] and said["known"] and not said["ok"]]


def _subject(readings, entry, said):
    device = next((device for device in readings.dax if device.name == said["about"][0]), None)
    return readings.subject(device) if device else entry.subject


def _places(said):
    """Directories of what a statement is about."""
    bus = cxl.BUS if said["statement"].endswith(REGION) else nvdimm.BUS if said["statement"].endswith(NAMESPACE) else devices.DAX
    return ["%s/%s" % (bus, name) for name in said["about"]]


def _blocks(readings, said):
    return [readings.blocks[number] for first, last in said["blocks"] for number in range(first, last + 1) if number in readings.blocks]


def _anew(entry, said):
    if said["statement"].endswith(NAMESPACE):
        return NAMESPACE_ANEW
    return REGION_ANEW if said["statement"].endswith(REGION) or not entry.entry.parts else PARTS_ANEW
