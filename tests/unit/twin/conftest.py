# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Captures of guests, hosts written from testbed files, and the twin of either."""
from __future__ import annotations

import pathlib

import pytest
import yaml

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.twin import make
from ansible_collections.memlab.testbed.tests.synthetic import topology

CAPTURES = pathlib.Path(__file__).resolve().parents[1] / "captures"
G = 1 << 30


@pytest.fixture(name="host_of")
def write_host(tmp_path):
    """Writes the tree of a host that is made of a testbed file's keys; returns its directory."""
    def write(guest, name="host", **options):
        text = yaml.safe_dump({"plugin": "memlab.testbed.qemu", "testbed": "t", "guests": {"host": guest}})
        topology.write(tmp_path / name, testbed_file.parse(text, "t.qemu.yml").guests["host"], **options)
        return tmp_path / name
    return write


@pytest.fixture(name="twin_of")
def make_twin(tmp_path):
    """``(guest of the twin's testbed file, what testbed_twin answers, the text)`` of a capture."""
    def make_it(capture, name="host", capacity=4 * G, memory=2 * G, cpus=2, image=None, strict=False, **host):
        path = str(tmp_path / "twins.qemu.yml")
        text, answers = make.make(path, "twins", [dict(host, name=name, capture=str(capture))], capacity, memory, cpus, image or {}, strict)
        return testbed_file.parse(text, path).guests[answers[0]["guest"]], answers[0], text
    return make_it
