# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The recorder, and what a capture of it tells."""
from __future__ import annotations

import importlib.util
import io
import json
import re
import subprocess
import sys
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import capture, facts, page_flags, page_tables
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine


@pytest.fixture(name="recorder", scope="module")
def load_recorder(collection):
    scripts = collection / "scripts"
    sys.path.insert(0, str(scripts))
    spec = importlib.util.spec_from_file_location("record_capture", scripts / "record_capture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(scripts))
    return module


def unpack(content, directory):
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)
        archive.extractall(directory)
    return Host(str(directory))


def test_a_capture_gives_the_same_facts(machine, recorder, tmp_path):
    host = machine(devices=[Device(32, 4, 1, "self", "Movable", 2), Device(64, 4, 2, "dram", "Normal", 4)])[1]
    replayed = unpack(recorder.record(host).archive(), tmp_path / "capture")
    assert facts.collect(replayed, gather="blocks") == facts.collect(host, gather="blocks")
    assert not replayed.exists("/proc/kcore") and not replayed.exists("/proc/kpageflags")


def test_a_capture_of_a_capture_is_the_same(machine, recorder, tmp_path):
    first = recorder.record(machine()[1])
    second = recorder.record(unpack(first.archive(), tmp_path / "capture"))
    assert (second.files, second.links) == (first.files, first.links)


def test_a_proof_that_was_not_to_be_had_is_not_to_be_had_later_either(machine, recorder, tmp_path):
    root, host = machine()
    (root / "proc/kcore").unlink()
    (root / "proc/kpageflags").unlink()
    replayed = facts.collect(unpack(recorder.record(host).archive(), tmp_path / "capture"))
    assert [replayed["proofs"][name]["available"] for name in facts.PROOFS] == [False, False, False]
    assert "struct page" in replayed["proofs"]["page_tables"]["why_not"] or "kcore" in replayed["proofs"]["page_tables"]["why_not"]


def test_only_the_words_about_memory_and_not_where_the_kernel_is(machine, recorder):
    root, host = machine()
    (root / "proc/cmdline").write_text("root=/dev/vda token=secret memory_hotplug.memmap_on_memory=1 efi=nosoftreserve rd.luks.key=secret mem=4G\n")
    (root / "proc/iomem").write_text("00100000-7fffffff : System RAM\n  2b000000-2c200e8f : Kernel code\n  2d000000-2d7fffff : Kernel rodata\n"
                                     "80000000-8fffffff : dax0.0\n")
    files = recorder.record(host).files
    assert files["/proc/cmdline"] == b"memory_hotplug.memmap_on_memory=1 efi=nosoftreserve mem=4G\n"
    assert files["/proc/iomem"] == b"00100000-7fffffff : System RAM\n80000000-8fffffff : dax0.0\n"
    assert b"secret" not in b"".join(files.values())


