# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import qemu_arguments, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

M = 1 << 20


@pytest.fixture(name="guest")
def fixture_guest(load, complete):
    return load(complete).guests["host"]


def options(arguments, name):
    """The values of one option, in their order."""
    return [value for option, value in zip(arguments[::2], arguments[1::2]) if option == name]


def test_the_file_of_the_first_command(example):
    guest = testbed_file.load(str(example)).guests["cxlhost"]
    arguments = qemu_arguments.machine_arguments(guest, "/state")
    assert arguments == [
        "-machine", "q35,cxl=on,nvdimm=on,hmat=on,cxl-fmw.0.targets.0=hb0,cxl-fmw.0.size=4G,cxl-fmw.0.interleave-granularity=4K,"
                    "cxl-fmw.1.targets.0=hb1,cxl-fmw.1.size=4G,cxl-fmw.1.interleave-granularity=4K",
        "-m", "2G,slots=8,maxmem=32G",
        "-smp", "2,sockets=1",
        "-object", "memory-backend-ram,id=ram-node0,size=2147483648",
        "-numa", "node,nodeid=0,cpus=0,cpus=1,memdev=ram-node0,initiator=0",
        "-numa", "hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-latency,latency=80",
        "-numa", "hmat-lb,initiator=0,target=0,hierarchy=memory,data-type=access-bandwidth,bandwidth=20G",
        "-device", "pxb-cxl,id=hb0,bus=pcie.0,bus_nr=12",
        "-device", "cxl-rp,id=rp0,bus=hb0,port=0,chassis=0,slot=1",
        "-device", "cxl-rp,id=rp1,bus=hb0,port=1,chassis=0,slot=2",
        "-device", "pxb-cxl,id=hb1,bus=pcie.0,bus_nr=15",
        "-device", "cxl-rp,id=rp2,bus=hb1,port=0,chassis=0,slot=3",
        "-device", "cxl-rp,id=rp3,bus=hb1,port=1,chassis=0,slot=4",
        "-object", "memory-backend-ram,id=mem_a-volatile,share=on,size=1073741824",
        "-device", "cxl-type3,id=mem_a,bus=rp0,sn=1,volatile-memdev=mem_a-volatile",
        "-object", "memory-backend-ram,id=mem_b-volatile,share=on,size=1073741824",
        "-device", "cxl-type3,id=mem_b,bus=rp2,sn=2,volatile-memdev=mem_b-volatile",
        "-object", "memory-backend-file,id=nv0-nvdimm,share=on,mem-path=/state/nv0-nvdimm,size=538968064,align=2097152",
        "-device", "nvdimm,id=nv0,memdev=nv0-nvdimm,node=0,label-size=262144",
    ]


def test_only_what_is_declared_is_turned_on(load):
    guest = load({"plugin": "memlab.testbed.qemu", "testbed": "t", "guests": {"a": {"memory": "1G", "cpus": 1}}}).guests["a"]
    assert qemu_arguments.machine_arguments(guest, "/state") == [
        "-machine", "q35", "-m", "1G", "-smp", "1,sockets=1", "-object", "memory-backend-ram,id=ram-node0,size=1073741824",
        "-numa", "node,nodeid=0,cpus=0,memdev=ram-node0"]


def test_without_cold_plug_only_the_memory_devices_are_left_out(guest):
    cold = qemu_arguments.machine_arguments(guest, "/state")
    warm = qemu_arguments.machine_arguments(guest, "/state", cold_plug=False)
    left_out = [value for value in cold if value not in warm]
    assert [value.split(",")[1] for value in left_out if value.startswith("cxl-type3")] == ["id=mem_a", "id=mem_b", "id=mem_c"]
    assert all(value.startswith(("cxl-type3,", "memory-backend-")) and ",id=mem_" in value for value in left_out)
    assert [value for value in warm if value not in cold] == []


def test_a_spare_device_is_not_there_at_start(guest):
    assert not [value for value in qemu_arguments.machine_arguments(guest, "/state") if "mem_d" in value]


def test_a_switch_and_the_bus_numbers_it_takes(guest):
    devices = options(qemu_arguments.machine_arguments(guest, "/state"), "-device")
    # hb0: bus 12 and one behind each of two ports; hb1: bus 15, two ports, the switch's own bus and its two ports.
    assert devices[0] == "pxb-cxl,id=hb0,bus=pcie.0,bus_nr=12"
    assert devices[3:9] == [
        "pxb-cxl,id=hb1,bus=pcie.0,bus_nr=15", "cxl-rp,id=rp2,bus=hb1,port=0,chassis=0,slot=3", "cxl-upstream,id=sw0,bus=rp2",
        "cxl-downstream,id=dsp0,bus=sw0,port=0,chassis=0,slot=4", "cxl-downstream,id=dsp1,bus=sw0,port=1,chassis=0,slot=5",
        "cxl-rp,id=rp3,bus=hb1,port=1,chassis=0,slot=6"]
    assert qemu_arguments.slot_numbers(guest) == {"rp0": 1, "rp1": 2, "rp2": 3, "dsp0": 4, "dsp1": 5, "rp3": 6}


