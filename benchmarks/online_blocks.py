# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: python3 benchmarks/online_blocks.py SERIAL $(the ssh command of a provisioned host, such as: ssh -p 2222 root@127.0.0.1)
"""memory_blocks against a bare shell loop over ``state``: time to put all blocks of one device online, and offline again, as ratios.

Both run on the host and take turns, the order changing from round to round. The module's time is
that of all it does with blocks: reading their states, planning, changing them, reading them back. The start of the task and finding the
device are apart, they do not depend on the number of blocks; the latter is printed. The shell loop's time is from its first write to its last,
and it checks nothing. The blocks of that device are offline when it ends.
"""
from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import zipfile

import limits

ROUNDS = 25
LIMIT = 1.1
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

ON_THE_HOST = r'''
import json, subprocess, sys, time
import standalone
from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, session, stepwise
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

LOOP = """word=$1; shift; began=$EPOCHREALTIME
for block in "$@"; do echo $word > /sys/devices/system/memory/memory$block/state || exit 1; done
echo $began $EPOCHREALTIME"""
host, serial, rounds = Host(), sys.argv[1], int(sys.argv[2])


def apply(**wanted):
    entries = [dict(wanted, memory_devices=[serial])]
    began = time.monotonic()
    places = amounts.places(host, entries)
    found = time.monotonic()
    done = stepwise.carry_out(host, entries, places)[1][0]
    return time.monotonic() - found, found - began, done


def module(state):
    elapsed, times["finding"] = apply(state=state)[:2]
    return elapsed


def shell(state):
    words, order = ("online_movable", blocks) if state == "online" else ("offline", blocks[::-1])
    done = subprocess.run(["bash", "-c", LOOP, "loop", words] + order, stdout=subprocess.PIPE, check=True)
    began, ended = done.stdout.split()
    return float(ended) - float(began)


with session.changing(host):
    apply(state="offline")
    blocks = [str(result["id"]) for result in apply()[2]["results"]]
    apply(state="offline")
    for number in range(rounds):
        times = {}
        for way in ((module, shell) if number % 2 else (shell, module)):
            for state in ("online", "offline"):
                times["%s %s" % (way.__name__, state)] = way(state)
        print(json.dumps(dict(times, blocks=len(blocks))), flush=True)
'''


def archive(program):
    """The collection's module_utils and a program, as one file that Python runs."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("__main__.py", program)
        packed.write(os.path.join(HERE, "scripts/standalone.py"), "standalone.py")
        packed.writestr("plugins/", "")  # Python imports a package without __init__.py from an archive only where its directory is listed
        for directory, unused, names in os.walk(os.path.join(HERE, "plugins/module_utils")):
            packed.writestr(os.path.relpath(directory, HERE) + "/", "")
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(directory, name)
                    packed.write(path, os.path.relpath(path, HERE))
    return content.getvalue()


def measure(program, serial, count, ssh):
    """What the program prints on the host, a line of JSON for each round. Ends this one where it does not go through all."""
    remote = "file=$(mktemp) && cat > $file && python3 $file %s %d; code=$?; rm -f $file; exit $code" % (serial, count)
    done = subprocess.run(list(ssh) + [remote], input=archive(program), stdout=subprocess.PIPE, check=False)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(rounds) != count:
        sys.exit("the host ended after %d of %d rounds with exit code %d" % (len(rounds), count, done.returncode))
    return rounds


def main(serial, *ssh):
    rounds = measure(ON_THE_HOST, serial, ROUNDS, ssh)
    held = limits.Limits()
    print("%d memory blocks, medians of %d rounds taking turns; finding the device takes the module %.1f ms more"
          % (rounds[0]["blocks"], ROUNDS, statistics.median(one["finding"] for one in rounds) * 1000))
    for state in ("online", "offline"):
        mine, peer = (statistics.median(one["%s %s" % (way, state)] for one in rounds) * 1000 for way in ("module", "shell"))
        ratio = statistics.median(one["module " + state] / one["shell " + state] for one in rounds)
        held.at_most(LIMIT, ratio, "%-8s memory_blocks %8.1f ms   shell loop %8.1f ms   ratio" % (state, mine, peer))
    return held.exit_code()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: online_blocks.py SERIAL SSH-COMMAND...")
    sys.exit(main(*sys.argv[1:]))
