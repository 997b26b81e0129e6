# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: make .venv/runtime.stamp .venv/tools.stamp && PYTHONPATH=.venv/collections .venv/bin/python benchmarks/guest_image.py
"""A guest's image built with nothing in the cache, then asked for again: what the module guest_image does, Ansible's task start apart.

A cache directory of its own is used and removed. Each step is a process of its own, whose start counts. The packages come from the mirror that the machine
uses, so the first figure has the network in it.
"""
from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import limits

STEP = """
import sys
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import image
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
print(*image.ensure(Host(), image.inputs(sys.argv[1]))[:2])
"""


def step(suite, environment):
    """(seconds, whether the image was built, its directory)."""
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", STEP, suite], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    seconds = time.monotonic() - begin
    changed, directory = done.stdout.decode().split()
    return seconds, changed == "True", directory


def files(directory):
    """Name to time of the last change, of the image's files."""
    return {path.name: path.stat().st_mtime_ns for path in pathlib.Path(directory).iterdir()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--suite", default="trixie")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memlab-") as cache:
        environment = dict(os.environ, MEMLAB_CACHE=cache)
        cold, built, directory = step(asked.suite, environment)
        before = files(directory)
        again = [step(asked.suite, environment) for number in range(asked.rounds)]
        if not built or any(changed for seconds, changed, place in again) or files(directory) != before:
            raise SystemExit("the image was not built once, and then left alone: %s" % again)
    held = limits.Limits()
    held.at_most(120, cold, "built:", "%.1f s")
    held.at_most(2, statistics.median([seconds for seconds, changed, place in again]), "nothing rebuilt:", "%.2f s")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
