# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Facts to compare and to report: of synthetic machines, with memory devices as if CXL regions had brought them."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine

DECLARED = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram"}]


@pytest.fixture(name="declared")
def declare():
    return [dict(entry) for entry in DECLARED]


@pytest.fixture(name="gathered")
def gather(tmp_path):
    """Facts of a machine of these devices; by default one is self-hosted and one in DRAM. The first has serial number 1, and so on."""
    def gathered(first=Device(32, 4, 1, "self", "Movable", 4), second=Device(64, 4, 2, "dram", "Movable", 4), proofs=facts.PROOFS):
        Machine(8, (first, second)).write(str(tmp_path))
        found = facts.collect(Host(str(tmp_path)), proofs=proofs)
        for serial, device in enumerate(found["devices"], 1):
            device.update(region="region%d" % serial, memory_devices=[{"name": "mem%d" % (serial - 1), "serial": serial, "pci": "0000:0%d:00.0" % serial}])
        return found
    return gathered
