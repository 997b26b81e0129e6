# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: make .venv/runtime.stamp .venv/tools.stamp && PYTHONPATH=.venv/collections .venv/bin/python benchmarks/testbed_kernel.py
"""Start of QEMU to sshd's greeting under TCG: a guest with the kernel that role kernel_build makes, and one with Debian's.

The kernel is that of the scenario kernel, from the cache or built now, which takes some minutes. Both guests have the same image but for the kernel, which
QEMU starts itself. They take turns.
"""
from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

import boot
import limits

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, image, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import testbed_directory
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

TESTBED = "benchmark-testbed-kernel"
LIMIT = 10
SCENARIO = pathlib.Path(__file__).resolve().parents[1] / "molecule" / "kernel"
ASKED = {"kernel_build_patches": ["dax-kmem-memmap-on-memory-6.1"], "kernel_build_localversion": "-memlab"}


def built():
    """The role's artifact. Its progress is shown."""
    given = json.dumps(dict(ASKED, ansible_python_interpreter=sys.executable))
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", "localhost,", str(SCENARIO / "build.yml"), "-e", given]
    said = []
    with subprocess.Popen(command, env=dict(os.environ, LC_ALL="C.UTF-8", ANSIBLE_NOCOLOR="1", ANSIBLE_CALLBACK_RESULT_FORMAT="json"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as role:
        for line in role.stdout:
            said.append(line.replace("\\", ""))
            if line.startswith("localhost: "):
                print(line, end="", flush=True)
    found = re.search(r"artifact (\{.*\})", "".join(said))
    if role.returncode != 0 or found is None:
        raise SystemExit("role kernel_build made no kernel: %s" % "".join(said[-20:]))
    return json.loads(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds, host = parser.parse_args().rounds, Host()
    package = next(path for path in built()["packages"] if os.path.basename(path).startswith("linux-image-"))
    declared = next(iter(testbed_file.load(str(SCENARIO / "testbed.qemu.yml")).guests.values()))
    machines, figures = {}, {}
    for name, kernel in (("testbed", package), ("stock", None)):
        place = image.ensure(host, image.inputs(declared.image.suite, kernel_file=kernel), kernel)[1]
        guest = dataclasses.replace(declared, name=name, image=dataclasses.replace(declared.image, loader="qemu"))
        machines[name], figures[name] = Machine(TESTBED, guest, place), []
        print("%s: %s" % (name, image.manifest(place)["kernel"]))
    print("accelerator: tcg; %s" % accelerator.qemu_version())
    try:
        os.makedirs(testbed_directory(TESTBED), exist_ok=True)
        for number in range(rounds):
            for name, machine in machines.items():
                figures[name].append(boot.cold(host, machine, "tcg"))
            print("round %d: %s" % (number + 1, ", ".join("%s %.1f s" % (name, values[-1]) for name, values in figures.items())), flush=True)
    finally:
        for machine in machines.values():
            machine.stop()
        directories.remove(testbed_directory(TESTBED))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print("median: stock %.1f s; testbed / stock = %.2f" % (medians["stock"], medians["testbed"] / medians["stock"]))
    held = limits.Limits()
    held.at_most(LIMIT, medians["testbed"], "median: testbed", "%.1f s")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
