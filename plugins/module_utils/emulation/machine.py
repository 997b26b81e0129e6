# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One guest as a process: its command line, its start and end, and the wait until it answers.

A guest's directory holds all there is of it: ``process.json`` (pid and start time), ``connection.json`` (ssh port), the QMP socket, the serial log,
QEMU's own messages, the disk's overlay and the files behind its persistent memory.
"""
from __future__ import annotations

import json
import os
import re
import select
import shutil
import socket
import subprocess
import time

from ansible_collections.memlab.testbed.plugins.module_utils import directories, process
from ansible_collections.memlab.testbed.plugins.module_utils.boot import serial
from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, firmware, guest_tree, keys, locks, qemu_arguments
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.monitor import Monitor, Unreachable
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import guest_directory, testbed_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

# The drive's node name; ids with a dot cannot be a declared name.
DISK = "memlab.disk"

# The firmware's variable store.
VARIABLES = "variables.fd"

# Bytes of a log that an error shows.
_TAIL = 4000
_TAIL_LINES = 15

# What tells on the serial line that no answer will come.
_DEAD = ("Kernel panic", "no root file system on", "end Kernel panic")


# In the guest: sshd answers before udev has gone over the devices, and the CXL drivers probe in the background. Says how many memory devices have their place.
# A kernel that has no CXL bus when udev is done has no such drivers.
SETTLE = """deadline=$(($(cut -d. -f1 /proc/uptime) + %(seconds)d))
until systemctl is-active --quiet systemd-udev-trigger.service && udevadm settle --timeout=5 &&
      { [ ! -d /sys/bus/cxl ] || [ "$(ls /sys/bus/cxl/devices | grep -c '^endpoint')" -ge %(devices)d ]; }; do
  [ "$(cut -d. -f1 /proc/uptime)" -lt "$deadline" ] || break
