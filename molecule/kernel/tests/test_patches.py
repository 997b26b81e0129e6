# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each patch of the series by itself: it follows the kernel's style, and what it touches builds after it without a warning that was not there before."""
from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory

SERIES = pathlib.Path(__file__).parents[3] / "roles" / "kernel_build" / "files" / "series" / "dax-kmem-memmap-on-memory-6.1"
PATCHES = [SERIES / name for name in (SERIES / "series").read_text(encoding="utf-8").split()]
TOUCHED = ["drivers/dax/", "mm/memory_hotplug.o"]


def run(*argv, **kwargs):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def patched():
    """The source that the scenario's kernel was built from, with the whole series in it, and that kernel's configuration."""
    built = {path.stat().st_mtime: path.parent for path in (pathlib.Path(cache_directory()) / "kernels").glob("*/manifest.json")
             if json.loads(path.read_text(encoding="utf-8"))["release"].endswith("-memlab")}
    for state in (pathlib.Path(cache_directory()) / "kernel_build" / "bases").glob("*/state.json"):
        applied = json.loads(state.read_text(encoding="utf-8"))["patches"]
        if applied and [patch["name"] for patch in applied] == [path.name for path in PATCHES]:
            return state.parent / "source", built[max(built)] / "config"
    raise AssertionError("no source in the cache has the series")


@pytest.fixture(scope="module")
def tree(patched):
    """That source without the series, beside it: files are shared until patch replaces them."""
    source, config = patched
    place = source.parent.parent / ("test-patches-%d" % os.getpid())
    place.mkdir()
    try:
        run("cp", "-al", str(source), str(place / "source"))
        for path in reversed(PATCHES):
            run("patch", "--reverse", "--strip=1", "--fuzz=0", "--no-backup-if-mismatch", "--input", str(path), cwd=str(place / "source"))
        (place / "objects").mkdir()
        shutil.copy(str(config), str(place / "objects" / ".config"))
        yield place
    finally:
        shutil.rmtree(place)


def warnings(tree, *targets):
    """Compiler warnings, without their line numbers."""
    said = run("make", "-s", "-j2", "-C", str(tree / "source"), "O=" + str(tree / "objects"), "W=1", *targets)
    return {re.sub(r":\d+", "", line) for line in said.splitlines() if "warning:" in line}


def test_each_patch_builds_without_a_new_warning(tree):
    warnings(tree, "olddefconfig")
    before = warnings(tree, *TOUCHED)
    for path in PATCHES:
        run("patch", "--strip=1", "--fuzz=0", "--no-backup-if-mismatch", "--input", str(path), cwd=str(tree / "source"))
        assert warnings(tree, *TOUCHED) <= before, path.name


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.name[:4])
def test_the_kernels_own_checker_finds_nothing(patched, path):
    found = run("perl", str(patched[0] / "scripts" / "checkpatch.pl"), "--no-tree", "--strict", str(path))
    assert "total: 0 errors, 0 warnings, 0 checks" in found
