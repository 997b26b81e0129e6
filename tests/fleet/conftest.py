# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Playbooks on simulated hosts."""
from __future__ import annotations

import pathlib

import pytest

from ansible_collections.memlab.testbed.tests.simulated.fleet import Fleet


@pytest.fixture(name="fleet")
def make_fleet(tmp_path):
    """A function that makes a :class:`Fleet`."""
    return lambda hosts=4, directory=".", **settings: Fleet(tmp_path / directory, hosts, **settings)


@pytest.fixture(scope="session")
def collection():
    """The checkout's top directory."""
    return pathlib.Path(__file__).parents[2]
