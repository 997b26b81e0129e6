# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recorded hosts, and copies of them that a test may change."""
from __future__ import annotations

import pathlib
import shutil

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

TREES = pathlib.Path(__file__).parent / "trees"


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """``tree(name)``: (directory, Host) of a copy."""
    def copy(name):
        target = tmp_path / name
        shutil.copytree(TREES / name, target, symlinks=True)
        return target, Host(str(target))
    return copy
