# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who a process is, with real children."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils import process


@pytest.fixture(name="sleeper")
def fixture_sleeper():
    with subprocess.Popen(["sleep", "300"]) as running:
        yield running
        running.kill()


def test_a_process_is_known_by_number_and_start(sleeper):
    started = process.start_time(sleeper.pid)
    assert started > 0
    assert process.is_alive(sleeper.pid, started)
    assert not process.is_alive(sleeper.pid, started - 1)
    assert not process.is_alive(sleeper.pid, None)


def test_another_one_under_its_number_is_left_alone(sleeper):
    process.end(sleeper.pid, process.start_time(sleeper.pid) + 1)
    assert sleeper.poll() is None


def test_a_dead_child_that_nobody_waited_for_does_not_run(sleeper):
    started = process.start_time(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert process.start_time(sleeper.pid) is None
    assert not process.is_alive(sleeper.pid, started)
    process.end(sleeper.pid, started)


def test_none_is_none():
    with open("/proc/sys/kernel/pid_max", encoding="ascii") as stream:
        assert process.start_time(int(stream.read())) is None


@pytest.mark.parametrize("name", ["a b", "a) S 1", "((", "\u00e9"])
def test_a_name_cannot_mislead(tmp_path, name):
    link = tmp_path / name
    link.symlink_to(sys.executable)
    command = [str(link), "-S", "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        assert abs(process.start_time(running.pid) - process.start_time(os.getpid())) < 100 * 3600 * os.sysconf("SC_CLK_TCK")
        process.end(running.pid, process.start_time(running.pid))
        assert running.wait() == -15


def test_ending_politely_then_not():
    command = "import signal, sys\nsignal.signal(signal.SIGTERM, %s)\nprint('up', flush=True)\nsys.stdin.read()"
    for handler, code in (("lambda number, frame: sys.exit(5)", 5), ("signal.SIG_IGN", -9)):
        with subprocess.Popen([sys.executable, "-c", command % handler], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            running.stdout.readline()
            process.end(running.pid, process.start_time(running.pid), patience=1.0)
            assert running.wait() == code