def test_nodes_have_the_nearest_initiator_and_processors_a_socket_each(guest):
    arguments = qemu_arguments.machine_arguments(guest, "/state")
    assert options(arguments, "-smp") == ["4,sockets=4"]
    assert options(arguments, "-numa")[:3] == [
        "node,nodeid=0,cpus=0,cpus=1,memdev=ram-node0,initiator=0",
        "node,nodeid=1,cpus=2,cpus=3,memdev=ram-node1,initiator=1",
        "node,nodeid=2,initiator=1"]


def test_backing_files_are_those_that_are_named(guest):
    assert qemu_arguments.backing_files(guest) == {
        "mem_b-persistent": 256 * M, "mem_b-lsa": 512 << 10, "mem_c-persistent": 256 * M, "mem_c-lsa": 256 << 10,
        "mem_d-persistent": 512 * M, "mem_d-lsa": 256 << 10, "nv0-nvdimm": 514 * M, "nv1-nvdimm": 16 * M}


def test_commas_in_a_path_are_doubled_for_the_command_line_only(guest):
    (backend,) = [value for value in qemu_arguments.machine_arguments(guest, "/a,b") if "id=nv0-nvdimm" in value and "mem-path" in value]
    assert ",mem-path=/a,,b/nv0-nvdimm," in backend
    assert qemu_arguments.memory_device_commands(guest, "mem_d", "/a,b")[0][1]["mem-path"] == "/a,b/mem_d-persistent"


def test_plugging_by_qmp(guest):
    assert qemu_arguments.memory_device_commands(guest, "mem_c", "/state") == [
        ("object-add", {"qom-type": "memory-backend-ram", "id": "mem_c-volatile", "share": True, "size": 256 * M}),
        ("object-add", {"qom-type": "memory-backend-file", "id": "mem_c-persistent", "share": True, "mem-path": "/state/mem_c-persistent", "size": 256 * M}),
        ("object-add", {"qom-type": "memory-backend-file", "id": "mem_c-lsa", "share": True, "mem-path": "/state/mem_c-lsa", "size": 256 << 10}),
        ("device_add", {"driver": "cxl-type3", "id": "mem_c", "bus": "rp3", "sn": 3, "volatile-memdev": "mem_c-volatile",
                        "persistent-memdev": "mem_c-persistent", "lsa": "mem_c-lsa"}),
    ]
    assert qemu_arguments.memory_device_backends(guest, "mem_c") == ["mem_c-volatile", "mem_c-persistent", "mem_c-lsa"]
    assert qemu_arguments.memory_device_backends(guest, "mem_a") == ["mem_a-volatile"]


@pytest.mark.parametrize("device, port, expected", [("mem_a", None, "rp0"), ("mem_d", None, "rp1"), ("mem_d", "dsp1", "dsp1"), ("mem_a", "rp1", "rp1")])
def test_the_port_of_a_plugged_device(guest, device, port, expected):
    assert qemu_arguments.memory_device_commands(guest, device, "/state", port=port)[-1][1]["bus"] == expected


@pytest.mark.parametrize("device, port, message", [
    ("mem_x", None, "guest host has no memory device mem_x; did you mean mem_d?"),
    ("mem_d", "rp9", "guest host has no port rp9 for a memory device; did you mean rp3?"),
    ("mem_d", "rp2", "guest host has no port rp2 for a memory device; did you mean rp3?"),
])
def test_what_cannot_be_plugged(guest, device, port, message):
    with pytest.raises(TestbedError) as caught:
        qemu_arguments.memory_device_commands(guest, device, "/state", port=port)
    assert str(caught.value) == message


def test_no_empty_port(load, complete):
    complete["guests"]["host"]["cxl"]["host_bridges"] = [{"name": "hb0", "root_ports": [{"name": "rp0", "device": "mem_a"}]}]
    complete["guests"]["host"]["cxl"]["windows"] = []
    with pytest.raises(TestbedError, match="^guest host has no empty port for memory device mem_d$"):
        qemu_arguments.memory_device_commands(load(complete).guests["host"], "mem_d", "/state")
