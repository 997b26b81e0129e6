# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""KVM or TCG: decided by running a guest, because /dev/kvm can open, create a virtual machine and still not run one."""
from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import keys, locks
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.guest_tree import PROBE_PARAMETER
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

QEMU = "qemu-system-x86_64"

# Seconds for the probe: where KVM works, a kernel and its initrd take about one.
_PATIENCE = 20


def runs_a_guest(accelerator, image):
    """Whether the image's own kernel comes up under ``accelerator`` far enough for its initrd to switch the machine off: (answer, why not).

    :arg image: directory of a tuned guest image.
    Only a guest that switches itself off makes QEMU end: one that crashes starts again (so no -no-reboot here) until the time is over.
    """
    argv = [QEMU] + arguments(accelerator) + [
        "-machine", "q35", "-m", "512M", "-nodefaults", "-display", "none", "-kernel", os.path.join(image, "kernel"),
        "-initrd", os.path.join(image, "initrd"), "-append", PROBE_PARAMETER + " quiet cryptomgr.notests"]
    with tempfile.TemporaryFile() as errors:
        try:
            code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, timeout=_PATIENCE, check=False).returncode
            why_not = "QEMU ended with code %d" % code
        except FileNotFoundError:
            raise TestbedError("%s is not installed" % QEMU, remedy="run the role memlab.testbed.controller")
        except subprocess.TimeoutExpired:
            code, why_not = None, "a guest did not come up in %d s" % _PATIENCE
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    if code == 0:
        return True, None
    return False, words(said[0]) if said else why_not


def words(line):
    """A message of QEMU's without the program's name."""
    return re.sub(r"^qemu(-system-\w+)?: ", "", line)


def choose(image):
    """(accelerator, reason): KVM where it runs a guest, else TCG.

    The answer is kept for this boot of the machine and this QEMU. It is the same for all images: one that KVM does not run costs 20 s to ask.
    """
    if not os.path.exists("/dev/kvm"):
        return "tcg", "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg", "/dev/kvm may not be opened by this user"
    path, now = os.path.join(cache_directory(), "accelerator.json"), circumstances()
    os.makedirs(cache_directory(), exist_ok=True)
    # Guests that start side by side ask once.
    with locks.held(path + ".lock", "the probe for KVM", patience=3 * _PATIENCE):
        return _kept_or_found(path, now, image)


def _kept_or_found(path, now, image):
    try:
        with open(path, encoding="utf-8") as stream:
            kept = json.load(stream)
        if kept["circumstances"] == now:
            return kept["accelerator"], kept["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no answer yet, or one that cannot be read: find out
    works, why_not = runs_a_guest("kvm", image)
    accelerator, reason = ("kvm", "a probe guest ran under it") if works else ("tcg", "KVM opens but runs no guest: %s" % why_not)
    keys.write_atomically(path, json.dumps({"circumstances": now, "accelerator": accelerator, "reason": reason}))
    return accelerator, reason


def arguments(accelerator, hypervisor_bit=False):
    """QEMU's arguments for an accelerator and its processor.

    Without the hypervisor bit a stock kernel commits CXL regions (drivers/cxl/core/region.c, cxl_region_invalidate_memregion). TCG carries out string
    instructions step by step; a kernel and a C library that take them for fast copy bytes by them, which costs a guest a tenth of its speed.
    """
    options, model = ("kvm", "host") if accelerator == "kvm" else ("tcg,thread=multi", "max,-erms,-fsrm")
    return ["-accel", options, "-cpu", "%s,%shypervisor" % (model, "+" if hypervisor_bit else "-")]


def qemu_version():
    """First line of what QEMU says of itself. Raises :class:`TestbedError`."""
    try:
        done = subprocess.run([QEMU, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        raise TestbedError("%s cannot be run: %s" % (QEMU, exc), remedy="run the role memlab.testbed.controller")
    return done.stdout.decode("utf-8", "replace").splitlines()[0]


@functools.lru_cache(maxsize=None)
def bounce_buffers():
    """The option that lets a device reach CXL memory by DMA, for ``-device``; empty where QEMU (before 9.2) has none.

    Emulated CXL memory is no RAM to QEMU: a device reads and writes it through bounce buffers, 4 KiB of them by default. A guest that gives
    page cache such memory then loses its disk ("virtio: bogus descriptor or out of resources").
    """
    done = subprocess.run([QEMU, "-device", "virtio-blk-pci,help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          timeout=_PATIENCE, check=False)
    return ",x-max-bounce-buffer-size=64M" if b"x-max-bounce-buffer-size" in done.stdout else ""


def circumstances():
    """What an answer depends on."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return {"boot": stream.read().strip(), "qemu": qemu_version()}