done
ls /sys/bus/cxl/devices 2>/dev/null | grep -c '^endpoint' || :
"""

# Seconds that the guest's drivers may take after sshd answers.
_SETTLE_PATIENCE = 180


class Machine(object):
    """A guest of a testbed on this controller.

    :arg testbed: the testbed's name.
    :arg guest: a :class:`topology.Guest`.
    :arg image: directory of its image, ``None`` where it is only to be found or ended.
    """

    def __init__(self, testbed, guest, image=None, ssh_port=0):
        self.testbed = testbed
        self.guest = guest
        self.image = image
        self.ssh_port = ssh_port
        self.directory = guest_directory(testbed, guest.name)
        self._child = None

    def file(self, name):
        return os.path.join(self.directory, name)

    # what is

    def process(self):
        """(pid, start time) of the running guest, or ``None``."""
        found = self._json("process.json")
        try:
            return (found["pid"], found["started"]) if process.is_alive(found["pid"], found["started"]) else None
        except (KeyError, TypeError):
            return None

    def port(self):
        """The port on 127.0.0.1 that leads to the guest's sshd, or ``None`` where the guest is not up."""
        found = self._json("connection.json")
        return found.get("ssh_port") if isinstance(found, dict) else None

    def running_parameters(self):
        """Kernel parameters that were added when the guest was last configured, beside the declared ones."""
        found = self._json("parameters.json")
        return found if isinstance(found, list) else []

    def definition(self):
        """What a change of the testbed file changes about a guest that runs, as JSON types."""
        found = [qemu_arguments.machine_arguments(self.guest, self.file("memory")), list(self.guest.kernel_parameters)]
        return found + [name for name in ("hypervisor_bit", "watchdog") if getattr(self.guest, name)]

    def is_outdated(self):
        """Whether the guest was started from another definition than this one."""
        found = self._json("definition.json")
        return bool(found) and found != self.definition()

    def last_image(self):
        """Directory of the image that the guest's disk lies over, or ``None``: what a restart goes on with."""
        found = self._json("image.json")
        return found if isinstance(found, str) else None

    def _json(self, name):
        try:
            with open(self.file(name), encoding="utf-8") as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return {}

    # command line

    def kernel_command_line(self):
        """The image's parameters, the declared ones and those added since.

        A ``name=value`` takes the place of an older layer's under that name: the kernel takes the last of most, and people read the first. What
        is given more than once in one layer stays (``memmap=``, ``console=``).
        """
        with open(os.path.join(self.image, "manifest.json"), encoding="utf-8") as stream:
            image_parameters = json.load(stream)["kernel_parameters"]
        tokens = ["root=/dev/vda", "rw", "console=ttyS0", "net.ifnames=0"] + image_parameters
        for layer in (list(self.guest.kernel_parameters), self.running_parameters()):
            names = {token.partition("=")[0] for token in layer if "=" in token}
            tokens = [old for old in tokens if old not in layer and old.partition("=")[0] not in names] + layer
        return " ".join(tokens)

    def arguments(self, disk, accel, cold_plug=True):
        """QEMU's arguments. Everything that listens is a socket file or on 127.0.0.1."""
        guest, host_key = self.guest, keys.host_key(self.testbed, self.guest.name)
        given = {"opt/memlab/host_key": host_key, "opt/memlab/authorized_keys": keys.user_key(self.testbed) + ".pub",
                 "opt/memlab/hostname": self.file("hostname")}
        bounce = accelerator.bounce_buffers()
        argv = [accelerator.QEMU, "-name", "memlab-%s-%s" % (self.testbed, guest.name), "-nodefaults", "-no-user-config", "-display", "none"]
        argv += accelerator.arguments(accel, guest.hypervisor_bit) + qemu_arguments.machine_arguments(guest, self.file("memory"), cold_plug)
        argv += ["-blockdev", json.dumps({"node-name": DISK, "driver": "qcow2", "file": {"driver": "file", "filename": disk}, "discard": "unmap"}),
                 "-device", "virtio-blk-pci,drive=%s,bus=pcie.0,id=memlab.blk%s" % (DISK, ",bootindex=0" if guest.image.starter else "") + bounce,
                 "-netdev", "user,id=memlab.net,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22" % self.ssh_port,
                 "-device", "virtio-net-pci,netdev=memlab.net,bus=pcie.0,id=memlab.nic" + bounce,
                 "-device", "virtio-rng-pci,bus=pcie.0,id=memlab.rng" + bounce,
                 "-chardev", "file,id=memlab.serial,path=serial.log", "-serial", "chardev:memlab.serial",
                 "-qmp", "unix:qmp.sock,server=on,wait=off"]
        if guest.watchdog:
            argv += ["-device", "i6300esb,bus=pcie.0,id=memlab.watchdog", "-action", "watchdog=reset"]
        if guest.image.starter:
            argv += firmware.arguments(firmware.find()[0], self.file(VARIABLES))
        else:
            argv += ["-kernel", os.path.join(self.image, "kernel"), "-initrd", os.path.join(self.image, "initrd"), "-append", self.kernel_command_line()]
        for name, path, mode in guest_tree.GIVEN_FILES:
            argv += ["-fw_cfg", "name=%s,file=%s" % (name, given[name].replace(",", ",,"))]
        return argv

    # making

    def prepare(self, host):
        """Directory, host name, keys and the files behind persistent memory. Files that are there keep what they hold.

        Returns whether the guest had no such files before. Raises :class:`TestbedError` when one has another size than is declared.
        """
        os.makedirs(self.file("memory"), mode=0o700, exist_ok=True)
        # Guests of a testbed start side by side and share its key and its known hosts.
        with locks.held(os.path.join(testbed_directory(self.testbed), ".lock"), "testbed %s" % self.testbed, patience=60):
            keys.ensure(host, self.testbed, self.guest.name)
        keys.write_atomically(self.file("hostname"), self.guest.name + "\n")
        fresh = True
        for name, size in qemu_arguments.backing_files(self.guest).items():
            path = os.path.join(self.file("memory"), name)
            if os.path.exists(path):
                fresh = False
                if os.path.getsize(path) != size:
                    raise TestbedError("guest %s: %s holds %d bytes of persistent memory, %d are declared now" % (
                        self.guest.name, name, os.path.getsize(path), size), remedy="remove the guest, which removes them, or declare the size it has")
            else:
                with open(path + ".new", "wb") as stream:
                    stream.truncate(size)
                os.replace(path + ".new", path)
        return fresh

    def make_disk(self, host, path):
        """An overlay over the image's disk, and a variable store for firmware that has one; the image itself is never written."""
        if self.guest.image.starter:
            shutil.copyfile(firmware.find()[1], self.file(VARIABLES))
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.join(self.image, "root.img"), path])

    # running

    def start(self, argv):
        """Start QEMU, record who it is, and return (pid, start time) once its monitor answers. Raises :class:`TestbedError` with QEMU's words."""
        for name in ("qmp.sock", "connection.json"):
            if os.path.lexists(self.file(name)):
                os.unlink(self.file(name))
        open(self.file("serial.log"), "wb").close()
        # A signal waits until it is written down whom to end.
        with open(self.file("qemu.log"), "wb") as messages, signals.postponed():
            try:
                self._child = running = subprocess.Popen(argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages,
                                                         start_new_session=True)
            except FileNotFoundError:
                raise TestbedError("%s is not installed" % argv[0], remedy="run the role memlab.testbed.controller")
            except OSError as exc:
                raise TestbedError("cannot run %s (%s)" % (argv[0], errno_name(exc.errno)))
            found = (running.pid, process.start_time(running.pid))
            try:
                keys.write_atomically(self.file("process.json"), json.dumps({"pid": found[0], "started": found[1]}))
            except OSError:
                running.kill()
                raise
        deadline = time.monotonic() + 30
        while process.is_alive(*found):
            try:
                with self.monitor():
                    return found
            except Unreachable:
                if time.monotonic() > deadline:
                    raise self.failure("QEMU did not open its monitor for guest %s within 30 s" % self.guest.name)
                time.sleep(0.01)
        raise self.failure("QEMU did not start guest %s" % self.guest.name)

    def monitor(self):
        return Monitor(self.directory)

    def learn_port(self, monitor):
        """Ask QEMU which port it took (the forward was declared with port 0, or with the one that the user chose)."""
        text = monitor.execute("human-monitor-command", {"command-line": "info usernet"})
        found = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\b", text)
        if found is None:
            raise TestbedError("QEMU names no forwarded port for guest %s" % self.guest.name, details=text.splitlines())
        return int(found.group(1))

    def publish(self, port):
        """Tell the inventory where the guest is. Only a guest that answers is published."""
        keys.write_atomically(self.file("connection.json"), json.dumps({"ssh_port": port}))

    def wait_for_ssh(self, port, running, timeout):
        """Wait until the guest's sshd says its name on ``port``.

        Raises :class:`TestbedError` as soon as QEMU ends or the kernel panics, and after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not process.is_alive(*running):
                raise self.failure("guest %s ended while it was booting" % self.guest.name)
            said = self._tail("serial.log")
            if any(word in line for line in said for word in _DEAD):
                raise self.failure("guest %s died while it was booting" % self.guest.name)
            if greets(port, min(1.0, max(0.05, deadline - time.monotonic()))):
                return
        raise self.failure("guest %s did not answer ssh within %d s" % (self.guest.name, timeout))

    def settle(self, host, port, devices):
        """Wait until the guest's drivers have taken ``devices`` memory devices, or 180 seconds have passed. Returns how many they have."""
        answer = self.ssh(host, port, SETTLE % {"seconds": _SETTLE_PATIENCE, "devices": devices}, timeout=_SETTLE_PATIENCE + 120)
        return int(answer)

    def ssh(self, host, port, command, timeout=60):
        """Run a command (one string of ours, for the guest's shell) as root in the guest, over the pinned key. Returns its output."""
        return host.run(["ssh", "-F", "none", "-i", keys.user_key(self.testbed), "-p", str(port), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                         "-o", "UserKnownHostsFile=\"%s\"" % keys.known_hosts(self.testbed), "-o", "StrictHostKeyChecking=yes",
                         "-o", "HostKeyAlias=" + keys.alias(self.testbed, self.guest.name), "-o", "LogLevel=ERROR", "root@127.0.0.1", command], timeout=timeout)

    # ending

    def stop(self):
        """End the guest's process, if it runs. Returns whether it did."""
        found = self.process()
        if found is not None:
            process.end(*found)
        if self._child is not None:
            self._child.wait()
            self._child = None
        for name in ("connection.json", "process.json", "qmp.sock"):
            if os.path.lexists(self.file(name)):
                os.unlink(self.file(name))
        return found is not None

    def shut_down(self, host, timeout):
        """Ask the guest to switch itself off, as a person would; what does not within ``timeout`` seconds is ended."""
        found = self.process()
        if found is None:
            return
        with self.monitor() as monitor:
            port = self.port()
            if port is not None:
                try:
                    self.ssh(host, port, "systemctl poweroff --no-block", timeout=30)
                except TestbedError:
                    # A guest that cannot be talked to gets the power button, and after that its plug pulled.
                    monitor.execute("system_powerdown")
        descriptor = _pidfd(found)
        if descriptor is not None:
            try:
                select.select([descriptor], [], [], timeout)
            finally:
                os.close(descriptor)
        self.stop()

    def forget(self):
        """Remove everything of the guest, its persistent memory's files included. Its keys stay. Raises :class:`TestbedError`."""
        directories.remove(self.directory)

    def forget_storage(self, failure):
        """Remove the disk's overlay and the files behind persistent memory of a guest whose first start failed; its logs stay."""
        directories.remove_after(failure, self.file("memory"))
        if os.path.exists(self.file("disk.qcow2")):
            os.unlink(self.file("disk.qcow2"))

    # saying what went wrong

    def _tail(self, name):
        try:
            with open(self.file(name), "rb") as stream:
                stream.seek(0, os.SEEK_END)
                begin = max(0, stream.tell() - _TAIL)
                stream.seek(begin)
                if begin:
                    stream.readline()  # half a line may hold half an address
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return []
        return serial.shown(text)[-_TAIL_LINES:]

    def failure(self, summary, remedy=None):
        """The error for a guest that did not come up: what QEMU said, and the last lines of the serial log."""
        qemu, console = self._tail("qemu.log"), self._tail("serial.log")
        words = [accelerator.words(line) for line in qemu if "warning:" not in line]
        if any("Could not set up host forwarding" in line for line in words):
            summary, remedy = "guest %s: port %d on 127.0.0.1 is in use" % (self.guest.name, self.ssh_port), "choose another ssh_port, or none for a free one"
        elif words:
            summary += ": " + words[0]
        details = ["QEMU: " + line for line in words[1:]] + ["serial: " + line for line in console]
        return TestbedError(summary, details=details, remedy=remedy)


def greets(port, seconds):
    """Whether an sshd says its name on 127.0.0.1:``port`` within ``seconds``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.settimeout(seconds)
            if connection.recv(4) == b"SSH-":
                return True
    except OSError:
        pass  # nobody there yet: asked again by the caller
    time.sleep(0.05)
    return False


def _pidfd(found):
    try:
        descriptor = os.pidfd_open(found[0])
    except OSError:
        return None
    if not process.is_alive(*found):
        os.close(descriptor)
        return None
    return descriptor
