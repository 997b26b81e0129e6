# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The door to the machine: what it reads, and how it ends what it started."""
from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils import process
from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def ended(pid):
    """A process that was sent a signal takes a moment to be gone."""
    Host().wait_until(lambda: process.start_time(pid) is None, "the end of process %d" % pid, timeout=5)


def test_a_recorded_tree_is_read_and_never_changed(tmp_path):
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys" / "size").write_text("8000000\n", encoding="ascii")
    (tmp_path / "sys" / "word").write_text("online\n", encoding="ascii")
    (tmp_path / "sys" / "link").symlink_to("../sys/word")
    host = Host(str(tmp_path))
    assert host.read_int("/sys/size", 16) == 0x8000000
    assert host.read("/sys/word") == "online"
    assert host.read_optional("/sys/none") is None
    assert host.listdir("/sys/none") == []
    assert host.read_each("/sys", ["size", "none", "word"]) == [b"8000000", None, b"online"]
    assert host.link_name("/sys/link") == "word"
    assert host.resolve("/sys/link") == "/sys/word"
    with pytest.raises(TestbedError, match="cannot read /sys/none .ENOENT."):
        host.read("/sys/none")
    with pytest.raises(TestbedError, match="does not hold a number: 'online'"):
        host.read_int("/sys/word")
    for change in (lambda: host.write("/sys/word", "offline"), lambda: host.run(["true"])):
        with pytest.raises(TestbedError, match="is a recorded tree, not a machine"):
            change()


def test_no_tree_no_host(tmp_path):
    with pytest.raises(TestbedError, match="no directory .*/none to read"):
        Host(str(tmp_path / "none"))


def test_a_command_s_answer_and_its_failure():
    host = Host()
    assert host.run(["printf", "%s", "$(id) ; `id`"]) == "$(id) ; `id`"
    assert host.run(["sh", "-c", "echo $LC_ALL"]) == "C\n"
    with pytest.raises(TestbedError) as caught:
        host.run(["sh", "-c", "echo one; echo two >&2; exit 3"])
    assert caught.value.summary == "sh -c echo one; echo two >&2; exit 3 failed with exit code 3"
    assert caught.value.details == ["two"]
    with pytest.raises(TestbedError, match="the tool memlab-no-such-tool is not installed: install the package that provides it"):
        host.run(["memlab-no-such-tool"])


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path):
    with pytest.raises(TestbedError, match="did not end within 3 s"):
        Host().run(["env", "-C", str(tmp_path), "sh", "-c", "sleep 300 & echo $! > child; wait"], timeout=3)
    ended(int((tmp_path / "child").read_text(encoding="ascii")))


@pytest.mark.parametrize("words, said", [([], r"cannot run .*/cxl \(ENOEXEC\)"), (["x" * (1 << 20)], r"cannot run .*/cxl \(E2BIG\)")])
def test_a_tool_that_cannot_be_run(tmp_path, monkeypatch, words, said):
    tool = tmp_path / "cxl"
    tool.write_text("garbage", encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for run in (lambda: Host().run(["cxl"] + words), lambda: Host().stream(["cxl"] + words, pytest.fail)):
        with pytest.raises(TestbedError, match=said):
            run()


@pytest.mark.parametrize("number", signals.ENDING)
def test_a_signal_ends_the_command_and_its_children(tmp_path, interrupt, number):
    begun = time.monotonic()
    interrupt(number, (tmp_path / "self").exists)
    with pytest.raises(signals.Interrupted, match="interrupted by " + signal.Signals(number).name), signals.as_errors():
        Host().run(["env", "-C", str(tmp_path), "sh", "-c", "sleep 300 & echo $! > child; echo $$ > new; mv new self; wait"])
    assert time.monotonic() - begun < 10
    for name in ("self", "child"):
        ended(int((tmp_path / name).read_text(encoding="ascii")))


def test_a_command_that_ends_only_with_its_child_has_time_to_clean_up(tmp_path):
    begun = time.monotonic()
    with pytest.raises(TestbedError, match="did not end"):
        Host().run(["env", "-C", str(tmp_path), "sh", "-c", "trap : TERM; sleep 300; echo cleaned > trace"], timeout=3)
    assert time.monotonic() - begun < 10
    assert (tmp_path / "trace").read_text(encoding="ascii") == "cleaned\n"


def test_a_signal_while_something_must_not_be_broken_off_acts_afterwards():
    reached = []
    with pytest.raises(signals.Interrupted), signals.as_errors():
        with signals.postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("within")
        reached.append("after")
    assert reached == ["within"]


def test_waiting_says_what_for():
    with pytest.raises(TestbedError, match="the moon: not seen within 0.05 s"):
        Host().wait_until(lambda: None, "the moon", timeout=0.05)


def test_an_error_in_words():
    error = TestbedError("it broke.", details=["first", 2], remedy="mend it")
    assert str(error) == "it broke: mend it\nfirst\n2"
    assert error.fail_arguments() == {"msg": str(error), "summary": "it broke.", "details": ["first", "2"], "remedy": "mend it", "changed": False}
    assert str(TestbedError("it broke")) == "it broke"
    assert (errno_name(16), errno_name(99999)) == ("EBUSY", "errno 99999")
