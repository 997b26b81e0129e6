# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guests have what their testbed file declares, before anything is done to them."""
from __future__ import annotations


def test_the_guests_memory_devices_are_the_declared_ones(host, definition):
    declared = sorted(entry["serial"] for entry in definition["memlab_guest_definition"]["cxl"]["memory_devices"])
    found = host.run("cat /sys/bus/cxl/devices/mem*/serial")
    assert sorted(int(line, 16) for line in found.stdout.split()) == declared
