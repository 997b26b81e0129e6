# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each mistake by itself: one change to a valid testbed, one line that names file, guest and key."""
from __future__ import annotations

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.validation import capacity_below
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, M


def bridges(count, ports=1):
    return [{"name": "b%d" % number, "root_ports": [{"name": "p%d-%d" % (number, port)} for port in range(ports)]} for number in range(count)]


def interleaved(ways):
    names = ["b%d" % number for number in range(ways)]
    return {"host_bridges": bridges(ways), "windows": [{"targets": names, "size": "240G"}]}


def distances(rows):
    return {"nodes": [{"memory": "2G", "cpus": [0, 1]}, {"memory": "1G", "cpus": [2, 3]}, {"memory": 0}], "distances": rows}


# where to change the guest, what to put there, and the error behind "lab.qemu.yml: guest host: "
MISTAKES = [
    # unknown keys, at every level
    ("memroy", "1G", "memroy: unknown key; did you mean memory?"),
    ("image.suit", 1, "image.suit: unknown key; did you mean suite?"),
    ("numa.node", [], "numa.node: unknown key; did you mean nodes?"),
    ("numa.nodes.0.cpu", [0], "numa.nodes[0].cpu: unknown key; did you mean cpus?"),
    ("numa.hmat.1.latancy", 3, "numa.hmat[1].latancy: unknown key; did you mean latency?"),
    ("cxl.window", [], "cxl.window: unknown key; did you mean windows?"),
    ("cxl.host_bridges.1.ports", [], "cxl.host_bridges[1].ports: unknown key; did you mean root_ports?"),
    ("cxl.host_bridges.0.root_ports.1.devise", "x", "cxl.host_bridges[0].root_ports[1].devise: unknown key; did you mean device?"),
    ("cxl.host_bridges.1.root_ports.0.switch.downstream_ports.1.slot", 1,
     "cxl.host_bridges[1].root_ports[0].switch.downstream_ports[1].slot: unknown key; known: device, name"),
    ("cxl.memory_devices.2.serail", 1, "cxl.memory_devices[2].serail: unknown key; did you mean serial?"),
    ("cxl.windows.0.interleave_granularity", 1, "cxl.windows[0].interleave_granularity: unknown key; did you mean granularity?"),
    ("nvdimms.0.label", 1, "nvdimms[0].label: unknown key; did you mean label_area?"),
    # values of the wrong kind
    ("memory", "2 gigs", "memory: '2 gigs' is not a size: write bytes, or a number with K, M, G or T, as 512M"),
    ("memory", -1, "memory: -1 is not a size: write bytes, or a number with K, M, G or T, as 512M"),
    ("memory", 0, "memory: 0 is less than 1"),
    ("memory", 1000, "memory: 1000 is not a multiple of 1M"),
    ("memory", True, "memory: True is not a size: write bytes, or a number with K, M, G or T, as 512M"),
    ("max_memory", 1 << 70, "max_memory: 1180591620717411303424 is more than any machine has"),
    ("cpus", "2", "cpus: '2' is not a whole number"),
    ("cpus", 0, "cpus: 0 is not from 1 to 255"),
    ("slots", 257, "slots: 257 is not from 0 to 256"),
    ("image.backports_kernel", "yes", "image.backports_kernel: 'yes' is neither true nor false"),
    ("image.loader", "lilo", "image.loader: 'lilo' is none of qemu, grub, systemd-boot"),
    ("image.loader", "grub", "kernel_parameters: GRUB starts this guest (image.loader), so its boot parameters are set in the guest, as on a host"),
    ("image.kernel_file", "kernel.deb", "image.kernel_file: 'kernel.deb' is not the absolute path of a Debian package"),
    ("image.kernel_file", "/boot/vmlinuz", "image.kernel_file: '/boot/vmlinuz' is not the absolute path of a Debian package"),
    ("image.kernel_file", "/kernel.deb", "image.kernel_package: image.kernel_file names the kernel already"),
    ("hypervisor_bit", "no", "hypervisor_bit: 'no' is neither true nor false"),
    ("watchdog", 30, "watchdog: 30 is neither true nor false"),
    ("image.packages.0", "--yes", "image.packages[0]: '--yes' is not a package name"),
    ("cxl", [], "cxl: [] is not a mapping"),
    ("nvdimms", {}, "nvdimms: {} is not a list"),
    ("groups.0", "cxl-hosts", "groups[0]: 'cxl-hosts' is not a group name: letters, digits and _"),
    ("kernel_parameters.0", "memmap_on_memory=1 quiet",
     "kernel_parameters[0]: 'memmap_on_memory=1 quiet' is not one kernel parameter without blanks and quotes"),
    ("kernel_parameters.0", 'a="b', "kernel_parameters[0]: 'a=\"b' is not one kernel parameter without blanks and quotes"),
    ("kernel_parameters.0", "", "kernel_parameters[0]: '' is not one kernel parameter without blanks and quotes"),
    ("kernel_parameters.0", "a\u00a0b", "kernel_parameters[0]: 'a\\xa0b' is not one kernel parameter without blanks and quotes"),
    ("cxl.memory_devices.0.serial", None, "cxl.memory_devices[0].serial: is missing"),
    ("cxl.memory_devices.0.serial", "0x1", "cxl.memory_devices[0].serial: '0x1' is not a whole number"),
    ("cxl.host_bridges.0.root_ports", [], "cxl.host_bridges[0].root_ports: needs at least 1 item"),
    ("cxl.host_bridges.0.name", "HB0", "cxl.host_bridges[0].name: 'HB0' is not a name: a small letter, then small letters, digits, _ or -"),
    # names
    ("cxl.host_bridges.1.name", "hb0", "cxl.host_bridges[1].name: hb0 is the name of cxl.host_bridges[0] already"),
    ("nvdimms.0.name", "sw0", "nvdimms[0].name: sw0 is the name of cxl.host_bridges[1].root_ports[0].switch already"),
    ("cxl.memory_devices.3.name", "dsp1",
     "cxl.memory_devices[3].name: dsp1 is the name of cxl.host_bridges[1].root_ports[0].switch.downstream_ports[1] already"),
    # processors, memory, HMAT
    ("numa.nodes", [{"memory": "2G", "cpus": [0, 1]}, {"memory": "1G", "cpus": [2, 3]}] + [{}] * 127,
     "numa.nodes: 129 are more than the 128 that QEMU can have"),
    ("numa.nodes.1.cpus", [2, 4], "numa.nodes[1].cpus[1]: there is no processor 4, the guest has 4, counted from 0"),
    ("numa.nodes.1.cpus", [2, 1], "numa.nodes[1].cpus[1]: processor 1 is in node 0 already"),
    ("numa.nodes.1.cpus", [2], "numa.nodes: processor 3 is in no node"),
    ("numa.nodes.1.memory", "2G", "numa.nodes: their memory is 4G together, the guest's is 3G"),
    ("max_memory", "3G", "max_memory: 3G is less than memory (3G) and NVDIMMs with their labels (530M)"),
    ("slots", 1, "slots: 1 is less than the number of NVDIMMs, 2"),
    ("max_memory", "950G", "max_memory: with 4 slots, the CXL windows and the PCI space it takes 1026G of addresses, there are 1T"),
    ("numa.hmat.0.initiator", 3, "numa.hmat[0].initiator: there is no node 3, the guest has 3, counted from 0"),
    ("numa.hmat.0.target", 3, "numa.hmat[0].target: there is no node 3, the guest has 3, counted from 0"),
    ("numa.hmat.0.initiator", 2, "numa.hmat[0].initiator: node 2 has no processors"),
    ("numa.hmat.2.initiator", 0, "numa.hmat[2]: the way from node 0 to node 2 is in numa.hmat[1] already"),
    ("numa.distances", [[10, 21, 30], [21, 10, 40], [30, 40, 10]],
     "numa.distances: the guest has numa.hmat, and with both tables its kernel does not find its devices: say one of them"),
    ("numa", distances([[10]]), "numa.distances: there are 1 rows, and the guest has 3 nodes"),
    ("numa", distances([[10, 21, 30], [21, 10], [30, 40, 10]]), "numa.distances[1]: there are 2 distances, and the guest has 3 nodes"),
    ("numa", distances([[10, 10, 30], [21, 10, 40], [30, 40, 10]]),
     "numa.distances[0][1]: 10 is not a distance from node 0 to node 1: 10 is a node's to itself"),
    ("numa", distances([[10, 255, 30], [21, 10, 40], [30, 40, 10]]), "numa.distances[0][1]: 255 is not from 10 to 254"),
    ("numa.hmat.0.latency", 0, "numa.hmat[0].latency: 0 is not from 1 to 65534"),
    ("numa.hmat.0.bandwidth", 1 << 19, "numa.hmat[0].bandwidth: 512K is less than 1M"),
    ("numa.hmat.2.bandwidth", "131073M", "numa.hmat[2].bandwidth: 131073M and the other bandwidths do not fit in one table's 16 bits: use rounder figures"),
    # memory devices
    ("cxl.memory_devices.1.serial", 1, "cxl.memory_devices[1].serial: 0x1 is the serial of mem_a already"),
    ("cxl.memory_devices.1.serial", 0, "cxl.memory_devices[1].serial: 0 is not from 1 to 18446744073709551614"),
    ("cxl.memory_devices.1.serial", (1 << 64) - 1, "cxl.memory_devices[1].serial: 18446744073709551615 is not from 1 to 18446744073709551614"),
    ("cxl.memory_devices.0.volatile", None, "cxl.memory_devices[0]: mem_a has neither volatile nor persistent memory"),
    ("cxl.memory_devices.0.volatile", "0", "cxl.memory_devices[0].volatile: 0 is less than 1"),
    ("cxl.memory_devices.0.volatile", "300M", "cxl.memory_devices[0].volatile: 300M is not a multiple of 256M"),
    ("cxl.memory_devices.1.persistent", "128M", "cxl.memory_devices[1].persistent: 128M is not a multiple of 256M"),
    ("cxl.memory_devices.0.label_area", "256K", "cxl.memory_devices[0].label_area: mem_a has no persistent memory to label"),
    ("cxl.memory_devices.1.label_area", "64K", "cxl.memory_devices[1].label_area: 64K is less than 128K"),
    # ports
    ("cxl.host_bridges.0.root_ports.1.device", "mem_x", "cxl.host_bridges[0].root_ports[1].device: no memory device is called mem_x; did you mean mem_d?"),
    ("cxl.host_bridges.1.root_ports.1.device", "mem_a", "cxl.host_bridges[1].root_ports[1].device: mem_a is in port rp0 already"),
    ("cxl.host_bridges.1.root_ports.0.device", "mem_d", "cxl.host_bridges[1].root_ports[0]: holds either a device or a switch, not both"),
    ("cxl", {"host_bridges": bridges(17)}, "cxl.host_bridges: 17 are more than the 16 that QEMU can have"),
    ("cxl", {"host_bridges": bridges(1, 33)}, "cxl.host_bridges[0].root_ports: 33 are more than the 32 of one bus"),
    ("cxl.host_bridges.1.root_ports.0.switch.downstream_ports", [{"name": "d%d" % number} for number in range(33)],
     "cxl.host_bridges[1].root_ports[0].switch.downstream_ports: 33 are more than the 32 of one bus"),
    ("vars.answer", [{1: 2}], "vars.answer[0].1: a key has to be text"),
    ("cxl", {"host_bridges": bridges(8, 30)}, "cxl.host_bridges: their ports need 248 bus numbers, there are 244"),
    # windows
    ("cxl.windows.0.targets", ["hb2"], "cxl.windows[0].targets[0]: no host bridge is called hb2; did you mean hb1?"),
    ("cxl.windows.0.targets", [], "cxl.windows[0].targets: needs at least 1 item"),
    ("cxl.windows.0.targets", ["hb0", "hb0"], "cxl.windows[0].targets[1]: hb0 is a target already"),
    ("cxl", interleaved(5), "cxl.windows[0].targets: memory cannot be interleaved over 5 ways, only over 1, 2, 3, 4, 6, 8, 12, 16"),
    ("cxl.windows.0.granularity", 128, "cxl.windows[0].granularity: 128 is not a power of two from 256 to 16K"),
    ("cxl.windows.0.granularity", "32K", "cxl.windows[0].granularity: 32K is not a power of two from 256 to 16K"),
    ("cxl.windows.0.granularity", 768, "cxl.windows[0].granularity: 768 is not a power of two from 256 to 16K"),
    ("cxl.windows.0.size", "300M", "cxl.windows[0].size: 300M is not a multiple of 256M"),
    ("cxl.windows.1.size", "1280M", "cxl.windows[1].size: 1280M is not a multiple of 512M, 2 ways of 256M"),
    ("cxl.windows.0.size", "512M", "cxl.windows[0].size: 512M is less than 768M, the capacity of the memory devices that can be below hb0"),
    # NVDIMMs
    ("nvdimms.0.node", 3, "nvdimms[0].node: there is no node 3, the guest has 3, counted from 0"),
    ("nvdimms.0.label_area", "64K", "nvdimms[0].label_area: 64K is less than 128K, and not 0 for none"),
    ("nvdimms.0.size", "500M", "nvdimms[0].size: 500M is not a multiple of 16M"),
]


