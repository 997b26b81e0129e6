# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All findings of a machine, and the list of those that there can be."""
from __future__ import annotations

import inspect
import re

from ansible_collections.memlab.testbed.plugins.module_utils.doctor import declared, firmware, kernel, modes, online, placement, regions, sizes, windows
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import PROBLEM
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import Readings
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.wanted import parse

# From the outside in: what the hardware and firmware give, what the kernel makes of it, what became of each device. A finding's id is its function's name.
FINDINGS = (
    windows.memory_device_unbound, windows.no_window, windows.no_fitting_window, windows.no_decoder, windows.wrong_target_order,
    windows.serials_not_unique,
    firmware.window_is_system_ram, firmware.soft_reserved_without_dax, firmware.soft_reserve_off, firmware.no_target_node,
    kernel.option_missing, kernel.module_missing, kernel.driver_not_loaded, kernel.no_ram_regions,
    regions.hypervisor_bit, regions.region_half_made, regions.decoder_left_over, regions.region_without_dax,
    regions.region_without_nvdimm,
    modes.device_absent, modes.system_ram_unwanted, modes.mode_absent, modes.auto_online_policy,
    declared.size_unwanted, declared.made_otherwise, declared.placement_unwanted, declared.blocks_offline, declared.zone_unwanted,
    online.memory_left_behind, online.online_unasked, online.cannot_go_offline, online.pages_busy, online.blocks_absent,
    sizes.no_whole_block, sizes.size_lost, sizes.nvdimm_misaligned,
    placement.knob_ignored, placement.memmap_not_in_dram, placement.not_enough_dram,
)


def diagnose(host, wanted=()):
    """``{"findings": [...], "problems": count, "unseen": [...]}``, plain values, problems first.

    :arg wanted: the host's declared list of memory devices; without it only what contradicts itself or cannot work is a problem.
    Raises :class:`TestbedError` for a list that is none, and for a damaged capture.
    """
    readings = Readings(host, parse(wanted))
    found = [_plain(function.__name__, entry) for function in FINDINGS for entry in function(readings)]
    found.sort(key=lambda entry: entry["severity"] != PROBLEM)
    return {"findings": found, "problems": sum(1 for entry in found if entry["severity"] == PROBLEM),
            "unseen": [{"file": name, "why": why} for name, why in sorted(readings.unseen.items())]}


def catalogue():
    """(id, what is wrong, evidence, remedy) of each finding, from its function's own words."""
    return [(function.__name__,) + _words(inspect.getdoc(function)) for function in FINDINGS]


def _words(text):
    wrong, evidence, remedy = re.fullmatch(r"(.*?)\n\nEvidence: (.*?)\nRemedy: (.*)", text, re.DOTALL).groups()
    return tuple(" ".join(part.split()) for part in (wrong, evidence, remedy))


def _plain(name, entry):
    return {"finding": name, "severity": entry.severity, "message": entry.message, "subject": entry.subject,
            "evidence": [{"file": place, "value": None if value is None else str(value)} for place, value in entry.evidence], "remedy": entry.remedy}
