# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: scripts/apt-install.sh kmod busybox-static file && make .venv/benchmarks.stamp && PYTHONPATH=.venv/collections .venv/bin/python benchmarks/boot.py
"""Start of QEMU to a guest that answers: ours cold, ours warm, the same suite's untouched image, and vng.

Peers take turns, so that a machine that gets slower slows all of them. Cold and untouched end when sshd says its name; warm ends when `cxl list` in
the guest shows every memory device; vng (virtme-ng) ends when a command has run in a guest with the untouched kernel, which has neither
udev nor network nor sshd: it is the least that a kernel prompt takes.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import limits

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, image, keys, testbed_file, warm
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import testbed_directory
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

TESTBED = "benchmark-boot"
# What an untouched systemd-networkd needs to be told from outside (systemd-network-generator reads it).
UNTOUCHED_PARAMETERS = ["ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off", "net.ifnames=0"]
VNG = os.path.join(os.path.dirname(sys.executable), "..", "benchmarks", "bin", "vng")


def cold(host, machine, accel):
    """Seconds from QEMU's start to the guest's ssh greeting."""
    machine.prepare(host)
    keys.write_atomically(machine.file("parameters.json"), "[]")
    disk = machine.file("disk.qcow2")
    machine.make_disk(host, disk)
    arguments = machine.arguments(disk, accel)
    begin = time.monotonic()
    found = machine.start(arguments)
    with machine.monitor() as monitor:
        machine.wait_for_ssh(machine.learn_port(monitor), found, 300)
    seconds = time.monotonic() - begin
    machine.stop()
    machine.forget()
    return seconds


def restored(host, machine, snapshot):
    """Seconds from QEMU's start to `cxl list` naming every memory device."""
    machine.prepare(host)
    begin = time.monotonic()
    port = snapshot.restore(host, lambda found: found, 120)
    seen = json.loads(machine.ssh(host, port, "cxl list -M"))
    seconds = time.monotonic() - begin
    wanted = sorted(machine.guest.cxl.device(name).serial for name in warm.devices(machine.guest))
    if sorted(device["serial"] for device in seen) != wanted:
        raise SystemExit("cxl list shows %s, not the serials %s" % (seen, wanted))
    machine.stop()
    machine.forget()
    return seconds


def host_tree(untouched, directory):
    """The untouched kernel as vng looks for one: ``boot/vmlinuz-RELEASE`` with its modules beside it. Returns (kernel, release)."""
    release = image.manifest(untouched)["kernel"]
    modules = os.path.join(directory, "lib", "modules")
    os.makedirs(modules)
    os.makedirs(os.path.join(directory, "boot"))
    kernel = os.path.join(directory, "boot", "vmlinuz-" + release)
    shutil.copyfile(os.path.join(untouched, "kernel"), kernel)
    Host().run(["debugfs", "-R", "rdump /usr/lib/modules/%s %s" % (release, modules), os.path.join(untouched, "root.img")])
    return kernel, release


def prompt(kernel, release):
    """Seconds until a command (``uname -r``) has spoken in a vng guest. Debian's kernel has no virtio console built in, so it speaks on the serial line."""
    # vng calls its other programs by name.
    environment = dict(os.environ, PATH=os.path.dirname(os.path.abspath(VNG)) + os.pathsep + os.environ["PATH"])
    begin, said = time.monotonic(), []
    with subprocess.Popen([VNG, "--run", kernel, "--disable-kvm", "--cpus", "2", "--memory", "2G", "--verbose", "--exec", "uname -r"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd="/") as guest:
        for line in guest.stdout:
            said.append(line.decode("utf-8", "replace").strip())
            if said[-1] == release:
                seconds = time.monotonic() - begin
                guest.stdout.read()
                return seconds
    raise SystemExit("vng ran no command: %s" % "\n".join(said[-10:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--testbed", default="inventories/emulated/testbed.qemu.yml")
    rounds, path = parser.parse_args().rounds, parser.parse_args().testbed
    host = Host()
    guest = next(iter(testbed_file.load(path).guests.values()))
    ours, untouched = (image.ensure(host, image.inputs(guest.image.suite, tuned=tuned))[1] for tuned in (True, False))
    accel, why = accelerator.choose(ours)
    print("accelerator: %s (%s); %s" % (accel, why, accelerator.qemu_version()))
    print("kernel: %s" % image.manifest(untouched)["kernel"])
    tuned = Machine(TESTBED, guest, ours)
    stock = Machine(TESTBED, dataclasses.replace(guest, name="untouched", kernel_parameters=UNTOUCHED_PARAMETERS), untouched)
    figures = {"untouched": [], "cold": [], "warm": [], "vng": []}
    try:
        os.makedirs(testbed_directory(TESTBED), exist_ok=True)
        snapshot = warm.Snapshot(tuned, accel)
        tuned.prepare(host)
        keys.write_atomically(tuned.file("parameters.json"), "[]")
        snapshot.take(host, lambda found: found, 300)
        tuned.stop()
        tuned.forget()
        peer = host_tree(untouched, os.path.join(testbed_directory(TESTBED), "vng"))
        for number in range(rounds):
            figures["untouched"].append(cold(host, stock, accel))
            figures["cold"].append(cold(host, tuned, accel))
            figures["warm"].append(restored(host, tuned, snapshot))
            figures["vng"].append(prompt(*peer))
            print("round %d: %s" % (number + 1, ", ".join("%s %.1f s" % (name, values[-1]) for name, values in figures.items())), flush=True)
    finally:
        for machine in (tuned, stock):
            machine.stop()
        directories.remove(testbed_directory(TESTBED))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print("median: " + ", ".join("%s %.1f s" % item for item in medians.items()))
    print("cold / vng = %.2f, warm / vng = %.2f" % (medians["cold"] / medians["vng"], medians["warm"] / medians["vng"]))
    held = limits.Limits()
    held.at_most(0.60, medians["cold"] / medians["untouched"], "cold / untouched =")
    held.at_most(6, medians["warm"], "warm:", "%.1f s")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
