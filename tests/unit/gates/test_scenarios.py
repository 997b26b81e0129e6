# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What belongs together in two scenarios is the same in both."""
from __future__ import annotations

import yaml


def guests(collection, scenario):
    testbed = yaml.safe_load((collection / "molecule" / scenario / "testbed.qemu.yml").read_text(encoding="utf-8"))
    return testbed["testbed"], testbed["guests"]


def test_the_next_kernel_gets_the_same_devices(collection):
    name, known = guests(collection, "devices")
    other, following = guests(collection, "devices_next")
    assert name != other
    assert {guest: entry.pop("image") for guest, entry in known.items()} == dict.fromkeys(known, {"suite": "trixie"})
    assert {guest: entry.pop("image") for guest, entry in following.items()} == dict.fromkeys(known, {"suite": "trixie", "backports_kernel": True})
    assert known == following


def test_testbeds_have_names_of_their_own(collection):
    names = [guests(collection, path.parent.name)[0] for path in (collection / "molecule").glob("*/testbed.qemu.yml")]
    names.append(yaml.safe_load((collection / "inventories/emulated/testbed.qemu.yml").read_text(encoding="utf-8"))["testbed"])
    assert len(set(names)) == len(names)


def test_each_starts_its_own_guests_and_removes_them(collection):
    """One scenario with ``shared_state`` makes molecule skip all others' create, and their guests are not there."""
    files = [collection / ".config/molecule/config.yml", *(collection / "molecule").glob("*/molecule.yml")]
    for path in files:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert not found.get("shared_state"), path
        sequence = found["scenario"].get("test_sequence")
        assert sequence is None or sequence[:2] == ["destroy", "create"] and sequence[-1] == "destroy", path
