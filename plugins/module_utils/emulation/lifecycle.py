# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be asked for of a guest: present, absent, restarted, powercycled, and which memory devices are plugged in."""
from __future__ import annotations

import itertools
import json
import os
import time

from ansible_collections.memlab.testbed.plugins.module_utils import process
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, keys, locks, qemu_arguments, testbed_file, warm
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import image as images
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import testbed_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Seconds that a guest may take to let go of a memory device (the PCIe attention button's five are part of it).
_UNPLUG_PATIENCE = 90


def physical_memory():
    """Bytes of RAM of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def find(path, name, image=None, ssh_port=0, starting=True):
    """The :class:`Machine` for a guest of a testbed file. Raises :class:`TestbedError`, also for a file that is wrong elsewhere.

    :arg starting: whether guests have to fit this machine. One that is to be removed need not.
    """
    testbed = testbed_file.load(path, physical_memory() if starting else None)
    if name not in testbed.guests:
        raise TestbedError("%s declares no guest %s (it has %s)" % (os.path.basename(path), name, ", ".join(testbed.guests)))
    return Machine(testbed.name, testbed.guests[name], image, ssh_port)


def apply(host, machine, state, options, check):
    """Bring a guest into ``state``. Returns a dict: changed, running, ssh_port, pid, start (warm, cold or none), accelerator, why, plugged.

    :arg options: ``timeout`` (seconds), ``warm`` (bool), ``kernel_parameters`` (list or ``None``), ``plugged`` (list or ``None``), ``forget`` (bool).
    """
    if options["kernel_parameters"] is not None and machine.guest.image.starter:
        raise TestbedError("guest %s: %s starts it, so its kernel parameters are set in the guest, as on a host" % (
            machine.guest.name, machine.guest.image.starter), remedy="use memlab.testbed.boot_parameters")
    try:
        with alone(machine):
            if state == "absent":
                return _absent(machine, options, check)
            return _present(host, machine, state, options, check)
    except OSError as exc:
        raise TestbedError("guest %s: %s" % (machine.guest.name, exc))


def alone(machine, patience=0.0):
    """Context manager: within, no other run works on the guest. A run that was interrupted holds it until it has cleaned up.

    :arg patience: seconds to wait for another run. Raises :class:`TestbedError` when they have passed.
    """
    directory = testbed_directory(machine.testbed)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    return locks.held(os.path.join(directory, machine.guest.name + ".lock"), "guest %s of testbed %s" % (machine.guest.name, machine.testbed), patience)


def _absent(machine, options, check):
    there = os.path.isdir(machine.directory)
    snapshot = os.path.join(testbed_directory(machine.testbed), "warm", machine.guest.name)
    changed = there or (options["forget"] and os.path.isdir(snapshot))
    if changed and not check:
        machine.stop()
        machine.forget()
        if options["forget"]:
            warm.Snapshot(machine, "tcg").remove()
    return {"changed": changed, "running": False}


def _present(host, machine, state, options, check):
    running = machine.process()
    parameters = machine.running_parameters()
    wanted = parameters if options["kernel_parameters"] is None else list(options["kernel_parameters"])
    result = {"changed": False, "start": "none"}
    if running is None or machine.port() is None or state != "present":
        result["changed"] = True
        if not check:
            result.update(_start(host, machine, state, wanted, options))
    elif wanted != parameters:
        raise TestbedError("guest %s runs with other kernel parameters than are asked for now" % machine.guest.name, remedy="use state restarted")
    elif machine.is_outdated():
        raise TestbedError("guest %s runs as the testbed file declared it before its last change" % machine.guest.name,
                           remedy="use state restarted, or remove it and start it anew")
    if not check:
        found = machine.process()
        if found is None:
            raise TestbedError("guest %s ended as soon as it was up" % machine.guest.name)
        result.update(running=True, pid=found[0], ssh_port=machine.port(), directory=machine.directory)
    if options["plugged"] is not None:
        changed, plugged = _plug(machine, options["plugged"], check)
        result.update(changed=result["changed"] or changed, plugged=plugged)
    return result


def _start(host, machine, state, parameters, options):
    if machine.image is None:
        machine.image = machine.last_image()
    if machine.image is None:
        raise TestbedError("guest %s is not running, and starting it takes an image" % machine.guest.name, remedy="set image to the directory of a guest image")
    if images.manifest(machine.image) is None:
        raise TestbedError("%s is not the directory of a guest image" % machine.image, remedy="take the one that memlab.testbed.guest_image returns")
    last = machine.last_image()
    if last is not None and os.path.exists(machine.file("disk.qcow2")) and os.path.basename(last) != os.path.basename(machine.image):
        # Its disk is an overlay over the other image's file system.
        raise TestbedError("guest %s has a disk made from image %s, not from %s" % (
            machine.guest.name, os.path.basename(last), os.path.basename(machine.image)), remedy="remove the guest to start it from another image")
    if not 0 <= machine.ssh_port <= 65535:
        raise TestbedError("ssh_port %d is not a port" % machine.ssh_port, remedy="choose one up to 65535, or 0 for a free one")
    accel, why = accelerator.choose(machine.image)
    if state == "restarted":
        machine.shut_down(host, options["timeout"])
    else:
        machine.stop()
    first = machine.prepare(host) and not os.path.exists(machine.file("disk.qcow2"))
    keys.write_atomically(machine.file("parameters.json"), json.dumps(parameters))
    keys.write_atomically(machine.file("image.json"), json.dumps(os.path.abspath(machine.image)))
    keys.write_atomically(machine.file("definition.json"), json.dumps(machine.definition()))
    started = []

    def remember(found):
        started.append(found)
        return found

    try:
        port, kind, notice = _boot(host, machine, accel, first, options, remember)
        machine.publish(port)
    except BaseException as exc:
        # Also when a person interrupts: a guest that nobody was told of must not stay.
        for found in started:
            process.end(*found)
        machine.stop()
        if first:
            machine.forget_storage(exc)
        raise
    return {"start": kind, "accelerator": accel, "accelerator_reason": why, "notice": notice}


def _boot(host, machine, accel, first, options, remember):
    """(ssh port, kind of start, what a person should know of it or ``None``).

    Warm only for a guest's first start: later ones have a disk of their own and memory that may hold data.
    """
    disk, failure = machine.file("disk.qcow2"), None
    if first and options["warm"] and warm.why_not(machine.guest) is None:
        snapshot = warm.Snapshot(machine, accel)
        try:
            if snapshot.usable():
                return snapshot.restore(host, remember, options["timeout"]), "warm", None
            port = snapshot.take(host, remember, options["timeout"])
            if port is not None:
                return port, "cold", None
        except TestbedError as exc:
            # A snapshot saves time: what goes wrong with it need not cost the guest, whose first start this is.
            failure = "guest %s did not come up with its snapshot, and boots without: %s" % (machine.guest.name, exc.summary)
            machine.stop()
            snapshot.remove()
            if os.path.exists(disk):
                os.unlink(disk)
    if not os.path.exists(disk):
        machine.make_disk(host, disk)
    found = remember(machine.start(machine.arguments(disk, accel)))
    with machine.monitor() as monitor:
        port = machine.learn_port(monitor)
        machine.wait_for_ssh(port, found, options["timeout"])
    wanted = len(warm.devices(machine.guest))
    there = machine.settle(host, port, wanted)
    # A kernel without CXL drivers is a guest that somebody may want; what it lacks is said.
    return port, "cold", "the kernel of guest %s has taken %d of %d memory devices" % (machine.guest.name, there, wanted) if there < wanted else failure


def _plug(machine, wanted, check):
    """Plug in and out until exactly the memory devices ``wanted`` are there. Returns (changed, names)."""
    known = [device.name for device in machine.guest.cxl.memory_devices]
    for name in wanted:
        if name not in known:
            raise TestbedError("guest %s has no memory device %s (it has %s)" % (machine.guest.name, name, ", ".join(known) or "none"))
    if machine.process() is None:
        return False, sorted(wanted)
    with machine.monitor() as monitor:
        there = {entry["name"] for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"})}
        present = [name for name in known if name in there]
        surplus, missing = [name for name in present if name not in wanted], [name for name in wanted if name not in present]
        if not check:
            for name in surplus:
                _unplug(machine, monitor, name)
            for name in missing:
                _plug_in(machine, monitor, name, _free_port(machine, monitor, name))
    return bool(surplus or missing), sorted(wanted)


def _plug_in(machine, monitor, name, port):
    done = []
    try:
        for command, arguments in _with_new_backends(monitor, qemu_arguments.memory_device_commands(machine.guest, name, machine.file("memory"), port)):
            monitor.execute(command, arguments)
            done.append((command, arguments))
    except BaseException:
        for command, arguments in reversed(done):
            monitor.execute("object-del", {"id": arguments["id"]})
        raise


def _with_new_backends(monitor, commands):
    """The commands with other ids for those backends that QEMU has kept of an earlier life of the device, see :func:`_unplug`."""
    taken = {entry["name"] for entry in monitor.execute("qom-list", {"path": "/objects"})}
    renamed = {}
    for command, arguments in commands:
        if command == "object-add" and arguments["id"] in taken:
            renamed[arguments["id"]] = next(new for new in ("%s.%d" % (arguments["id"], number) for number in itertools.count(2)) if new not in taken)
    return [(command, {key: renamed.get(value, value) if isinstance(value, str) else value for key, value in arguments.items()})
            for command, arguments in commands]


def _unplug(machine, monitor, name):
    """Have the guest let go of a memory device.

    QEMU (10.0.2) neither says DEVICE_DELETED for a cxl-type3 nor frees its backends: the device leaves the tree of objects, that is all there is to see.
    """
    monitor.execute("device_del", {"id": name})
    deadline = time.monotonic() + _UNPLUG_PATIENCE
    while _is_plugged(monitor, name):
        if time.monotonic() > deadline:
            raise TestbedError("guest %s did not let go of memory device %s within %d s" % (machine.guest.name, name, _UNPLUG_PATIENCE),
                               remedy="take its memory offline and disable its region in the guest first")
        time.sleep(0.1)
    for backend in qemu_arguments.memory_device_backends(machine.guest, name):
        try:
            monitor.execute("object-del", {"id": backend})
        except TestbedError:
            pass  # kept by QEMU: the next one gets another id


def _free_port(machine, monitor, name):
    """The port that the device is declared in, else the first that nothing sits in now."""
    taken = set()
    for device in machine.guest.cxl.memory_devices:
        if device.name != name and _is_plugged(monitor, device.name):
            taken.add(monitor.execute("qom-get", {"path": "/machine/peripheral/" + device.name, "property": "parent_bus"}).rsplit("/", 1)[-1])
    ports = [port for where, bridge, port in machine.guest.cxl.memory_ports()]
    for port in [port for port in ports if port.device == name] + [port for port in ports if port.device is None] + ports:
        if port.name not in taken:
            return port.name
    raise TestbedError("guest %s has no free port for memory device %s" % (machine.guest.name, name))


def _is_plugged(monitor, name):
    return any(entry["name"] == name for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"}))
