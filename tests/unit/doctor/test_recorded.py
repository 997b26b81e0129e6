# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the doctor finds in each recorded machine: all of it, so that a false alarm shows as well as a finding that is gone.

What had been done to the machines stands in tests/unit/captures/README.md.
"""
from __future__ import annotations

import pathlib
import re
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.doctor.diagnose import catalogue

UNIT = pathlib.Path(__file__).resolve().parents[1]

EXPECTED = {
    "device-6.12": [
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "slow"),
        ("notice", "size_lost", "8a54d998-a662-41e2-a487-b4f202e0a203")],
    "dimm-6.1": [
        ("problem", "no_ram_regions", "0x2, 0x1"),
        ("notice", "nvdimm_misaligned", "0x1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "dram-6.12": [
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "slow"),
        ("notice", "size_lost", "8a54d998-a662-41e2-a487-b4f202e0a203")],
    "half_made-6.12": [
        ("problem", "region_half_made", "0x110000000"),
        ("notice", "decoder_left_over", "0x1"),
        ("notice", "decoder_left_over", "0x2"),
        ("notice", "auto_online_policy", "memory policy")],
    "hvo-7.3": [
        ("notice", "nvdimm_misaligned", "0x1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "hypervisor-6.12": [
        ("problem", "hypervisor_bit", "0x1"),
        ("notice", "decoder_left_over", "0x1"),
        ("notice", "auto_online_policy", "memory policy")],
    "lockdown-7.3": [
        ("notice", "nvdimm_misaligned", "0x1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "mixed-6.12": [
        ("notice", "cannot_go_offline", "0x1")],
    "mixed-7.3": [
        ("notice", "nvdimm_misaligned", "0x1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "nowindow-6.12": [
        ("problem", "no_window", "memory windows"),
        ("problem", "soft_reserved_without_dax", "0x20000000"),
        ("problem", "no_target_node", "0310c94a-304d-4f16-801c-873e876acff5"),
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "0310c94a-304d-4f16-801c-873e876acff5")],
    "nvdimm-6.1": [
        ("problem", "no_ram_regions", "0x2, 0x1"),
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "fd0cdfa0-4611-45db-8e25-69bfaa136af1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "nvdimm-6.12": [
        ("notice", "size_lost", "slow"),
        ("notice", "size_lost", "8a54d998-a662-41e2-a487-b4f202e0a203")],
    "offline-6.12": [
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "slow"),
        ("notice", "size_lost", "8a54d998-a662-41e2-a487-b4f202e0a203")],
    "pinned-6.12": [
        ("problem", "no_whole_block", "tiny"),
        ("problem", "memmap_not_in_dram", "0x2"),
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "cannot_go_offline", "0x1"),
        ("notice", "cannot_go_offline", "8b06621c-cfee-47da-891d-b86e5ef39af0"),
        ("notice", "size_lost", "8b06621c-cfee-47da-891d-b86e5ef39af0"),
        ("notice", "size_lost", "tiny")],
    "same_node-6.12": [
        ("problem", "memmap_not_in_dram", "0x1"),
        ("notice", "cannot_go_offline", "0x1"),
        ("notice", "cannot_go_offline", "0x1"),
        ("notice", "size_lost", "slow"),
        ("notice", "size_lost", "8a54d998-a662-41e2-a487-b4f202e0a203")],
    "poor-6.12": [
        ("problem", "soft_reserve_off", "kernel"),
        ("problem", "module_missing", "kernel"),
        ("problem", "region_without_dax", "0000:0d:00.0"),
        ("problem", "not_enough_dram", "big"),
        ("notice", "serials_not_unique", "0000:0d:00.0, 0000:0e:00.0"),
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "size_lost", "big")],
    "ram_window-6.12": [
        ("problem", "no_fitting_window", "0x1"),
        ("problem", "window_is_system_ram", "0x100000000"),
        ("notice", "auto_online_policy", "memory policy")],
    "rt-6.1": [
        ("problem", "option_missing", "kernel"),
        ("problem", "option_missing", "kernel"),
        ("problem", "option_missing", "kernel")],
    "rich-6.12": [
        ("notice", "auto_online_policy", "memory policy")],
    "unsupported-6.12": [
        ("problem", "knob_ignored", "0x1"),
        ("problem", "knob_ignored", "0x2"),
        ("notice", "auto_online_policy", "memory policy"),
        ("notice", "cannot_go_offline", "0x1"),
        ("notice", "cannot_go_offline", "0x2"),
        ("notice", "nvdimm_misaligned", "0x1"),
        ("notice", "nvdimm_misaligned", "0x2")],
    "wrong_order-6.12": [
        ("notice", "decoder_left_over", "0x1"),
        ("notice", "decoder_left_over", "0x2"),
        ("notice", "auto_online_policy", "memory policy")],
    "bound": [
        ("notice", "auto_online_policy", "memory policy")],
    "bridges": [
        ("notice", "auto_online_policy", "memory policy")],
    "fresh": [
        ("notice", "auto_online_policy", "memory policy")],
    "mixed": [
        ("notice", "size_lost", "ram")],
}

HEALTHY = ("device-6.12", "dram-6.12", "offline-6.12", "mixed-6.12", "mixed-7.3", "hvo-7.3", "lockdown-7.3", "nvdimm-6.12", "rich-6.12", "fresh", "bound")


def test_no_recorded_machine_is_left_out():
    assert set(EXPECTED) == {path.stem for directory in ("captures", "devices/trees") for path in (UNIT / directory).glob("*.tgz")}


def test_what_was_done_to_each_capture_is_written_down():
    rows = re.findall("^[|] `(.*?)` [|]", (UNIT / "captures/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in (UNIT / "captures").glob("*.tgz"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_findings(recorded, name):
    answer = recorded(name).ask()

    def subject(entry):
        return ", ".join(str(part) for value in entry["subject"].values() for part in (value if isinstance(value, list) else [value]))
    found = [(entry["severity"], entry["finding"], subject(entry)) for entry in answer["findings"]]
    assert found == EXPECTED[name]
    assert answer["problems"] == len([entry for entry in found if entry[0] == "problem"])


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_machine_has_no_problem(recorded, name):
    assert recorded(name).ask()["problems"] == 0


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_finding_has_evidence_and_a_remedy_and_is_in_the_catalogue(recorded, name):
    known = [row[0] for row in catalogue()]
    for entry in recorded(name).ask()["findings"]:
        assert entry["finding"] in known and "\n" not in entry["message"] and entry["remedy"]
        assert len(entry["subject"]) == 1 and all(entry["subject"].values())
        assert entry["evidence"] and all(item["file"].startswith("/") for item in entry["evidence"]), entry


@pytest.mark.parametrize("name", [name for name in sorted(EXPECTED) if "-" in name])
def test_a_capture_has_no_kernel_virtual_address_and_no_secret(name):
    with tarfile.open(UNIT / "captures" / (name + ".tgz")) as archive:
        for member in archive:
            text = archive.extractfile(member).read().decode("utf-8", "replace") if member.isfile() else ""
            # Unset attributes of CXL read as all ones.
            assert set(re.findall(r"\bff[0-9a-f]{14}\b", text.replace("0x", " "))) <= {"f" * 16}, member.name
            assert "Kernel code" not in text and "root=" not in text, member.name


def test_what_was_not_recorded_is_said(recorded):
    unseen = [entry["file"] for entry in recorded("device-6.12").ask()["unseen"]]
    assert unseen == ["/boot/config-6.12.117+deb13-amd64", "/lib/modules/6.12.117+deb13-amd64/modules.dep", "/proc/cpuinfo"]
    assert recorded("pinned-6.12").ask()["unseen"] == []


def test_the_documentation_lists_each_finding(collection):
    rows = ["| `%s` | %s | %s | %s |" % row for row in catalogue()]
    assert [line for line in (collection / "docs/doctor.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")] == rows
