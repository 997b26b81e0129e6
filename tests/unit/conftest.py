# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shared by all unit tests."""
from __future__ import annotations

import os
import pathlib

import pytest
from hypothesis import settings

# A slow or shared machine must not turn a right answer into a failure, nor chance a change that has nothing to do with it:
# everybody gets the same examples, and `make explore` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("EXPLORE") else "same")


@pytest.fixture(scope="session")
def collection():
    """The checkout's top directory."""
    return pathlib.Path(__file__).parents[2]
