# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scenarios do not get in each other's way."""
from __future__ import annotations

import yaml


def test_testbeds_have_names_of_their_own(collection):
    files = [*(collection / "molecule").glob("*/testbed.qemu.yml"), collection / "inventories/emulated/testbed.qemu.yml"]
    names = [yaml.safe_load(path.read_text(encoding="utf-8"))["testbed"] for path in files]
    assert len(set(names)) == len(names)


def test_each_starts_its_own_guests_and_removes_them(collection):
    """One scenario with ``shared_state`` makes molecule skip all others' create, and their guests are not there."""
    files = [collection / ".config/molecule/config.yml", *(collection / "molecule").glob("*/molecule.yml")]
    for path in files:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert not found.get("shared_state"), path
        sequence = found["scenario"].get("test_sequence")
        assert sequence is None or sequence[:2] == ["destroy", "create"] and sequence[-1] == "destroy", path
