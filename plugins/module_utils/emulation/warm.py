# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Warm starts: a guest restored from a snapshot of itself, its CXL memory devices plugged in afterwards.

QEMU (10.0) does not carry the state of CXL ports and type-3 devices into a snapshot: decoders are lost and memory reads as zero, without an error; a
root port comes back without its bus numbers. So a snapshot is taken of a guest that has no type-3 device, whose kernel has let go of the CXL root
and of the root ports. After the restore the devices are plugged in, and the guest looks at its PCI buses anew: for its kernel that is a hot-plug
of root ports and all. Backings of persistent memory are shared files and never in a snapshot (x-ignore-shared); a guest is restored only
while these are as empty as they were when it was taken.
"""
from __future__ import annotations

import hashlib
import json
import os
import time

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, keys, machine as machines, qemu_arguments
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# In the guest, before the snapshot: all CXL drivers that its kernel has are loaded, the CXL root (ACPI0017) has no driver, no root port is there.
# Says "unfit" where the kernel has no driver for the CXL root that could let go of it.
LET_GO = """set -e
until systemctl is-active --quiet systemd-udev-trigger.service; do :; done
udevadm settle --timeout=60
for module in cxl_acpi cxl_pci cxl_mem cxl_port dax_cxl kmem; do modprobe -q "$module" || :; done
[ -d /sys/bus/platform/drivers/cxl_acpi ] || { echo unfit; exit 0; }
cd /sys/bus/platform/drivers/cxl_acpi
for root in ACPI0017:*; do echo "$root" > unbind; done
for port in /sys/bus/pci/devices/*; do
  [ "$(cat "$port/vendor" "$port/device" 2>/dev/null | tr '\\n' ' ')" != "0x8086 0x7075 " ] || echo 1 > "$port/remove"
done
sync
"""

# In the guest, after the restore: the time of day, then the buses, then the CXL root; done when every memory device has its place.
TAKE_BACK = """set -e
date -s @%(now)d > /dev/null
echo 1 > /sys/bus/pci/rescan
for root in /sys/bus/platform/devices/ACPI0017:*; do echo "${root##*/}" > /sys/bus/platform/drivers/cxl_acpi/bind; done
there() { ls /sys/bus/cxl/devices | grep -c '^endpoint' || :; }
up() { cut -d. -f1 /proc/uptime; }
end=$(($(up) + %(patience)d))
until [ "$(there)" -ge %(devices)d ]; do
  [ "$(up)" -lt "$end" ] || { echo "only $(there) of %(devices)d memory devices came up" >&2; exit 1; }
done
"""

_CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared",)]


def devices(guest):
    """Names of the memory devices that sit in a port from the start."""
    return [port.device for where, bridge, port in guest.cxl.memory_ports() if port.device is not None]


def why_not(guest):
    """Why a guest cannot be started warm, or ``None``."""
    if not devices(guest):
        return "it has no CXL memory device to plug in"
    if guest.image.loader != "qemu":
        return "its firmware and its boot loader start it"
    if any(port.switch is not None for bridge in guest.cxl.host_bridges for port in bridge.root_ports):
        return "it has a CXL switch, whose state QEMU does not carry over"
    return None


class Snapshot(object):
    """The snapshot of one guest, good for one image, QEMU, definition and set of keys."""

    def __init__(self, machine, accel):
        self.machine = machine
        self.accel = accel
        self.directory = os.path.join(os.path.dirname(machine.directory), "warm", machine.guest.name)
        self.disk = os.path.join(self.directory, "disk.qcow2")
        self.memory = os.path.join(self.directory, "memory")

    def key(self):
        """Digest of everything that the saved state depends on."""
        parts = [self.machine.arguments(self.disk, self.accel, cold_plug=False), accelerator.qemu_version(), LET_GO, TAKE_BACK,
                 keys.public_user_key(self.machine.testbed), _content(keys.host_key(self.machine.testbed, self.machine.guest.name) + ".pub")]
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()

    def usable(self):
        try:
            return _content(os.path.join(self.directory, "key")) == self.key()
        except OSError:
            return False

    def remove(self):
        directories.remove(self.directory)

    def take(self, host, running, timeout):
        """Boot the guest without memory devices, save it, and let it go on with them. Returns its ssh port; ``None``, the guest ended, for an unfit kernel."""
        self.remove()
        os.makedirs(self.directory, mode=0o700)
        self.machine.make_disk(host, self.disk)
        found = running(self.machine.start(self.machine.arguments(self.disk, self.accel, cold_plug=False)))
        with self.machine.monitor() as monitor:
            port = self.machine.learn_port(monitor)
            self.machine.wait_for_ssh(port, found, timeout)
            if self.machine.ssh(host, port, LET_GO, timeout=timeout).strip() == "unfit":
                self.machine.stop()
                self.remove()
                return None
            monitor.execute("stop")
            monitor.execute("migrate-set-capabilities", {"capabilities": _CAPABILITIES})
            monitor.execute("migrate-set-parameters", {"max-bandwidth": 0})
            monitor.execute("migrate", {"uri": "file:" + self.memory})
            _wait_migrated(monitor, self.machine.guest.name)
            # From here on the saved disk is not written any more: what follows goes to an overlay.
            monitor.execute("blockdev-snapshot-sync", {"node-name": machines.DISK, "snapshot-file": self.machine.file("disk.qcow2"), "format": "qcow2",
                                                       "snapshot-node-name": "memlab.overlay"})
            keys.write_atomically(os.path.join(self.directory, "key"), self.key())
            self._go_on(host, monitor, port, timeout)
        return port

    def restore(self, host, running, timeout):
        """Start the guest from the snapshot. Returns its ssh port."""
        disk = self.machine.file("disk.qcow2")
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.disk, disk])
        running(self.machine.start(self.machine.arguments(disk, self.accel, cold_plug=False) + ["-incoming", "defer"]))
        with self.machine.monitor() as monitor:
            port = self.machine.learn_port(monitor)
            monitor.execute("migrate-set-capabilities", {"capabilities": _CAPABILITIES})
            monitor.execute("migrate-incoming", {"uri": "file:" + self.memory})
            try:
                _wait_migrated(monitor, self.machine.guest.name)
            except TestbedError:
                raise self.machine.failure("guest %s cannot be restored from its snapshot" % self.machine.guest.name)
            self._go_on(host, monitor, port, timeout)
        return port

    def _go_on(self, host, monitor, port, timeout):
        names = devices(self.machine.guest)
        for name in names:
            for command, arguments in qemu_arguments.memory_device_commands(self.machine.guest, name, self.machine.file("memory")):
                monitor.execute(command, arguments)
        monitor.execute("cont")
        # Seconds, where all is well: a guest that takes longer boots sooner than it comes.
        patience = min(60, timeout // 4)
        self.machine.ssh(host, port, TAKE_BACK % {"now": time.time(), "devices": len(names), "patience": patience}, timeout=patience + 15)


def _wait_migrated(monitor, name):
    deadline = time.monotonic() + 120
    while True:
        answer = monitor.execute("query-migrate")
        status = answer.get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise TestbedError("guest %s: its memory could not be saved or loaded (%s)" % (name, answer.get("error-desc") or status or "no answer"))
        time.sleep(0.02)


def _content(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()
