# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: make .venv/runtime.stamp && PYTHONPATH=.venv/collections .venv/bin/python benchmarks/kernel_build.py --config tiny
"""The module kernel_build against plain `make -j` on the same source: cold, one file touched by a patch, unchanged.

Both are timed from the moment the source is there. Plain make configures and compiles, and what configuring takes of that is shown; ours patches and packs,
too, and compiles through an empty ccache. Both are told to make image and modules, with as many jobs as there are processors. They take turns.
"""
from __future__ import annotations

import argparse
import base64
import difflib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import limits

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import artifact, build, fragments, source
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.tree import Tree

TOUCHED = "mm/memory.c"
TINY = ("CONFIG_64BIT=y\nCONFIG_EXPERT=y\nCONFIG_PRINTK=y\nCONFIG_MODULES=y\nCONFIG_CRC7=m\nCONFIG_CC_OPTIMIZE_FOR_SIZE=y\nCONFIG_SLOB=y\n"
        "CONFIG_UNWINDER_GUESS=y")
SHIPPED = os.path.join(os.path.dirname(__file__), "..", "roles", "kernel_build", "files", "fragments")
PACKAGE = {"package": "linux-source-6.1", "suite": "bookworm"}


def request(config):
    return {"source": PACKAGE, "patches": [], "fuzz": 0, "base": {"name": "allnoconfig"}, "localversion": None, "compiler": "gcc", "jobs": None, "ccache": True,
            "distcc": [], "fragments": [fragments.read(TINY if config == "tiny" else config, os.path.abspath, SHIPPED)]}


def touching(tree, text):
    """A patch that adds a line to a file."""
    with open(os.path.join(tree, TOUCHED), encoding="utf-8") as stream:
        before = stream.read().splitlines(keepends=True)
    after = before + ["/* %s */\n" % text]
    data = "".join(difflib.unified_diff(before, after, "a/" + TOUCHED, "b/" + TOUCHED)).encode("utf-8")
    return {"name": text, "content": base64.b64encode(data).decode("ascii"), "strip": 1}, "".join(after)


def seconds(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", choices=["tiny", "testbed"], default="tiny")
    parser.add_argument("--rounds", type=int, default=2)
    asked, host = parser.parse_args(), Host()
    wanted = request(asked.config)
    kept = os.path.join(cache_directory(), "kernel_build", "sources")
    os.makedirs(kept, exist_ok=True)
    found = source.resolve(host, PACKAGE, kept)
    figures = {name: [] for name in ("plain configuring", "plain cold", "ours cold", "plain touched", "ours touched", "unchanged")}
    with tempfile.TemporaryDirectory(prefix="benchmark-kernel-", dir=cache_directory()) as work:
        os.environ["MEMLAB_CACHE"] = os.path.join(work, "ours")
        base = os.path.join(artifact.build_directory(), "bases", found.key())
        os.makedirs(base)
        tree = Tree(base)
        tree.unpack(host, found)
        peer, objects = os.path.join(work, "plain"), os.path.join(work, "objects")
        subprocess.run(["cp", "--archive", tree.source, peer], check=True)
        patch, text = touching(peer, "touched")
        make = ["make", "-s", "-C", peer, "O=" + objects, "-j%d" % len(os.sched_getaffinity(0))]
        original = os.path.join(work, "original")
        shutil.copy2(os.path.join(peer, TOUCHED), original)
        for number in range(asked.rounds):
            for each in (objects, os.path.join(base, "objects"), os.path.join(base, "ccache"), artifact.kernels_directory()):
                directories.remove(each)
            with open(os.path.join(work, "fragment"), "w", encoding="utf-8") as stream:
                stream.write(wanted["fragments"][0]["content"] + "\n")
            shutil.copy2(original, os.path.join(peer, TOUCHED))
            configured = dict(os.environ, KCONFIG_ALLCONFIG=stream.name)
            figures["plain configuring"].append(seconds(lambda: subprocess.run(make + ["allnoconfig"], env=configured, check=True)))
            figures["plain cold"].append(figures["plain configuring"][-1] + seconds(lambda: subprocess.run(make + ["all"], check=True)))
            figures["ours cold"].append(seconds(lambda: build.ensure(host, wanted)))
            with open(os.path.join(peer, TOUCHED), "w", encoding="utf-8") as stream:
                stream.write(text)
            figures["plain touched"].append(seconds(lambda: subprocess.run(make + ["all"], check=True)))
            touched = dict(wanted, patches=[patch])
            figures["ours touched"].append(seconds(lambda: build.ensure(host, touched)))
            figures["unchanged"].append(seconds(lambda: build.ensure(host, touched)))
            # the next round begins with the source as it came
            Tree(base).apply(host, [])
            print("round %d: %s" % (number + 1, ", ".join("%s %.1f s" % (name, values[-1]) for name, values in figures.items())), flush=True)
    best = {name: statistics.median(values) for name, values in figures.items()}
    held = limits.Limits()
    held.at_most(1.03, best["ours cold"] / best["plain cold"], "cold: ours / plain make =")
    held.at_most(1.20, best["ours touched"] / best["plain touched"], "one file touched: ours / plain make =")
    held.at_most(2, best["unchanged"], "unchanged:", "%.2f s")
    if asked.config == "testbed":
        # meant for two processors
        held.at_most(600, best["ours cold"], "the testbed's kernel, cold:", "%.0f s")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