def put(guest, path, value):
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps[:-1]:
        guest = guest[step]
    guest[steps[-1]] = value


@pytest.mark.parametrize("path, value, message", MISTAKES, ids=["%s=%.30s" % (path, value) for path, value, message in MISTAKES])
def test_a_mistake_is_one_line_with_file_guest_and_key(load, complete, path, value, message):
    load(complete)
    put(complete["guests"]["host"], path, value)
    with pytest.raises(TestbedError) as caught:
        load(complete)
    assert str(caught.value) == "lab.qemu.yml: guest host: " + message


@pytest.mark.parametrize("guest", [{"slots": 2}, {"max_memory": "4G"}])
def test_dimm_headroom_needs_slots_and_addresses(load, guest):
    with pytest.raises(TestbedError, match="slots: DIMM headroom needs both"):
        load({"plugin": "memlab.testbed.qemu", "testbed": "t", "guests": {"a": guest}})


def test_max_memory_below_memory(load):
    with pytest.raises(TestbedError, match=r"max_memory: 1G is less than memory \(2G\)$"):
        load({"plugin": "memlab.testbed.qemu", "testbed": "t", "guests": {"a": {"max_memory": "1G", "slots": 1}}})


@pytest.mark.parametrize("ways", [1, 2, 3, 4, 6, 8, 12, 16])
def test_possible_numbers_of_ways(load, complete, ways):
    complete["guests"]["host"]["cxl"] = interleaved(ways)
    assert len(load(complete).guests["host"].cxl.windows[0].targets) == ways


