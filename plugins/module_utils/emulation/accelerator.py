# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""KVM or TCG: decided by running a guest, because /dev/kvm can open, create a virtual machine and still not run one."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import keys
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

QEMU = "qemu-system-x86_64"

# Port of QEMU's isa-debug-exit, and the value the probe writes there; QEMU then exits with 2 * value + 1.
_EXIT_PORT, _EXIT_VALUE = 0x501, 0x2A

# Seconds for a guest of twelve bytes. Where KVM works, firmware included, it takes a tenth of one.
_PATIENCE = 10


def boot_sector():
    """512 bytes that a BIOS starts: they leave through the debug port, so reaching them means that guest code ran."""
    code = b"\xba" + _EXIT_PORT.to_bytes(2, "little")  # mov dx, port
    code += b"\xb0" + bytes([_EXIT_VALUE])             # mov al, value
    code += b"\xee\xf4\xeb\xfd"                        # out dx, al; hlt; jump back to hlt
    return code.ljust(510, b"\0") + b"\x55\xaa"


def runs_a_guest(accelerator):
    """(whether a guest runs under ``accelerator``, why not)."""
    with tempfile.TemporaryDirectory() as directory:
        disk = os.path.join(directory, "boot.img")
        with open(disk, "wb") as stream:
            stream.write(boot_sector())
        argv = [QEMU, "-accel", accelerator, "-machine", "q35", "-m", "16M", "-nodefaults", "-display", "none", "-no-reboot",
                "-device", "isa-debug-exit,iobase=0x%x,iosize=2" % _EXIT_PORT, "-drive", "if=ide,format=raw,file=" + disk.replace(",", ",,")]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_PATIENCE, check=False)
        except FileNotFoundError:
            raise TestbedError("%s is not installed" % QEMU, remedy="run the role memlab.testbed.controller")
        except subprocess.TimeoutExpired:
            return False, "a guest started and did nothing for %d s" % _PATIENCE
    if done.returncode == 2 * _EXIT_VALUE + 1:
        return True, None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return False, said[0].replace(QEMU + ": ", "") if said else "QEMU ended with code %d" % done.returncode


def choose():
    """(accelerator, reason): KVM where it runs a guest, else TCG. The answer is kept for this boot of the machine and this QEMU."""
    if not os.path.exists("/dev/kvm"):
        return "tcg", "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg", "/dev/kvm may not be opened by this user"
    path, now = os.path.join(cache_directory(), "accelerator.json"), _circumstances()
    try:
        with open(path, encoding="utf-8") as stream:
            kept = json.load(stream)
        if kept["circumstances"] == now:
            return kept["accelerator"], kept["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no answer yet, or one that cannot be read: find out
    works, why_not = runs_a_guest("kvm")
    accelerator, reason = ("kvm", "a probe guest ran under it") if works else ("tcg", "KVM opens but runs no guest: %s" % why_not)
    os.makedirs(cache_directory(), exist_ok=True)
    keys.write_atomically(path, json.dumps({"circumstances": now, "accelerator": accelerator, "reason": reason}))
    return accelerator, reason


def arguments(accelerator):
    """QEMU's arguments for an accelerator and its processor.

    Without the hypervisor bit a stock kernel commits CXL regions (drivers/cxl/core/region.c, cxl_region_invalidate_memregion).
    """
    return ["-accel", "kvm", "-cpu", "host,-hypervisor"] if accelerator == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max,-hypervisor"]


def qemu_version():
    """First line of what QEMU says of itself. Raises :class:`TestbedError`."""
    try:
        done = subprocess.run([QEMU, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise TestbedError("%s cannot be run: %s" % (QEMU, exc), remedy="run the role memlab.testbed.controller")
    return done.stdout.decode("utf-8", "replace").splitlines()[0]


def _circumstances():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return {"boot": stream.read().strip(), "qemu": qemu_version()}
