# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: python3 benchmarks/memmap_facts_32768_blocks.py
"""memmap_facts against ``lsmem -a`` on the same machine of 32,768 memory blocks: time as a ratio, and the size of the answer.

The machine is a synthetic tree: 128 GiB of boot memory and 31 dax devices of 128 GiB, half of them self-hosted, the last one half online. All
three proofs are evaluated: page tables in an ELF core, page flags, zones. Both are measured as whole processes, taking turns; what
Ansible adds to a task is not part of it.
"""
from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import limits

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts"))
import standalone  # pylint: disable=unused-import

from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine

ROUNDS = 7
PER_DEVICE = 1024
ANSWER = """
import json, sys
sys.path.insert(0, sys.argv[2])
import standalone
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import facts
sys.stdout.write(json.dumps({"ansible_facts": {"memmap": facts.collect(Host(sys.argv[1]))}}))
"""


def build(root):
    devices = [Device(number * PER_DEVICE, PER_DEVICE, number, "self" if number % 2 else "dram", "Movable", PER_DEVICE // 2 if number == 31 else PER_DEVICE)
               for number in range(1, 32)]
    Machine(PER_DEVICE, devices).write(root)


def timed(command):
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - start, done.stdout


def main():
    with tempfile.TemporaryDirectory(prefix="memlab-blocks-") as root:
        build(root)
        ours = [sys.executable, "-c", ANSWER, root, sys.path[0]]
        theirs = ["lsmem", "-a", "--sysroot", root]
        answer = timed(ours)[1]
        timed(theirs)
        rounds = [(timed(ours)[0], timed(theirs)[0]) for unused in range(ROUNDS)]
    mine, peer = (statistics.median(column) for column in zip(*rounds))
    if b'"available": false' in answer:
        sys.exit("a proof was not evaluated: the figures would mean nothing")
    print("32768 memory blocks, medians of %d rounds taking turns" % ROUNDS)
    print("memmap_facts, all proofs   %6.3f s" % mine)
    print("lsmem -a                   %6.3f s" % peer)
    held = limits.Limits()
    held.at_most(1, mine / peer, "ratio                     ", "%6.2f")
    held.at_most(64, len(answer) / 1024, "answer                    ", "%6.1f KiB")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
