# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Locks, between two real processes."""
from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import locks
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

HOLDER = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(descriptor, fcntl.LOCK_EX)
os.pwrite(descriptor, b"%d\\n" % os.getpid(), 0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="holder")
def fixture_holder(tmp_path):
    """Another process that holds the lock file until its standard input ends."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "held\n"
        yield running
        running.kill()


def test_the_message_names_who_holds_it(tmp_path, holder):
    with pytest.raises(TestbedError) as caught:
        with locks.held(str(tmp_path / "lock"), "the image x"):
            raise AssertionError("entered")
    assert str(caught.value) == "the image x is being worked on by another run (process %d): wait for it, or end it" % holder.pid


def test_patience_is_rewarded(tmp_path, holder):
    threading.Timer(0.3, holder.stdin.close).start()
    begun = time.monotonic()
    with locks.held(str(tmp_path / "lock"), "the image x", patience=30):
        assert time.monotonic() - begun >= 0.2


def test_a_killed_run_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locks.held(str(tmp_path / "lock"), "the image x"):
        pass


def test_it_is_let_go_of_on_failure(tmp_path):
    with pytest.raises(KeyError):
        with locks.held(str(tmp_path / "lock"), "it"):
            raise KeyError()
    with locks.held(str(tmp_path / "lock"), "it"):
        pass


def test_a_program_started_meanwhile_does_not_inherit_it(tmp_path):
    with locks.held(str(tmp_path / "lock"), "it"):
        child = subprocess.Popen(["sleep", "300"])
    try:
        with locks.held(str(tmp_path / "lock"), "it"):
            pass
    finally:
        child.kill()
        child.wait()
