# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stands for get-pip.py where ansible-test looks for it: installs pip from the wheel that lies beside it."""
from __future__ import annotations

import os
import runpy
import sys

# Options of get-pip's own; pip does not know them. The versions to install come as arguments.
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
wheels = os.path.dirname(os.path.abspath(__file__))

sys.path.insert(0, os.path.join(wheels, "pip-24.2-py3-none-any.whl"))
sys.argv = ["pip", "install", "--no-index", "--find-links", wheels] + arguments
runpy.run_module("pip", run_name="__main__", alter_sys=True)
