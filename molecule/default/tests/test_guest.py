# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The guest as it was started: what it is made of, and who can reach it."""
from __future__ import annotations

import contextlib
import os
import pathlib


def test_the_guest_listens_on_the_loopback_address_only(qemu_pid, definition):
    sockets = set()
    for name in os.listdir("/proc/%d/fd" % qemu_pid):
        with contextlib.suppress(FileNotFoundError):  # one that was open a moment ago
            sockets.add(os.readlink("/proc/%d/fd/%s" % (qemu_pid, name)).partition("socket:[")[2].rstrip("]"))
    listening = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            # proc_net_tcp: 0A is TCP_LISTEN; any bound UDP socket would take packets
            if fields[9] in sockets and (table.startswith("udp") or fields[3] == "0A"):
                listening.append((table, fields[1]))
    assert listening == [("tcp", "0100007F:%04X" % definition["ansible_port"])]


def test_qemu_forwards_only_to_the_guests_ssh(qmp, definition):
    forwards = [line.split() for line in qmp("human-monitor-command", **{"command-line": "info usernet"}).splitlines() if "HOST_FORWARD" in line]
    assert [(fields[2], fields[3], fields[5]) for fields in forwards] == [("127.0.0.1", str(definition["ansible_port"]), "22")]


def test_the_guest_takes_keys_and_no_passwords(host):
    settings = host.check_output("sshd -T").splitlines()
    assert "passwordauthentication no" in settings
    assert "kbdinteractiveauthentication no" in settings
    assert host.check_output("getent shadow root").split(":")[1][:1] in ("*", "!")


def test_the_declared_hardware_is_there(state, host, definition):
    found = state()
    declared = definition["memlab_guest_definition"]
    assert found["serials"] == [1, 2]
    assert set(declared["kernel_parameters"]) <= set(found["parameters"])
    assert host.check_output("nproc") == str(declared["cpus"])
    assert host.check_output("ls /sys/bus/nd/devices").split().count("nmem0") == 1
