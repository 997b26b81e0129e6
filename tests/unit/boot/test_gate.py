# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a kernel on trial is judged by."""
from __future__ import annotations

import os

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import gate
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

LOG = ("5,0,100,-;Linux version 6.1.0-new\n6,1,100,-;Command line: BOOT_IMAGE=/boot/vmlinuz-6.1.0-new ro panic=10 oops=panic memlab.trial=30\n"
       "5,1,150,-;Kernel command line: BOOT_IMAGE=/boot/vmlinuz-6.1.0-new ro panic=10 oops=panic memlab.trial=30\n"
       "5,1,160,-;Unknown kernel command line parameters \"oops=panic\", will be passed to user space.\n"
       "4,2,200,-;WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20\n"
       "4,3,300,-;WARNING: CPU: 0 PID: 9 at mm/page_alloc.c:123 warn+0x10/0x20\n2,4,400,-;watchdog: watchdog0: watchdog did not stop!\n"
       "0,5,500,-;watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker:9]\n30,6,600,-;systemd[1]: WARNING: not the kernel's\n")


@pytest.fixture(name="machine")
def fixture_machine(tmp_path):
    for place, text in (("proc/sys/kernel/osrelease", "6.1.0-new\n"), ("proc/modules", "kmem 16384 0 - Live 0x0\nnd_btt 1 0 - Live 0x0\n"), ("dev/kmsg", LOG),
                        ("lib/modules/6.1.0-new/modules.builtin", "kernel/drivers/dax/dax-pmem.ko\n")):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text, encoding="ascii")
    return Host(str(tmp_path))


def test_a_kernel_that_is_as_it_should_be(machine):
    assert gate.look(machine, "6.1.0-new", ["kmem", "dax_pmem", "nd-btt"], [], [], log=False) == []


def test_each_thing_that_is_not(machine):
    assert gate.look(machine, "6.1.0-other", ["cxl_core"], [], [], log=False) == [
        "running release: wanted 6.1.0-other, found 6.1.0-new", "module cxl_core: wanted loaded, found not loaded"]


def test_the_log_each_trouble_once_and_not_the_watchdog_that_the_trial_itself_has_left_running(machine):
    assert gate.troubles(machine) == ["WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20",
                                      "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker:9]"]


# As journalctl -o json gives them: a service's line, and one with a byte that is no text.
JOURNAL = """\
{"PRIORITY":"5","SYSLOG_FACILITY":"0","_TRANSPORT":"kernel","MESSAGE":"Linux version 6.1.0-new"}
{"PRIORITY":"4","SYSLOG_FACILITY":"0","_TRANSPORT":"kernel","MESSAGE":"WARNING: CPU: 1 PID: 1 at fs/early.c:1 early+0x1/0x2"}
{"PRIORITY":"4","SYSLOG_FACILITY":"3","_TRANSPORT":"kernel","MESSAGE":"WARNING: not the kernel's"}
{"PRIORITY":"4","SYSLOG_FACILITY":"0","_TRANSPORT":"kernel","MESSAGE":[66,85,71,58,32,120,255]}
"""


def gone_round(machine):
    with open(machine.path("/dev/kmsg"), "w", encoding="ascii") as stream:
        stream.write("4,9000,200,-;WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20\n")


def test_a_log_that_has_gone_round_is_made_whole_by_the_journal(machine):
    gone_round(machine)
    asked = []
    machine.run = lambda argv, timeout=120, given=None: asked.append(argv) or JOURNAL
    assert gate.troubles(machine) == ["WARNING: CPU: 1 PID: 1 at fs/early.c:1 early+0x1/0x2", "BUG: x\ufffd",
                                      "WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20"]
    assert asked[0][:3] == ["journalctl", "-k", "-b"] and gate.log_since_start(machine)[1] is None


@pytest.mark.parametrize("said", [None, "", "-- No entries --\n"])
def test_a_log_that_nothing_makes_whole_says_so(machine, said):
    """A kernel is not refused for that."""
    assert gate.log_since_start(machine)[1] is None
    gone_round(machine)
    if said is not None:
        machine.run = lambda argv, timeout=120, given=None: said
    assert "does not reach back to its start any more" in gate.log_since_start(machine)[1]
    assert len(gate.troubles(machine)) == 1


def test_what_the_earlier_kernel_said_is_nothing_new(machine):
    known = ["WARNING: CPU: 3 PID: 1234 at mm/page_alloc.c:99 warn+0xff/0x20"]
    assert gate.look(machine, "6.1.0-new", [], known, []) == ["kernel log: watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [kworker:9]"]


@pytest.mark.parametrize("check", ["true", [], ["sh", 1], [""]])
def test_what_is_no_command(machine, check):
    with pytest.raises(TestbedError, match="is not a command: give a list of its words"):
        gate.look(machine, "6.1.0-new", [], [], [check])


def record(machine, name, when, text):
    os.makedirs(os.path.dirname(machine.path(name)), exist_ok=True)
    with open(machine.path(name), "w", encoding="ascii") as stream:
        stream.write(text)
    os.utime(machine.path(name), (when, when))


def test_the_end_of_what_pstore_holds(machine):
    for name, when, text in (("dmesg-efi-1", 100, "old\n"), ("dmesg-efi-2", 200, "Panic#1 Part1\nKernel panic - at ffff888012345678\n"),
                             ("dmesg-efi-9.enc.z", 300, "no\n"), ("console-1", 300, "no\n")):
        record(machine, "/sys/fs/pstore/" + name, when, text)
    assert gate.remembered(machine, 150) == ["Kernel panic - at [address]"]
    assert gate.remembered(machine, 250) == []


def test_the_parts_of_a_record_are_in_the_order_of_the_log_and_the_last_record_counts(machine):
    """As EFI variables hold them: the parts of a second, of which the first is the end of the log."""
    for name, when, text in (("170000000001001", 200, "Oops#1 Part1\nOops: 0002\n"), ("170000000001002", 201, "Panic#2 Part1\nthe end\n"),
                             ("170000000002002", 201, "Panic#2 Part2\nbefore\n"), ("170000000010002", 201, "Panic#2 Part10\nlong before\n")):
        record(machine, "/sys/fs/pstore/dmesg-efi-" + name, when, text)
    assert gate.remembered(machine) == ["long before", "before", "the end"]


@pytest.mark.parametrize("place", ["1700000000/dmesg.txt", "1700000000/001/dmesg.txt"])
def test_what_systemd_has_moved_away_and_put_together(machine, place):
    for name, when, text in (("1600000000/dmesg.txt", 100, "another day\n"), (place, 210, "before\nthe end\n"),
                             ("1700000000/dmesg-efi-170000000001001", 211, "Panic#1 Part1\nthe end\n"),
                             ("1700000000/dmesg-efi-170000000002001", 212, "Panic#1 Part2\nbefore\n")):
        record(machine, "/var/lib/systemd/pstore/" + name, when, text)
    assert gate.remembered(machine, 150) == ["before", "the end"]
