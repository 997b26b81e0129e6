# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: python3 benchmarks/device_to_memory.py SERIAL $(the ssh command of a host with that memory device unused, such as: ssh -p 2222 root@127.0.0.1)
"""A CXL memory device from nothing to all of its blocks online, its memmap on itself: the modules' code against the shortest sequence of commands.

Both make the region, set the knob, give the dax device to kmem and put each block online in the movable zone, with binding and onlining by the
kernel held back meanwhile. They run on the host and take turns, the order changing from round to round; between them everything is undone, untimed.
The modules' time is that of the code of cxl_region, dax_device and memory_blocks, lock and checks and reading back included. The start of
their three tasks is apart: three for a host, whatever the number of its devices and blocks. The commands check only what they wait for.
"""
from __future__ import annotations

import statistics
import sys

import limits
import online_blocks

ROUNDS = 9
LIMIT = 1.25

ON_THE_HOST = r'''
import glob, json, os, subprocess, sys, time
import standalone
from ansible_collections.memlab.testbed.plugins.module_utils.devices import regions, session, stepwise, system_ram
from ansible_collections.memlab.testbed.plugins.module_utils.devices.lookup import Inventory
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

COMMANDS = r"""
began=$EPOCHREALTIME
memory=/sys/devices/system/memory dax=/sys/bus/dax
modprobe -a device_dax kmem dax_cxl || exit 1
read policy < $memory/auto_online_blocks; read probe < $dax/drivers_autoprobe
echo offline > $memory/auto_online_blocks; echo 0 > $dax/drivers_autoprobe
cxl create-region -t ram -d $2 -m $1 > /dev/null 2>&1 || exit 2
until device=$(ls $dax/devices) && [ -n "$device" ]; do :; done
echo 1 > $dax/devices/$device/memmap_on_memory || exit 3
echo $device > $dax/drivers/kmem/bind || exit 4
read size < $memory/block_size_bytes
read first < $dax/devices/$device/mapping0/start; read last < $dax/devices/$device/mapping0/end
for ((block = first / 0x$size; block < (last + 1) / 0x$size; block++)); do echo online_movable > $memory/memory$block/state || exit 5; done
echo $probe > $dax/drivers_autoprobe; echo $policy > $memory/auto_online_blocks
echo $began $EPOCHREALTIME
"""
host, serial, rounds = Host(), sys.argv[1], int(sys.argv[2])
named = {"memory_devices": [serial]}
steps = ((lambda: regions.apply(host, [dict(named, state="present", type="ram")])),
         (lambda: system_ram.apply(host, [dict(named, mode="system-ram", memmap="device", offline=False)])),
         (lambda: stepwise.apply(host, [named])))


def modules():
    began = time.monotonic()
    for step in steps:
        with session.changing(host):
            step()
    return time.monotonic() - began


def commands():
    done = subprocess.run(["bash", "-c", COMMANDS, "commands", memdev, decoder], stdout=subprocess.PIPE, check=True)
    began, ended = done.stdout.split()
    return float(ended) - float(began)


def undo():
    with session.changing(host):
        done = stepwise.apply(host, [dict(named, state="offline")])[1][0]
        regions.apply(host, [dict(named, state="absent")])
    return done


if glob.glob("/sys/bus/dax/devices/*"):
    sys.exit("this host has dax devices in use: the commands would not know theirs")
modules()
inventory = Inventory(host)
members = inventory.members([serial])
memdev, decoder = members[0].name, inventory.region(members).decoder
blocks = undo()["blocks"]
for number in range(rounds):
    times = {}
    for way in ((modules, commands) if number % 2 else (commands, modules)):
        times[way.__name__] = way()
        undo()
    print(json.dumps(dict(times, blocks=blocks)), flush=True)
'''


def main(serial, *ssh):
    rounds = online_blocks.measure(ON_THE_HOST, serial, ROUNDS, ssh)
    mine, peer = (statistics.median(one[way] for one in rounds) for way in ("modules", "commands"))
    ratio = statistics.median(one["modules"] / one["commands"] for one in rounds)
    print("a device of %d memory blocks from nothing to online, medians of %d rounds taking turns" % (rounds[0]["blocks"], ROUNDS))
    print("the modules     %8.1f ms" % (mine * 1000))
    print("commands        %8.1f ms" % (peer * 1000))
    held = limits.Limits()
    held.at_most(LIMIT, ratio, "ratio          ", "%8.2f")
    return held.exit_code()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: device_to_memory.py SERIAL SSH-COMMAND...")
    sys.exit(main(*sys.argv[1:]))
