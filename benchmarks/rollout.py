# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# Run: .venv/bin/python benchmarks/rollout.py [HOSTS...]
"""A rollout's plan with the facts of 10, 100 and 1,000 simulated hosts against a bare `ansible -m ping` at the same forks; and its resume.

The plan is `memlab.testbed.rollout --check`: it reads the settings, cuts the waves, asks each host by memmap_facts on a recorded machine, and prints.
Its time is divided by the tasks that it has for each host, and that by ping's time for each host. Memory is that of the process that was started. The resume
is that of a rollout whose journal says that all hosts are done: seconds from the start of ansible-playbook to the first task on a host.
"""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import limits

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / ".venv/collections"))

from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.plan import FORMAT
from ansible_collections.memlab.testbed.tests.simulated.fleet import SIMULATED, Fleet

FORKS = 5
LIMIT, RESUME = 1.5, 5.0
GROWTH = 1.1  # constant or falling, but for what two measurements differ by
SURVEY = """- name: Facts of a recorded machine
  memlab.testbed.memmap_facts:
    sysroot: "{{ recorded }}"

- name: Keep what they say
  ansible.builtin.set_fact:
    rollout_survey: {kernel: "{{ ansible_facts.memmap.kernel.release }}", forbids: []}
"""
TASKS = 3  # the include, the facts, what is kept of them


def measured(command, environment, until=None):
    """(seconds, MiB of the largest process, output); :arg until: a line's beginning, whose appearance ends the seconds."""
    begin, lines, seconds = time.monotonic(), [], None
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = Peak(process.pid)
    for line in process.stdout:
        lines.append(line)
        if until and seconds is None and line.startswith(until):
            seconds = time.monotonic() - begin
            process.terminate()
    process.wait()
    return seconds or time.monotonic() - begin, peak.stop(), "".join(lines), process.returncode


class Peak(threading.Thread):
    """The largest resident size of a process, by the kernel's own high-water mark."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._file, self._ended, self._found = "/proc/%d/status" % pid, threading.Event(), 0
        self.start()

    def run(self):
        while not self._ended.wait(0.2):
            try:
                with open(self._file, encoding="ascii") as stream:
                    self._found = max(self._found, int((re.search(r"VmHWM:\s+(\d+)", stream.read()) or [0, 0])[1]))
            except OSError:
                return

    def stop(self):
        self._ended.set()
        self.join()
        return self._found / 1024


def resume(fleet, environment, playbook):
    """Seconds to the first task on a host where the journal says that all are done."""
    journal = Journal(str(fleet.directory / "cache/rollouts/simulated"))
    hosts = fleet.hosts
    waves = [hosts[:1], hosts[1:1 + -(-len(hosts) // 10)], hosts[1 + -(-len(hosts) // 10):]]
    steps = ["snapshot", "drain", "kernel", "parameters", "devices", "verify", "soak", "undrain", "record"]
    journal.append("planned", format=FORMAT, name="simulated", id="benchmark", what={"waves": waves, "steps": steps})
    journal.append("run", run=1, kind="rollout")
    for host in hosts:
        for step in steps:
            journal.append("begun", host, run=1, step=step)
        journal.append("snapshot", host, run=1, before={"release": "6.12.1", "devices": [{"there": False}] * 8})
        journal.append("done", host, run=1, kernel=[], release=os.uname().release)
    return measured(playbook, environment, until="TASK [memlab.testbed.rollout : Claim the host")


def main(counts):
    held = limits.Limits()
    with tempfile.TemporaryDirectory(prefix="memlab-rollout-") as top:
        top = pathlib.Path(top)
        with tarfile.open(HERE / "tests/unit/captures/dram-6.12.tgz") as packed:
            packed.extractall(top / "recorded", filter="data")
        (top / "steps").mkdir()
        for path in (SIMULATED / "steps").glob("*.yml"):
            (top / "steps" / path.name).write_bytes(path.read_bytes())
        (top / "steps/survey.yml").write_text(SURVEY)
        recorded = next(path.parent for path in (top / "recorded").rglob("sys"))
        bin_directory = os.path.dirname(sys.executable)
        print("forks %d; plan and facts, %d tasks for each host" % (FORKS, TASKS))
        cost = None
        for count in counts:
            fleet = Fleet(top / str(count), count, rollout_steps_from=str(top / "steps"), recorded=str(recorded))
            environment = dict(fleet.environment(), ANSIBLE_FORKS=str(FORKS))
            playbook = [os.path.join(bin_directory, "ansible-playbook"), "-i", str(fleet.inventory), "memlab.testbed.rollout"]
            ping = [os.path.join(bin_directory, "ansible"), "-i", str(fleet.inventory), "all", "-m", "ansible.builtin.ping"]
            theirs = measured(ping, environment)
            ours = measured(playbook + ["--check"], environment)
            if ours[3] or theirs[3]:
                sys.exit((ours if ours[3] else theirs)[2][-3000:])
            each = ours[0] / count / TASKS / (theirs[0] / count)
            begun = resume(fleet, environment, playbook)[0]
            print("%5d hosts: ping %6.1f s %4.0f MiB; plan %6.1f s %4.0f MiB, %.2f of the memory; %5.0f ms a host"
                  % (count, theirs[0], theirs[1], ours[0], ours[1], ours[1] / theirs[1], ours[0] / count * 1000))
            held.at_most(LIMIT, each, "             each task / ping =")
            held.at_most(LIMIT, ours[1] / theirs[1], "             memory of the controller / ping =")
            if cost is not None:
                held.at_most(GROWTH, ours[0] / count / cost, "             cost per host / with fewer hosts =")
            cost = ours[0] / count
            held.at_most(RESUME, begun, "             resume:", "%.1f s")
    return held.exit_code()


if __name__ == "__main__":
    sys.exit(main([int(word) for word in sys.argv[1:]] or [10, 100, 1000]))
