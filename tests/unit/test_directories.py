# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run leaves behind: found by the next one, and heard where it cannot be removed."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.tree import Tree
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import shards
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal


def test_what_is_there_goes_and_what_is_not_is_gone(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    directories.remove(str(tmp_path / "a"))
    directories.remove(str(tmp_path / "a"))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_named(tmp_path):
    (tmp_path / "a").write_text("a file where a directory is to be", encoding="ascii")
    with pytest.raises(TestbedError, match=r"^cannot remove .*/a \(ENOTDIR\): remove .*/a, and run again$"):
        directories.remove(str(tmp_path / "a"))


def test_the_next_run_removes_what_a_killed_one_has_left(tmp_path):
    script = "import os, sys\nfrom ansible_collections.memlab.testbed.plugins.module_utils import directories\n" \
             "with directories.fresh(sys.argv[1]) as work:\n    open(work + '/half', 'w').close()\n    os.kill(os.getpid(), 9)\n"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "work")], env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)), check=False)
    assert os.listdir(tmp_path / "work") == ["half"]
    with directories.fresh(str(tmp_path / "work")) as work:
        assert os.listdir(work) == []
    assert os.listdir(tmp_path) == []


def test_a_failure_stays_what_it_is_and_says_what_is_left(tmp_path):
    work = tmp_path / "work"
    with pytest.raises(TestbedError) as caught, directories.fresh(str(work)):
        work.rmdir()
        work.write_text("", encoding="ascii")
        raise TestbedError("the build failed")
    assert (caught.value.summary, caught.value.details) == ("the build failed", ["cannot remove %s (ENOTDIR)" % work])


class Source:
    """A source that is cut off, as by a full disk, or whole."""

    name = "small"

    def __init__(self, whole):
        self.whole = whole

    def unpack(self, host, directory):
        os.mkdir(os.path.join(directory, "scripts"))
        for name in ("Makefile", "Kconfig", "scripts/Kbuild.include")[:3 if self.whole else 1]:
            with open(os.path.join(directory, name), "w", encoding="ascii") as stream:
                stream.write("\n")


def test_a_source_that_was_half_removed_or_half_unpacked_is_never_taken_for_whole(tmp_path):
    for name in ("source/scripts", "originals", "source.new/source"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "stale.c").write_text("", encoding="ascii")
    with pytest.raises(TestbedError, match="small holds no kernel source"):
        Tree(str(tmp_path)).unpack(Host(), Source(whole=False))
    assert os.listdir(tmp_path) == ["originals"] and os.listdir(tmp_path / "originals") == []
    tree = Tree(str(tmp_path))
    tree.unpack(Host(), Source(whole=True))
    assert sorted(os.listdir(tree.source)) == ["Kconfig", "Makefile", "scripts"] and not (tmp_path / "source.new").exists()


def test_what_an_earlier_worker_sent_is_not_this_one_s(tmp_path):
    place = tmp_path / "shards/1-1-0"
    (place / "result/artifacts/x/job_events").mkdir(parents=True)
    shards.prepare(str(place), ["a"], {"a": {}}, Journal(str(tmp_path)), {}, {})
    assert os.listdir(place) == ["data"]
    directories.remove(str(place))
    place.write_text("", encoding="ascii")
    with pytest.raises(TestbedError, match=r"cannot remove .*1-1-0 \(ENOTDIR\)"):
        shards.prepare(str(place), ["a"], {"a": {}}, Journal(str(tmp_path)), {}, {})
    place.unlink()
    place.parent.rmdir()
    place.parent.write_text("", encoding="ascii")
    with pytest.raises(TestbedError, match=r"cannot (remove|write a shard's directory) .*1-1-0 \(ENOTDIR\)"):
        shards.prepare(str(place), ["a"], {"a": {}}, Journal(str(tmp_path)), {}, {})
