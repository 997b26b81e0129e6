# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guests that cannot start, do not come up, or are interrupted: a message, and no QEMU and no disk left."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys

import pytest

from conftest import interrupt


def test_a_guest_that_dies_while_it_boots(lab):
    bed = lab("molecule-dies", kernel_parameters=["root=/dev/nonexistent"])
    bed.up().refusal("guest small died while it was booting", "serial: ", "root file system")
    assert (bed.processes(), bed.files()) == ([], [])
