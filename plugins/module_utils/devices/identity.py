# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a memory device is named from outside: by its serial number, or by its PCI address.

Kernel names (``mem0``) are numbered in the order of discovery and change between boots, so they are refused here.
"""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

_PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]")
_KERNEL_NAME = re.compile(r"(mem|region|dax|decoder|nmem|namespace)[0-9.]+")
_YAML_MADE_A_NUMBER = re.compile(r"-?[0-9]+\.[0-9]*")


def parse(text):
    """``"0x1"``, ``"1"``, ``1`` -> the serial number 1; ``"0000:0e:00.0"`` -> that PCI address in lower case.

    Raises :class:`TestbedError` saying what is wrong with ``text``.
    """
    word = str(text).strip().lower()
    if isinstance(text, bool) or not word:
        raise TestbedError("%r does not name a memory device" % (text,), remedy="give its serial number, such as 0x1, or its PCI address")
    if _PCI.fullmatch(word):
        return word
    try:
        serial = int(word, 16 if word.startswith("0x") else 10)
    except ValueError:
        serial = None
    if serial is not None and 0 <= serial < 1 << 64:
        return serial
    if _KERNEL_NAME.fullmatch(word):
        raise TestbedError("%s is the kernel's own numbering, which changes between boots" % word, remedy="name the device by serial number or PCI address")
    if _YAML_MADE_A_NUMBER.fullmatch(word):
        raise TestbedError("%s is neither a serial number nor a PCI address" % word, remedy="quote PCI addresses: YAML reads 0000:10:00.0 as a number")
    raise TestbedError("%.60r is neither a serial number (1 or 0x1) nor a PCI address (0000:0e:00.0)" % word)


def find(devices, text):
    """The one of ``devices`` (each with ``serial``, ``pci``) that ``text`` names. Raises :class:`TestbedError`."""
    wanted = parse(text)
    if isinstance(wanted, str):
        found = [device for device in devices if device.pci == wanted]
        if not found:
            raise TestbedError("no CXL memory device at PCI address %s" % wanted, remedy=_known(devices))
        return found[0]
    found = [device for device in devices if device.serial == wanted]
    if not found:
        raise TestbedError("no CXL memory device with serial %#x" % wanted, remedy=_known(devices))
    if len(found) > 1:
        raise TestbedError("%d CXL memory devices have serial %#x" % (len(found), wanted),
                           remedy="name the one you mean by PCI address: %s" % ", ".join(device.pci for device in found))
    return found[0]


def find_all(devices, texts):
    """As :func:`find` for a list whose order counts (positions in an interleave set); a device named twice is an error."""
    if not texts:
        raise TestbedError("an empty list names no memory device")
    found = [find(devices, text) for text in texts]
    for position, device in enumerate(found):
        if device in found[:position]:
            raise TestbedError("memory device %s is named twice" % describe(device))
    return found


def describe(device):
    """``serial 0x1 (0000:0e:00.0)``"""
    return "serial %#x (%s)" % (device.serial, device.pci)


def describe_all(devices):
    return ", ".join(describe(device) for device in devices)


def _known(devices):
    if not devices:
        return "this machine has no CXL memory device at all (is cxl_pci loaded, and does the machine have CXL?)"
    return "there are %s" % describe_all(sorted(devices, key=lambda device: (device.serial, device.pci)))
