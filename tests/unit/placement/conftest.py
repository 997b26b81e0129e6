# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machines to look at: synthetic ones, and captures of real ones."""
from __future__ import annotations

import pathlib
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.synthetic.machine import Device, Machine

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"


@pytest.fixture(name="machine")
def write_machine(tmp_path):
    """Writes a synthetic machine, by default one of two devices, one self-hosted, one in DRAM; returns its root and a host."""
    def write(boot=8, devices=(Device(32, 4, 1, "self", "Movable", 4), Device(64, 4, 2, "dram", "Movable", 4)), **options):
        root = tmp_path / "machine"
        root.mkdir()
        Machine(boot, devices, **options).write(str(root))
        return root, Host(str(root))
    return write


@pytest.fixture(name="captured", scope="session")
def unpack_captures(tmp_path_factory):
    """The host in a capture, by name."""
    done = {}

    def unpack(name):
        if name not in done:
            root = tmp_path_factory.mktemp(name)
            with tarfile.open(CAPTURES / (name + ".tgz")) as archive:
                # Its links lead about within the tree, as those of sysfs do. Pythons before 3.11.4 know no filters.
                archive.extraction_filter = getattr(tarfile, "tar_filter", None)
                archive.extractall(root)
            done[name] = Host(str(root))
        return done[name]
    return unpack
