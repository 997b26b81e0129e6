# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The UEFI firmware of a guest that starts from its own disk."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Code and variable store of the firmware, where Debian and others keep them.
FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
)


def _first():
    return next((pair for pair in FIRMWARE if all(map(os.path.exists, pair))), None)


def is_there():
    return _first() is not None


def find():
    """Paths of the firmware's code and of its empty variable store. Raises :class:`TestbedError` where there is none."""
    found = _first()
    if found is None:
        raise TestbedError("no UEFI firmware for a guest that starts from its own disk is installed", remedy="install OVMF (Debian's package ovmf)")
    return found


def arguments(code, variables):
    """QEMU's arguments for the firmware. :arg variables: the guest's own copy of the variable store."""
    drives = (("0", "on", code), ("1", "off", variables))
    return [word for unit, only, path in drives
            for word in ("-drive", "if=pflash,format=raw,unit=%s,readonly=%s,file=%s" % (unit, only, path.replace(",", ",,")))]
