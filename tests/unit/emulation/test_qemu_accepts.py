# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The installed QEMU is asked: it starts with our arguments, stopped before the first instruction, and answers QMP on its standard input.

Where there is no QEMU these tests fail: what they show cannot be assumed.
"""
from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import qemu_arguments, testbed_file, topology, validation

M = 1 << 20
QEMU = ["qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-accel", "tcg", "-cpu", "max,-hypervisor", "-qmp", "stdio"]


@pytest.fixture(name="ask")
def fixture_ask(tmp_path):
    """``ask(guest, commands)``: what QEMU returns to each QMP command (name, arguments), and what it says on standard error."""
    def ask(guest, commands=(), cold_plug=True):
        for name, size in qemu_arguments.backing_files(guest).items():
            with open(tmp_path / name, "wb") as stream:
                stream.truncate(size)
        lines = [json.dumps({"execute": name, "arguments": arguments, "id": number})
                 for number, (name, arguments) in enumerate([("qmp_capabilities", {})] + list(commands) + [("quit", {})])]
        done = subprocess.run(QEMU + qemu_arguments.machine_arguments(guest, str(tmp_path), cold_plug=cold_plug), input="\n".join(lines),
                              capture_output=True, text=True, timeout=60, check=False)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert not [answer["error"] for answer in answers if "error" in answer]
        returned = [answer["return"] for answer in answers if "id" in answer]
        return returned[1:-1], done.stderr.strip()
    return ask


def test_the_file_of_the_first_command(ask, example):
    guest = testbed_file.load(str(example)).guests["cxlhost"]
    (size, dimms, cpus), said = ask(guest, [("query-memory-size-summary", {}), ("query-memory-devices", {}), ("query-hotpluggable-cpus", {})])
    assert said == ""
    assert size["base-memory"] == 2048 * M
    assert [(dimm["data"]["id"], dimm["data"]["size"], dimm["data"]["node"]) for dimm in dimms] == [("nv0", 512 * M, 0)]
    assert sorted(cpu["props"]["node-id"] for cpu in cpus) == [0, 0]


def test_everything_that_can_be_declared(ask, load, complete):
    guest = load(complete).guests["host"]
    (dimms, backends, cpus), said = ask(guest, [("query-memory-devices", {}), ("query-memdev", {}), ("query-hotpluggable-cpus", {})])
    assert said == ""
    assert [(dimm["data"]["id"], dimm["data"]["size"], dimm["data"]["node"]) for dimm in dimms] == [("nv0", 512 * M, 2), ("nv1", 16 * M, 0)]
    sizes = {backend["id"]: backend["size"] for backend in backends}
    assert sizes == {"ram-node0": 2048 * M, "ram-node1": 1024 * M, "mem_a-volatile": 256 * M, "mem_b-persistent": 256 * M, "mem_b-lsa": 512 << 10,
                     "mem_c-volatile": 256 * M, "mem_c-persistent": 256 * M, "mem_c-lsa": 256 << 10, "nv0-nvdimm": 514 * M, "nv1-nvdimm": 16 * M}
    assert sorted(cpu["props"]["node-id"] for cpu in cpus) == [0, 0, 1, 1]


def test_every_device_can_be_plugged_while_it_runs(ask, load, complete, tmp_path):
    guest = load(complete).guests["host"]
    plug = [command for name in ("mem_a", "mem_b", "mem_c", "mem_d") for command in qemu_arguments.memory_device_commands(guest, name, str(tmp_path))]
    answers, said = ask(guest, [("query-memdev", {})] + plug + [("query-memdev", {})], cold_plug=False)
    assert said == ""
    assert sorted(backend["id"] for backend in answers[0]) == ["nv0-nvdimm", "nv1-nvdimm", "ram-node0", "ram-node1"]
    plugged = {backend["id"] for backend in answers[-1]} - {backend["id"] for backend in answers[0]}
    assert plugged == {backend for name in ("mem_a", "mem_b", "mem_c", "mem_d") for backend in qemu_arguments.memory_device_backends(guest, name)}


def unchecked(**keys):
    return topology.read_guest("a", dict({"memory": "256M", "cpus": 1}, **keys))


def bridges(count, ports=1):
    return [{"name": "b%d" % number, "root_ports": [{"name": "p%d-%d" % (number, port)} for port in range(ports)]} for number in range(count)]


def window(ways=1, granularity=256):
    targets = ["b%d" % number for number in range(ways)]
    return {"host_bridges": bridges(ways), "windows": [{"targets": targets, "size": 256 * M * ways, "granularity": granularity}]}


def test_our_limits_of_interleaving_are_qemu_s(ask):
    ways = [count for count in range(1, 17) if not ask(unchecked(cxl=window(count)))[1]]
    assert ways == list(validation.INTERLEAVE_WAYS)
    granularities = [128 << shift for shift in range(9)] + [768]
    assert [size for size in granularities if not ask(unchecked(cxl=window(granularity=size)))[1]] == list(validation.GRANULARITIES)


def test_the_largest_that_we_let_through(ask):
    widest = unchecked(cxl={"host_bridges": bridges(validation.HOST_BRIDGES, 14)})
    longest = unchecked(cxl={"host_bridges": bridges(1, validation.ROOT_PORTS)})
    farthest = unchecked(max_memory="940G", slots=16)
    windowed = unchecked(cxl={"host_bridges": bridges(1), "windows": [{"targets": ["b0"], "size": "950G"}]})
    figures = [{"initiator": 0, "target": node, "latency": latency, "bandwidth": bandwidth}
               for node, latency, bandwidth in ((0, 1, "65534M"), (1, 65534, "1M"), (2, 1000, "32G"))]
    spread = unchecked(numa={"nodes": [{"memory": "256M", "cpus": [0]}, {}, {}], "hmat": figures})
    for guest in (widest, longest, farthest, windowed, spread):
        validation.check(guest)
        assert ask(guest)[1] == ""


@pytest.mark.parametrize("keys, words", [
    ({"cxl": {"host_bridges": bridges(1, 33)}}, "no slot/function available"),
    ({"slots": 2}, "memory slots were specified but maximum memory size"),
    ({"slots": 2, "max_memory": "1020G"}, "Address space limit"),
    ({"nvdimms": [{"name": "nv0", "size": "16M", "node": 1}]}, "exceeds the number of numa nodes"),
    ({"numa": {"nodes": [{"memory": "256M"}], "hmat": [{"initiator": 0, "target": 0, "latency": 9, "bandwidth": "65535M"}]}}, "should not differ"),
])
def test_what_we_refuse_qemu_would_not_start(ask, keys, words):
    guest = unchecked(**keys)
    with pytest.raises(validation.Refused):
        validation.check(guest)
    assert words in ask(guest)[1]