def test_a_guest_has_to_fit_this_machine(load, complete):
    needed = 3 * G + 2 * 256 * M
    load(complete, physical_memory=needed)
    with pytest.raises(TestbedError, match=r"^lab\.qemu\.yml: guest host: memory: 3G and 512M of volatile CXL memory is more than this machine's 3\.4G$"):
        load(complete, physical_memory=needed - 64 * M)


def test_all_guests_have_to_fit_this_machine_together(load, complete):
    """Persistent memory is a file, and takes none."""
    complete["guests"]["other"] = {"memory": "20G"}
    needed = 23 * G + 2 * 256 * M
    load(complete, physical_memory=needed)
    with pytest.raises(TestbedError) as caught:
        load(complete, physical_memory=needed - 64 * M)
    assert str(caught.value) == ("lab.qemu.yml: guests: memory: all 2 take 24064M with their volatile CXL memory (other takes 20G), "
                                 "which is more than this machine's 23.4G")
    # listing them
    assert len(load(complete).guests) == 2


def test_the_testbeds_of_this_repository_fit_a_machine_of_16_gib(collection):
    """A little of which the kernel keeps for itself."""
    found = sorted(collection.glob("molecule/*/testbed.qemu.yml")) + sorted(collection.glob("inventories/*/testbed.qemu.yml"))
    assert len(found) >= 11
    for path in found:
        testbed_file.load(str(path), physical_memory=15 * G)


def test_a_window_holds_what_is_there_and_what_can_be_plugged(load, complete):
    guest = load(complete).guests["host"]
    # hb0: mem_a, and mem_d may go to rp1. hb1: mem_b and mem_c, and mem_d may go to dsp1. Together mem_d comes once.
    assert capacity_below(guest, ["hb0"]) == (256 + 512) * M
    assert capacity_below(guest, ["hb1"]) == (256 + 512 + 512) * M
    assert capacity_below(guest, ["hb0", "hb1"]) == (256 + 256 + 512 + 512) * M