def test_of_the_kernel_and_its_modules_only_what_is_about_memory_devices(machine, recorder):
    root, host = machine()
    release = host.read("/proc/sys/kernel/osrelease")
    for name, text in (("boot/config-" + release, "CONFIG_CXL_BUS=y\n# CONFIG_CXL_REGION_INVALIDATION_TEST is not set\nCONFIG_LOCALVERSION=\"secret\"\n"),
                       ("lib/modules/%s/modules.dep" % release, "kernel/drivers/dax/kmem.ko.xz: kernel/secret.ko\nkernel/secret.ko:\n"),
                       ("proc/cpuinfo", "model name\t: secret\nflags\t\t: fpu hypervisor\nflags\t\t: secret\n"),
                       ("sys/firmware/acpi/tables/CEDT", "secret"), ("sys/bus/pci/devices/0000:01:00.0/class", "0x010802\n"),
                       ("sys/bus/pci/devices/0000:0d:00.0/class", "0x050210\n")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    files = recorder.record(host).files
    assert files["/boot/config-" + release] == b"CONFIG_CXL_BUS=y\n# CONFIG_CXL_REGION_INVALIDATION_TEST is not set\n"
    assert files["/lib/modules/%s/modules.dep" % release] == b"kernel/drivers/dax/kmem.ko.xz:\n"
    assert files["/proc/cpuinfo"] == b"flags\t\t: fpu hypervisor\n" and files["/sys/firmware/acpi/tables/CEDT"] == b""
    assert [name for name in files if name.endswith("/class")] == ["/sys/bus/pci/devices/0000:0d:00.0/class"]
    assert b"secret" not in b"".join(files.values())


def test_firmware_tables_are_recorded_where_they_are_what_they_say(machine, recorder):
    root, host = machine()
    tables = root / "sys/firmware/acpi/tables"
    tables.mkdir(parents=True)
    whole = b"CEDT" + (36).to_bytes(4, "little") + bytes(28)
    for name, content in (("CEDT", whole), ("SRAT", whole), ("HMAT", b"HMAT" + (99).to_bytes(4, "little") + bytes(28)), ("NFIT", b"NFIT" + whole[4:])):
        (tables / name).write_bytes(content)
    files = recorder.record(host).files
    assert {name: files["/sys/firmware/acpi/tables/" + name] for name in ("CEDT", "SRAT", "HMAT", "NFIT")} == {
        "CEDT": whole, "SRAT": b"", "HMAT": b"", "NFIT": b""}


def test_below_a_cxl_host_bridge_every_port_is_recorded_and_elsewhere_none(machine, recorder):
    root, host = machine()
    devices = root / "sys/devices"
    (devices / "LNXSYSTM:00/ACPI0016:00").mkdir(parents=True)
    (devices / "LNXSYSTM:00/ACPI0016:00/uid").write_text("12\n")
    (devices / "LNXSYSTM:00/ACPI0016:00/physical_node").symlink_to("../../pci0000:0c")
    (root / "sys/bus/acpi/devices").mkdir(parents=True)
    (root / "sys/bus/acpi/devices/ACPI0016:00").symlink_to("../../../devices/LNXSYSTM:00/ACPI0016:00")
    (root / "sys/bus/pci/devices").mkdir(parents=True)
    for place in ("pci0000:0c/0000:0c:00.0", "pci0000:00/0000:00:01.0"):
        (devices / place).mkdir(parents=True)
        (devices / place / "class").write_text("0x060400\n")
        (devices / place / "config").write_text("secret")
        (root / "sys/bus/pci/devices" / place[-12:]).symlink_to("../../../devices/" + place)
    recording = recorder.record(host)
    assert recording.files["/sys/devices/LNXSYSTM:00/ACPI0016:00/uid"] == b"12\n"
    assert recording.links["/sys/devices/LNXSYSTM:00/ACPI0016:00/physical_node"] == "../../pci0000:0c"
    assert [name for name in recording.files if "/pci0000" in name] == ["/sys/devices/pci0000:0c/0000:0c:00.0/class"]


def test_the_declaration_for_the_next_boot_is_recorded(machine, recorder):
    root, host = machine()
    (root / "etc/memlab").mkdir(parents=True)
    (root / "etc/memlab/memory.json").write_text("{}")
    assert recorder.record(host).files["/etc/memlab/memory.json"] == b"{}"


def test_the_bundle_runs_alone(machine, recorder, tmp_path):
    root, host = machine()
    recorder.bundle(str(tmp_path / "record.pyz"))
    done = subprocess.run([sys.executable, "-I", str(tmp_path / "record.pyz"), "--sysroot", str(root), "--output", str(tmp_path / "out.tgz")],
                          stdout=subprocess.PIPE, cwd=tmp_path, check=True)
    assert b"wrote" in done.stdout
    assert (tmp_path / "out.tgz").stat().st_mode & 0o077 == 0
    assert facts.collect(unpack((tmp_path / "out.tgz").read_bytes(), tmp_path / "capture")) == facts.collect(host)


def test_the_command_of_the_readme(recorder, collection, tmp_path, monkeypatch):
    (command,) = re.findall(r"^python3 scripts/record_capture.py (.*)$", (collection / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    machine = tmp_path / "machine"
    machine.mkdir()
    Machine(3, [Device(16, 4, 1, "self", "Movable", 2)]).write(str(machine))
    monkeypatch.chdir(tmp_path)
    recorder.main(command.split() + ["--sysroot", str(machine)])
    found = facts.collect(unpack((tmp_path / "capture.tgz").read_bytes(), str(tmp_path / "capture")))
    assert [device["placement"] for device in found["devices"]] == ["self"]


def test_a_machine_without_memory_blocks_is_one_line(recorder, tmp_path):
    with pytest.raises(SystemExit, match="^error: the kernel has no memory blocks"):
        recorder.main(["--sysroot", str(tmp_path), "--output", str(tmp_path / "out.tgz")])
    assert not (tmp_path / "out.tgz").exists()


RECORD = json.loads(capture.dump(64, page_tables.Walk(64, [(0, 4096, 8192)]), {1: page_flags.Flags(1 << 37, 512, 0), 2: page_flags.Flags(4, 0, None)}))


def read(root, content):
    (root / "memlab").mkdir(exist_ok=True)
    (root / "memlab/capture.json").write_text(content)
    return capture.load(Host(str(root)))


def test_what_is_recorded_is_read(tmp_path):
    record = read(tmp_path, json.dumps(RECORD))
    assert record.leaves() == page_tables.Walk(64, [(0, 4096, 8192)])
    assert record.flags() == {1: page_flags.Flags(1 << 37, 512, 0), 2: page_flags.Flags(4, 0, None)}


def test_reasons_are_kept(tmp_path):
    record = read(tmp_path, capture.dump(None, TestbedError("no kcore"), TestbedError("no flags")))
    for proof, words in ((record.leaves, "no kcore"), (record.flags, "no flags")):
        with pytest.raises(TestbedError, match=words):
            proof()


def test_a_tree_without_a_record(tmp_path):
    assert capture.load(Host(str(tmp_path))) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "1", json.dumps(dict(RECORD, format=2)), json.dumps(dict(RECORD, page_tables=None)), "[" * 200000,
                                     *[json.dumps(dict(RECORD, struct_page=size)) for size in ("64", 0, -64, 64.0, True, 10 ** 30, [64])],
                                     *[json.dumps(dict(RECORD, page_tables={"why_not": reason, "leaves": []})) for reason in (5, [], False)],
                                     *[json.dumps(dict(RECORD, page_tables={"why_not": None, "leaves": [[0, size, 0]]})) for size in ("1", -1, 1.5, None)],
                                     json.dumps(dict(RECORD, page_tables={"why_not": None, "leaves": [[1, 2]]})),
                                     json.dumps(dict(RECORD, page_flags={"why_not": None, "blocks": [[1, "x", 1, None]]}))])
def test_a_damaged_record_is_an_error(content, tmp_path):
    with pytest.raises(TestbedError, match="capture.json"):
        read(tmp_path, content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.integers(0, len(json.dumps(RECORD))), strategies.text(alphabet='[]{}",:0123456789abnul', max_size=3))
def test_any_damage_is_an_error_or_does_no_harm(synthetic, place, text):
    content = json.dumps(RECORD)
    try:
        read(synthetic, content[:place] + text + content[place + len(text):])
        assert facts.collect(Host(str(synthetic)))["proofs"]
    except TestbedError:
        pass


NUMBERS = strategies.sampled_from(["", "0", "1", "-1", "0x0", "ffffffffffffffff", "0xffffffffffffffff", "1000000", "x", "9" * 5000])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.sampled_from(["devices/system/memory/block_size_bytes", "bus/dax/devices/dax0.0/mapping0/start", "bus/dax/devices/dax0.0/mapping0/end",
                                "bus/dax/devices/dax0.0/size", "bus/dax/devices/dax0.0/target_node"]), NUMBERS)
def test_no_number_costs_memory_without_end(synthetic, name, text):
    path = synthetic / "sys" / name
    whole = path.read_text()
    path.write_text(text + "\n")
    try:
        assert facts.collect(Host(str(synthetic)), gather="blocks")["devices"]
    except TestbedError as exc:
        assert "\n" not in str(exc)
    finally:
        path.write_text(whole)


@pytest.fixture(name="synthetic")
def synthetic_machine(machine):
    return machine()[0]
