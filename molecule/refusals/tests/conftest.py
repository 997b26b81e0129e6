# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Testbeds of the tests' own, beside the scenario's guest."""
from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import time

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import lifecycle, paths, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import Machine

GUEST = {"cpus": 1, "memory": "512M"}


class Lab:
    """One testbed with one guest, its file in a directory of the test."""

    def __init__(self, controller, directory, name, guest):
        self.controller = controller
        self.name = name
        self.file = directory / (name + ".qemu.yml")
        self.file.write_text(json.dumps({"plugin": "memlab.testbed.qemu", "testbed": name, "guests": {"small": dict(GUEST, **guest)}}), encoding="utf-8")

    def up(self, **variables):
        return self.controller.play("memlab.testbed.testbed_up", self.file, **variables)

    def start_up(self):
        return self.controller.start("ansible-playbook", "-i", self.file, "memlab.testbed.testbed_up")

    def down(self):
        return self.controller.play("memlab.testbed.testbed_down", self.file)

    def at_rest(self, seconds=300):
        """Wait until no module works on the guest: an interrupted one cleans up after its ansible-playbook has gone."""
        declared = testbed_file.load(str(self.file))
        with lifecycle.alone(Machine(self.name, declared.guests["small"]), patience=seconds):
            pass

    def processes(self):
        """Process ids of the testbed's guests, found by QEMU's own command line."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue  # ended while we looked
            if b"-name" in words and b"memlab-%s-small" % self.name.encode("ascii") in words:
                found.append(int(path.parent.name))
        return found

    def wait_for_qemu(self, running, seconds=300):
        """Until the guest's QEMU is there, of a run that is under way."""
        deadline = time.monotonic() + seconds
        while not self.processes():
            assert time.monotonic() < deadline, "no QEMU of testbed %s within %d s" % (self.name, seconds)
            try:
                output = running.communicate(timeout=0.05)[0]
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError("the run ended before its guest started: %s" % output)

    def files(self):
        """What is left of the guest: its disk, its snapshot, its persistent memory."""
        guest = pathlib.Path(paths.guest_directory(self.name, "small"))
        return sorted(path.name for path in guest.glob("**/*") if path.suffix in (".qcow2", ".img", ".raw"))


@pytest.fixture
def lab(controller, tmp_path):
    """A function that declares a testbed. Afterwards it is removed, and no guest of it may be left."""
    made = []

    def declare(name, **guest):
        made.append(Lab(controller, tmp_path, name, guest))
        return made[-1]

    yield declare
    for entry in made:
        done = entry.down()
        left = entry.processes()
        shutil.rmtree(paths.testbed_directory(entry.name))
        assert (done.code, left) == (0, []), done.output
