# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: .venv/bin/python benchmarks/pipeline.py
"""`make pipeline` as a user runs it, first with nothing in the cache, then with the image there, and its tasks per host.

A cache directory of its own is used and removed. The first figure includes building the image, not the virtual environment, which
`make venv` has to have made.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time

import limits


def run(target, environment):
    """(seconds, what it printed) of one make target."""
    begin = time.monotonic()
    done = subprocess.run(["make", "--no-print-directory", target], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    seconds, text = time.monotonic() - begin, done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise SystemExit("make %s failed:\n%s" % (target, text[-4000:]))
    return seconds, text


def tasks(text):
    """Host to number of tasks, skipped ones included, of all plays of a run."""
    found = {}
    for name, results in re.findall(r"^(\S+)\s+: (ok=.*)$", text, re.MULTILINE):
        counts = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", results)}
        found[name] = found.get(name, 0) + counts["ok"] + counts["skipped"] + counts["failed"]
    return found


def main():
    with tempfile.TemporaryDirectory(prefix="memlab-") as cache:
        environment = dict(os.environ, MEMLAB_CACHE=cache)
        figures = {}
        try:
            for name in ("fresh", "warm", "nothing to do"):
                if name == "warm":
                    run("down", environment)
                figures[name], text = run("pipeline", environment)
                counted = tasks(text)
                print("%s: %.1f s; tasks per host: %s" % (name, figures[name], counted), flush=True)
        finally:
            run("down", environment)
    held = limits.Limits()
    held.at_most(360, figures["fresh"], "fresh:", "%.1f s")
    held.at_most(100, figures["warm"], "prepared:", "%.1f s")
    held.at_most(25, max(count for host, count in counted.items() if host != "localhost"), "tasks per host:", "%d")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main())
