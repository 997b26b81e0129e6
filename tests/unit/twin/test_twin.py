# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a host to its twin: what is kept, what is scaled, what is said."""
from __future__ import annotations

import io
import struct
import tarfile

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies

from ansible_collections.memlab.testbed.plugins.filter.rehearsal_summary import rehearsal_summary
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import testbed_file, topology as declared
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.module_utils.twin import archive, carry_vars, make, observe, observed, scale
from ansible_collections.memlab.testbed.tests.synthetic import topology
from ansible_collections.memlab.testbed.tests.unit.twin.conftest import CAPTURES

M, G = 1 << 20, 1 << 30

RICH = yaml.safe_load("""
memory: 1G
numa:
  nodes: [{memory: 512M, cpus: [0, 1]}, {memory: 512M}, {}]
  hmat: [{initiator: 0, target: 0, latency: 80, bandwidth: 20G}, {initiator: 0, target: 2, latency: 300, bandwidth: 5G}]
max_memory: 32G
slots: 8
cxl:
  host_bridges:
    - {name: a, root_ports: [{name: p0, device: x}, {name: p1}]}
    - name: b
      root_ports: [{name: p2, device: y}, {name: p3, switch: {name: s, downstream_ports: [{name: d0, device: z}, {name: d1}]}}]
  memory_devices:
    - {name: x, serial: 0x1, volatile: 1G}
    - {name: y, serial: 0x3, volatile: 512M, persistent: 256M}
    - {name: z, serial: 0x4, persistent: 512M}
  windows: [{targets: [a], size: 4G}, {targets: [b, a], size: 4G, granularity: 512}]
nvdimms: [{name: n0, size: 512M, node: 2}, {name: n1, size: 256M, label_area: 0}]
""")


def outline(capture):
    with archive.opened(str(capture)) as host:
        return observed.outline(observe.observe(host))


def test_a_recorded_guest_gives_the_guest_it_was(twin_of):
    guest, answer, text = twin_of(CAPTURES / "rich-6.12.tgz", strict=True)
    assert (answer["scaled"], answer["not_expressed"]) == ([], [])
    assert answer["has"] == "3 nodes, 2 host bridges, 1 switch, 3 memory devices, 2 empty ports, 2 memory windows, 2 NVDIMMs"
    assert [(window.targets, window.size, window.granularity) for window in guest.cxl.windows] == [(["hb0"], 4 * G, 4096), (["hb1", "hb0"], 4 * G, 512)]
    ports = {port.name: guest.cxl.device(port.device).serial if port.device else None for where, bridge, port in guest.cxl.memory_ports()}
    assert ports == {"rp0": 1, "rp1": None, "rp2": 3, "dp0": 4, "dp1": None}
    assert [(device.serial, device.volatile, device.persistent, device.label_area) for device in guest.cxl.memory_devices] == [
        (1, G, 0, None), (3, 512 * M, 256 * M, 256 << 10), (4, 0, 512 * M, 256 << 10)]
    assert [(nvdimm.size, nvdimm.label_area, nvdimm.node) for nvdimm in guest.nvdimms] == [(512 * M, 256 << 10, 2), (256 * M, 0, 0)]
    assert [(node.memory, node.cpus) for node in guest.numa.nodes] == [(512 * M, [0, 1]), (512 * M, []), (0, [])]
    assert [(entry.target, entry.latency, entry.bandwidth) for entry in guest.numa.hmat] == [(0, 80, 20 * G), (1, 160, 10 * G), (2, 300, 5 * G)]
    assert guest.kernel_parameters == ["memory_hotplug.memmap_on_memory=1"]
    assert "serial: 0x3" in text


