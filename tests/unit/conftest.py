# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shared by all unit tests."""
from __future__ import annotations

import os
import pathlib

import pytest
from hypothesis import settings

# A slow or shared machine must not turn a right answer into a failure; CI draws the same examples every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def collection():
    """The checkout's top directory."""
    return pathlib.Path(__file__).parents[2]
