# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection's execution environment, as ansible-builder reads it."""
from __future__ import annotations

import os
import re
import subprocess
import sys

BUILDER = os.path.join(os.path.dirname(sys.executable), "ansible-builder")


def build(*arguments):
    done = subprocess.run([BUILDER, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_introspect_finds_what_the_collection_needs(collection):
    found = build("introspect", collection / ".venv/collections")
    assert "jmespath  # from collection memlab.testbed" in found and "openssh-client [platform:dpkg]" in found
    wanted = re.findall(r"^[a-z.-]+", (collection / "requirements.in").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(wanted) - {"ansible-core"} <= set(re.findall(r"'([a-z.-]+)", found))


def test_create_makes_a_build_context(collection, tmp_path):
    build("create", "-f", collection / "meta/execution-environment.yml", "-c", tmp_path)
    assert (tmp_path / "Containerfile").is_file() or (tmp_path / "Dockerfile").is_file()
    assert any("jmespath" in path.read_text(encoding="utf-8") for path in (tmp_path / "_build").rglob("*.txt"))
