# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pipeline as the Makefile runs it."""
from __future__ import annotations

import os
import subprocess
import sys


def test_a_cache_that_cannot_be(collection):
    environment = dict(os.environ, MEMLAB_CACHE="/dev/null/x", PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run([sys.executable, str(collection / "scripts/pipeline.py"), str(collection / "inventories/emulated")], env=environment,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "[ERROR]: the pipeline cannot use /dev/null/x (ENOTDIR)\n")
