# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""pipeline.py INVENTORY [ARGUMENT...]: bring a testbed up and provision it in one ansible-playbook; one run at a time.

An interrupted run (Ctrl-C, SIGTERM) leaves no guest behind that was not running before it. Exits as ansible-playbook does, 130 when interrupted.
The collection is found by PYTHONPATH, as the Makefile sets it.
"""
from __future__ import annotations

import glob
import os
import signal
import subprocess
import sys

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import lifecycle, locks, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

PLAYBOOKS = ["memlab.testbed.testbed_up", "memlab.testbed.provision"]


def testbeds(inventory):
    """The testbeds that an inventory (a testbed file, or a directory with some) declares."""
    files = [inventory]
    if os.path.isdir(inventory):
        files = [path for suffix in testbed_file.SUFFIXES for path in glob.glob(os.path.join(inventory, "*" + suffix))]
    return [testbed_file.load(path) for path in sorted(files) if path.endswith(testbed_file.SUFFIXES)]


def running(beds):
    """(testbed, guest) of the guests that run."""
    return {(bed.name, name) for bed in beds for name, guest in bed.guests.items() if Machine(bed.name, guest).process() is not None}


def settle(beds):
    """Wait until no module works on a guest any more: an interrupted one ends what it started after ansible-playbook has gone."""
    for bed in beds:
        for guest in bed.guests.values():
            with lifecycle.alone(Machine(bed.name, guest), patience=300):
                pass


def play(inventory, playbooks, arguments=()):
    """Run playbooks in a process group of their own and pass a signal on to it, once. Returns (exit code, whether interrupted)."""
    tool = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    children, interrupted = [], []

    def forward(number, frame):
        if not interrupted:
            interrupted.append(number)
            for child in children:
                os.killpg(child.pid, signal.SIGINT)

    # Before the child: it starts with default handlers then, even where ours were ignored, as they are in a shell's background.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    children.append(subprocess.Popen([tool, "-i", inventory] + playbooks + list(arguments), stdin=subprocess.DEVNULL, start_new_session=True, env=environment))
    if interrupted:
        os.killpg(children[0].pid, signal.SIGINT)
    return children[0].wait(), bool(interrupted)


def main(inventory, *arguments):
    try:
        beds = testbeds(inventory)
        os.makedirs(cache_directory(), exist_ok=True)
        name = "-".join(["pipeline"] + [bed.name for bed in beds])
        with locks.held(os.path.join(cache_directory(), name + ".lock"), "the pipeline of %s" % inventory):
            before = running(beds)
            code, interrupted = play(inventory, PLAYBOOKS, arguments)
            if interrupted:
                settle(beds)
            left = running(beds) - before
            if interrupted and left:
                print("Interrupted: removing %s" % ", ".join(sorted(guest for bed, guest in left)), file=sys.stderr)
                play(inventory, ["memlab.testbed.testbed_down"], ["--limit", ",".join(sorted(guest for bed, guest in left))])
            return 130 if interrupted else code
    except TestbedError as exc:
        print("[ERROR]: %s" % exc, file=sys.stderr)
        return 1
    except OSError as exc:
        print("[ERROR]: the pipeline cannot use %s (%s)" % (exc.filename or "a file", errno_name(exc.errno)), file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