@pytest.mark.parametrize("name", [path.stem for path in sorted(CAPTURES.glob("*.tgz"))])
def test_every_capture_there_is_has_a_twin(twin_of, name):
    """Those of before the recorder knew of ports and tables, too."""
    guest, answer, unused = twin_of(CAPTURES / (name + ".tgz"))
    assert guest.memory >= 512 * M and answer["has"]
    with archive.opened(str(CAPTURES / (name + ".tgz"))) as host:
        machine = observe.observe(host)
    serials, theirs = ([device.serial for device in devices] for devices in (machine.devices, guest.cxl.memory_devices))
    # Those that have none get one.
    assert sorted(theirs) == (sorted(serials) if all(serials) else list(range(4096, 4096 + len(serials))))


def test_a_twin_of_a_twin_is_the_same(host_of, twin_of, tmp_path):
    first = host_of(RICH)
    guest, answer, unused = twin_of(first)
    topology.write(tmp_path / "again", guest)
    assert outline(first) == outline(tmp_path / "again") and answer["scaled"] == []


sizes = strategies.integers(1, 4096).map(lambda units: units * 256 * M)


@strategies.composite
def hosts(draw):
    """Hosts of any size and form that a testbed file can hold."""
    bridges, devices, number = [], [], 0

    def slot(name):
        nonlocal number
        number += 1
        found = {"name": "%s%d" % (name, number)}
        if draw(strategies.booleans()):
            kinds = draw(strategies.sampled_from(["volatile", "persistent", "both"]))
            device = {"name": "dev%d" % number, "serial": draw(strategies.integers(0, 1 << 40)) * 32 + len(devices) + 1}
            device.update({kind: draw(sizes) for kind in ("volatile", "persistent") if kinds in (kind, "both")})
            devices.append(device)
            found["device"] = device["name"]
        return found
    for index in range(draw(strategies.integers(0, 4))):
        ports = []
        for unused in range(draw(strategies.integers(1, 3))):
            if draw(strategies.integers(0, 3)):
                ports.append(slot("rp"))
            else:
                number += 1
                switch = {"name": "sw%d" % number, "downstream_ports": [slot("dp") for unused in range(draw(strategies.integers(1, 3)))]}
                ports.append({"name": "up%d" % number, "switch": switch})
        bridges.append({"name": "hb%d" % index, "root_ports": ports})
    targets = draw(strategies.lists(strategies.permutations([bridge["name"] for bridge in bridges]), max_size=3)) if bridges else []
    ways = draw(strategies.sampled_from([1, 2])) if len(bridges) > 1 else 1
    others = [{"memory": 256 * M * draw(strategies.integers(0, 9))} for unused in range(draw(strategies.integers(0, 2)))]
    nodes = [{"memory": draw(strategies.integers(4, 64)) * 128 * M, "cpus": [0, 1, 2]}] + others
    return {"cpus": 3, "memory": sum(node["memory"] for node in nodes), "numa": {"nodes": nodes, "hmat": [
        {"initiator": 0, "target": len(nodes) - 1, "latency": draw(strategies.integers(1, 65534)), "bandwidth": draw(strategies.integers(1, 60000)) * M}]},
        "cxl": {"host_bridges": bridges, "memory_devices": devices,
                "windows": [{"targets": list(names[:ways]), "size": 6 << 40, "granularity": 256 << draw(strategies.integers(0, 6))} for names in targets]},
        "nvdimms": [{"name": "nv%d" % index, "size": draw(strategies.integers(1, 999)) * 16 * M, "node": draw(strategies.integers(0, len(nodes) - 1)),
                     "label_area": draw(strategies.sampled_from([0, 128 << 10, 256 << 10]))} for index in range(draw(strategies.integers(0, 3)))]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(hosts())
def test_any_host_has_a_twin_with_its_topology(tmp_path_factory, host):
    """Whatever the sizes, the file is valid, nothing is lost, and the twin's own twin is the twin."""
    place = tmp_path_factory.mktemp("host")
    topology.write(place / "host", declared.read_guest("host", host))
    text, answers = make.make(str(place / "t.qemu.yml"), "t", [{"name": "host", "capture": str(place / "host")}], 16 * G, 2 * G, 2, {})
    guest = testbed_file.parse(text, "t.qemu.yml").guests["host"]
    topology.write(place / "twin", guest)
    real, twin = outline(place / "host"), outline(place / "twin")
    for key in ("bridges", "block_size", "distances"):
        assert real[key] == twin[key]
    assert [window[0] for window in real["windows"]] == [window[0] for window in twin["windows"]]
    assert list(real["devices"]) == list(twin["devices"]) and len(real["nvdimms"]) == len(twin["nvdimms"])
    for serial, (volatile, persistent, unused) in real["devices"].items():
        assert [bool(volatile), bool(persistent)] == [bool(size) for size in twin["devices"][serial][:2]]
    assert sum(sum(sizes[:2]) for sizes in twin["devices"].values()) + sum(nvdimm[0] for nvdimm in twin["nvdimms"]) <= 16 * G
    again, unused = make.make(str(place / "t.qemu.yml"), "t", [{"name": "host", "capture": str(place / "twin")}], 16 * G, 2 * G, 2, {})
    assert testbed_file.parse(again, "t.qemu.yml").guests["host"] == guest
    assert answers[0]["not_expressed"] == []


# scaling

def test_ratios_are_kept_and_said(host_of, twin_of):
    big = {"memory": "64G", "cpus": 32, "cxl": {
        "host_bridges": [{"name": "a", "root_ports": [{"name": "p0", "device": "x"}, {"name": "p1", "device": "y"}]}],
        "memory_devices": [{"name": "x", "serial": 1, "volatile": "128G"}, {"name": "y", "serial": 2, "volatile": "32G"}],
        "windows": [{"targets": ["a"], "size": "512G"}]}}
    guest, answer, text = twin_of(host_of(big))
    assert [device.volatile for device in guest.cxl.memory_devices] == [2 * G, 512 * M]
    assert guest.cxl.windows[0].size == 8 * G and guest.memory == 2 * G and guest.cpus == 2
    assert {"what": "volatile capacity of memory device 0x1", "host": "128G", "twin": "2G"} in answer["scaled"]
    assert "  # Scaled: volatile capacity of memory device 0x1: 128G -> 2G\n" in text
    assert "  # Scaled: processors of node 0: 32 -> 2\n" in text


@pytest.mark.parametrize("size, by, unit, found", [(0, 4, 256, 0), (1024, 4, 256, 256), (1, 4, 256, 256), (1536, 4, 256, 512), (1535, 4, 256, 256),
                                                   (4096, 1, 256, 4096)])
def test_the_nearest_size_that_can_be(size, by, unit, found):
    assert scale.scaled(size, by, unit) == found


@given(strategies.lists(strategies.integers(0, 300), min_size=1, max_size=9), strategies.integers(1, 400))
def test_every_node_that_has_processors_keeps_one(counts, budget):
    found = scale.shares(counts, budget)
    assert [bool(count) for count in found] == [bool(count) for count in counts]
    assert all(one <= other for one, other in zip(found, counts))
    assert sum(found) <= max(budget, sum(1 for count in counts if count))


def test_too_little_capacity_for_so_many_devices(host_of, twin_of):
    with pytest.raises(TestbedError) as caught:
        twin_of(host_of(RICH), capacity=512 * M)
    assert str(caught.value) == "host host: the memory devices need 1056M at least, and capacity is 512M: say capacity: 1056M or more"


# the declaration

def test_a_declaration_is_carried_over(host_of, twin_of):
    big = {"memory": "4G", "max_memory": "64G", "slots": 1, "nvdimms": [{"name": "n", "size": "32G"}], "cxl": {
        "host_bridges": [{"name": "a", "root_ports": [{"name": "p%d" % number, "device": "d%d" % number} for number in range(3)]}],
        "memory_devices": [{"name": "d%d" % number, "serial": 16 + number, "volatile": "32G"} for number in range(3)],
        "windows": [{"targets": ["a"], "size": "96G"}]}}
    entries = [{"serial": "0x10", "memmap": "device", "size": "16G", "amount": "8G"},
               {"memory_devices": ["0000:0e:00.0", "0x12"], "memmap": "dram", "amount": 64, "zone": "kernel"},
               {"nvdimms": ["8680-00000000"], "namespace": {"name": "store", "mode": "fsdax", "size": "16G"}},
               {"soft_reserved": "0x240000000", "memmap": "dram"}]
    unused, answer, text = twin_of(host_of(big), vars={"memory_devices": entries, "other": [1]})
    # 128G in 4G: by 32
    assert answer["memory_devices"] == [
        {"serial": "0x10", "memmap": "device", "size": "512M", "amount": "256M"},
        {"memory_devices": ["0x11", "0x12"], "memmap": "dram", "amount": "2", "zone": "kernel"},
        {"nvdimms": ["0x1"], "namespace": {"name": "store", "mode": "fsdax", "size": "512M"}}]
    assert answer["declared_from"] == "inventory"
    assert {"what": "declared entry 2 (0000:0e:00.0, 0x12): amount", "host": "64", "twin": "2"} in answer["scaled"]
    assert [entry["what"] for entry in answer["not_expressed"]] == ["declared entry 4 (0x240000000)"]
    assert yaml.safe_load(text)["guests"]["host"]["vars"]["other"] == [1]


def test_what_a_host_keeps_for_its_next_boot_counts_where_the_inventory_says_nothing(host_of, twin_of):
    place = host_of(RICH)
    (place / "etc/memlab").mkdir(parents=True)
    (place / "etc/memlab/memory.json").write_text('{"version": 1, "memory_devices": [{"serial": "0x1", "memmap": "dram"}], "offline": true, "wait": 30, '
                                                  '"block_timeout": 60}')
    unused, answer, text = twin_of(place)
    assert (answer["declared_from"], answer["memory_devices"]) == ("/etc/memlab/memory.json", [{"serial": "0x1", "memmap": "dram"}])
    unused, answer, text = twin_of(place, vars={"memory_devices": []})
    assert (answer["declared_from"], answer["memory_devices"]) == ("inventory", [])


# what is said

def table(place, name, change):
    path = place / "sys/firmware/acpi/tables" / name
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def said(answer):
    return ["%s / %s" % (entry["what"], entry["consequence"]) for entry in answer["not_expressed"]]


def test_what_windows_do_not_take_is_said(host_of, twin_of):
    place = host_of(RICH)

    def change(content):
        content[36 + 25] = 1
        content[36 + 32] = 0b10111
    table(place, "CEDT", change)
    assert said(twin_of(place)[1]) == [
        "the memory window at 0x10000000000 takes no persistent regions / the twin's window takes them",
        "the memory window at 0x10000000000 is fixed: firmware has set up what is in it "
        "/ the twin's devices come up without regions, and decoders can be changed",
        "the memory window at 0x10000000000 is interleaved by exclusive or / the twin's host bridges take turns"]


def test_strict_refuses_what_would_be_said_and_says_it_all(host_of, twin_of):
    place = host_of(RICH)
    table(place, "CEDT", lambda content: content.__setitem__(36 + 32, 0b0111))
    with pytest.raises(TestbedError) as caught:
        twin_of(place, strict=True)
    assert str(caught.value).splitlines() == ["1 thing cannot be emulated as on the hosts: leave strict out to make the twins without",
                                              "host: the memory window at 0x10000000000 takes no persistent regions (/sys/firmware/acpi/tables/CEDT): "
                                              "the twin's window takes them"]


@pytest.mark.parametrize("name, text, what", [
    ("proc/sys/kernel/arch", "aarch64", "the processor is of kind aarch64"),
    ("proc/sys/kernel/osrelease", "6.8.0-31-generic", "the kernel 6.8.0-31-generic"),
    ("proc/cmdline", "memmap=16G!64G", "the boot parameter memmap=16G!64G names amounts or addresses of the host"),
    ("proc/iomem", "240000000-27fffffff : Soft Reserved", "soft-reserved memory at 0x240000000, 1073741824 bytes"),
    ("sys/devices/pci0000:0c/0000:0c:01.0/0000:0e:00.0/class", "0x010802", None),
])
def test_each_thing_that_has_no_like_is_said(host_of, twin_of, name, text, what):
    place = host_of(RICH)
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_text(text + "\n")
    if what is None:
        (place / "sys/bus/pci/devices/0000:0e:00.0").symlink_to("../../../devices/pci0000:0c/0000:0c:01.0/0000:0e:00.0")
        what = "a device of class 0x010802 in port 0000:0c:01.0"
    assert [entry["what"] for entry in twin_of(place)[1]["not_expressed"]] == [what]


def test_a_generic_initiator_is_said(host_of, twin_of):
    place = host_of(RICH)
    table(place, "SRAT", lambda content: content.extend(struct.pack("<BBxBI16xI4x", 5, 32, 1, 77, 1) + struct.pack("<BBxBI16xI4x", 5, 32, 1, 0, 1)))
    table(place, "SRAT", lambda content: struct.pack_into("<I", content, 4, len(content)))
    assert said(twin_of(place)[1]) == ["a generic initiator in proximity domain 77 / the twin's node is empty"]


def test_what_stands_beside_a_switch_is_said(host_of, twin_of):
    place = host_of(RICH)
    beside = "sys/devices/pci0000:0f/0000:0f:01.0/0000:11:00.1"
    (place / beside).mkdir(parents=True)
    (place / beside / "class").write_text("0x088000\n")
    (place / "sys/bus/pci/devices/0000:11:00.1").symlink_to("../../../" + beside[4:])
    assert said(twin_of(place)[1]) == ["a device of class 0x088000 beside the switch at 0000:11:00.0 / the twin does not have it"]


def test_serial_numbers_that_do_not_tell_devices_apart_are_replaced_and_said(host_of, twin_of):
    place = host_of(RICH)
    for path in place.glob("sys/devices/pci*/**/serial"):
        path.write_text("0x0\n")
    guest, answer, unused = twin_of(place, vars={"memory_devices": [{"serial": "0000:0d:00.0", "memmap": "dram"}]})
    assert [device.serial for device in guest.cxl.memory_devices] == [0x1000, 0x1001, 0x1002]
    assert answer["memory_devices"] == [{"serial": "0x1000", "memmap": "dram"}]
    assert len(said(answer)) == 3
    assert said(answer)[0] == ("memory device 0000:0d:00.0 has the serial number 0x0, which does not tell it apart / "
                               "the twin's has 0x1000, and declared entries name that")


def test_a_switch_below_a_switch(host_of, twin_of):
    place = host_of(RICH)
    deep = "sys/devices/pci0000:0f/0000:0f:01.0/0000:11:00.0/0000:12:01.0/0000:14:00.0"
    (place / deep / "0000:15:00.0/0000:16:00.0/mem7/ram").mkdir(parents=True)
    for name, text in (("class", "0x060400"), ("0000:15:00.0/class", "0x060400"), ("0000:15:00.0/0000:16:00.0/class", "0x050210"),
                       ("0000:15:00.0/0000:16:00.0/mem7/serial", "0x7"), ("0000:15:00.0/0000:16:00.0/mem7/ram/size", "0x40000000")):
        (place / deep / name).write_text(text + "\n")
    for name in (deep, deep + "/0000:15:00.0", deep + "/0000:15:00.0/0000:16:00.0"):
        (place / "sys/bus/pci/devices" / name[-12:]).symlink_to("../../../" + name[4:])
    (place / "sys/bus/cxl/devices/mem7").symlink_to("../../../" + deep[4:] + "/0000:15:00.0/0000:16:00.0/mem7")
    unused, answer, text = twin_of(place, vars={"memory_devices": [{"serial": "0x7", "memmap": "dram"}]})
    assert said(answer) == ["a switch below a switch, at 0000:14:00.0 / the twin has neither it nor the memory devices below it: 0000:16:00.0",
                            "declared entry 1 (0x7) / the twin has no such memory, and the entry is left out of its list"]


# bad input

def test_names(host_of, twin_of):
    place = host_of(RICH)
    assert twin_of(place, name="node1.example.org")[1]["guest"] == "node1.example.org"
    unused, answer, text = twin_of(place, name="Node_1.Example")
    assert answer["guest"] == "node_1.example" and said(answer) == ["the name Node_1.Example / the twin is called node_1.example"]
    assert twin_of(place, name="192.0.2.1")[1]["guest"] == "host-192.0.2.1"
    with pytest.raises(TestbedError, match="^hosts A and a would both be guest a: give each host a name of its own$"):
        make.make("t.qemu.yml", "t", [{"name": "A", "capture": "x"}, {"name": "a", "capture": "x"}], G, G, 1, {})


@pytest.mark.parametrize("arguments, message", [
    ({"path": "t.yml"}, "t.yml is no name of a testbed file: let it end in .qemu.yml or .qemu.yaml"),
    ({"hosts": []}, "no host is named, so there is nothing to make a twin of"),
    ({"hosts": [{"name": "a", "capture": "/nowhere.tgz"}]}, "there is no capture /nowhere.tgz: record one with"),
    ({"testbed": "Not a name"}, "t.qemu.yml: testbed: 'Not a name' is not a name"),
    ({"image": {"suit": "trixie"}}, "t.qemu.yml: guest a: image.suit: unknown key; did you mean suite?"),
    ({"hosts": [{"name": "a", "capture": None, "vars": {"memory_devices": [{"serial": "x"}]}}]},
     "host a: memory device 1 of the declared ones (x): 'x' is neither"),
    ({"hosts": [{"name": "a", "capture": None, "vars": {"no-name": 1}}]}, "host a: vars.no-name: 'no-name' is not a variable name"),
    ({"memory": 1}, "host a: the nodes need 512M at least, and memory is 1: say memory: 512M or more"),
])
def test_one_clear_error_each(host_of, arguments, message):
    place = host_of(RICH)
    asked = dict({"path": "t.qemu.yml", "testbed": "t", "hosts": [{"name": "a", "capture": None}], "capacity": 4 * G, "memory": 2 * G, "cpus": 2, "image": {}},
                 **arguments)
    asked["hosts"] = [dict(host, capture=host["capture"] or str(place)) for host in asked["hosts"]]
    with pytest.raises(TestbedError) as caught:
        make.make(**asked)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["CEDT", "SRAT", "HMAT"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(strategies.data())
def test_a_damaged_table_is_an_error_or_does_no_harm(tmp_path_factory, name, data):
    place = tmp_path_factory.mktemp("damaged")
    topology.write(place / "host", declared.read_guest("host", RICH))
    path = place / "host/sys/firmware/acpi/tables" / name
    content = bytearray(path.read_bytes())
    for unused in range(data.draw(strategies.integers(1, 4))):
        content[data.draw(strategies.integers(36, len(content) - 1))] = data.draw(strategies.integers(0, 255))
    path.write_bytes(content[:data.draw(strategies.integers(0, len(content)))])
    try:
        make.make("t.qemu.yml", "t", [{"name": "a", "capture": str(place / "host")}], 4 * G, 2 * G, 2, {})
    except TestbedError as exc:
        assert "\n" not in str(exc)


def packed(place, members):
    with tarfile.open(place, "w:gz") as archived:
        for name, kind, link, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, link, len(content)
            archived.addfile(member, io.BytesIO(content))
    return place


@pytest.mark.parametrize("members", [
    [("../outside", tarfile.REGTYPE, "", b"x")],
    [("/outside", tarfile.REGTYPE, "", b"x")],
    [("sys/a", tarfile.SYMTYPE, "../../outside", b"")],
    [("sys/a", tarfile.SYMTYPE, "/etc", b"")],
    [("sys/a", tarfile.SYMTYPE, "b", b""), ("sys/a/x", tarfile.REGTYPE, "", b"x")],
    [("sys/a", tarfile.LNKTYPE, "../outside", b"")],
    [("sys/a", tarfile.CHRTYPE, "", b"")],
])
def test_an_archive_that_reaches_out_of_its_directory(tmp_path, members):
    place = tmp_path / "inner"
    place.mkdir()
    with pytest.raises(TestbedError, match="cannot be unpacked"):
        with archive.opened(str(packed(place / "c.tgz", members))):
            pass
    assert not (tmp_path / "outside").exists() and [path.name for path in place.iterdir()] == ["c.tgz"]


def test_an_archive_that_is_none(tmp_path):
    (tmp_path / "c.tgz").write_bytes(b"nothing of the kind")
    with pytest.raises(TestbedError, match="cannot be unpacked"):
        with archive.opened(str(tmp_path / "c.tgz")):
            pass


def test_an_empty_tree_is_no_host(tmp_path, twin_of):
    with pytest.raises(TestbedError, match="^capture .*: the kernel has no memory blocks"):
        twin_of(tmp_path)
    assert Host(str(tmp_path)).live is False


SITE = {"rollout_drain": "/srv/drain.yml", "rollout_undrain": "/srv/undrain.yml", "rollout_steps_from": "/srv/steps",
        "rollout_workers": [{"command": ["ssh", "controller1"]}], "rollout_worker_environment": {"KUBECONFIG": "/etc/kube"}}


def test_what_the_site_does_by_the_hosts_names_is_not_rehearsed():
    known = dict(SITE, rollout_waves=["100%"], rollout_name="live", rollout_directory="/srv/journal", rollout_plan=True)
    assert carry_vars.run_vars(known, "/j") == {"rollout_waves": ["100%"], "rollout_directory": "/j"}
    (twin,) = carry_vars.twin_hosts(["a"], {"a": dict(known, group_names=[])}, "/captures", further=["rollout_drain"])
    assert twin["vars"] == {"rollout_waves": ["100%"]}


def test_what_was_not_rehearsed_is_said():
    hosts = [{"host": name, "guest": name, "has": "a", "memory_devices": [], "declared_from": "inventory", "scaled": [], "not_expressed": []} for name in "ab"]
    hostvars = {"a": {"rollout_drain": "/srv/drain.yml"}, "b": {"rollout_drain": ""}, "localhost": {"rollout_workers": SITE["rollout_workers"]}}
    text = rehearsal_summary(hosts, "rollout", "", hostvars, {})["text"]
    assert text.count("not proved  drain hook (rollout_drain): not run") == 1 and text.count("other controllers (rollout_workers)") == 2
    assert "rollout_drain" not in rehearsal_summary(hosts, "rollout", "", hostvars, {"rollout_drain": "/srv/for-twins.yml"})["text"]


def test_a_twin_that_was_brought_back_has_proved_nothing(tmp_path):
    """A rollout that may have a bad host ends well with one."""
    hosts = [{"host": name, "guest": name, "has": "a", "memory_devices": [1], "declared_from": "inventory", "scaled": [], "not_expressed": []} for name in "ab"]
    journal = Journal(str(tmp_path))
    for event, host, data in (("done", "a", {}), ("failed", "b", {"reason": "no device dax"}), ("rolled_back", "b", {})):
        journal.append(event, host, run=1, **data)
    found = rehearsal_summary(hosts, "rollout", "", {}, {}, str(tmp_path))["hosts"]
    assert found[0]["proved"][0] == "rollout ran to its end on a" and found[0]["not_proved"] == []
    assert found[1]["proved"] == [] and found[1]["not_proved"] == ["rollout: the twin is rolled back at its end (no device dax)"]
