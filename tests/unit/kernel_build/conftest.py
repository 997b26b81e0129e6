# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small source tree, and patches made by diff(1)."""
from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.tree import Tree


class SmallSource:
    """As :class:`source.Source`: a tree of a few files."""

    name = "small"
    numbers = "".join("%d\n" % number for number in range(1, 61))

    def unpack(self, host, directory):
        top = pathlib.Path(directory)
        for name, text in {"Makefile": "all:\n", "Kconfig": "config A\n", "scripts/Kbuild.include": "", "mm/list": self.numbers, "mm/other": "one\n",
                           "mm/empty": ""}.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(text, encoding="ascii")


@pytest.fixture
def tree(tmp_path):
    made = Tree(str(tmp_path / "base"))
    made.unpack(Host(), SmallSource())
    return made


@pytest.fixture
def repository(tmp_path):
    """A git repository of the small source, with its ``top`` and a function ``git``."""
    made = Repository(tmp_path / "repository")
    made.top.mkdir()
    SmallSource().unpack(Host(), made.top)
    made.git("init", "--quiet")
    made.commit("base")
    return made


class Repository(object):
    """See the fixture of that name."""

    def __init__(self, top):
        self.top = top

    def git(self, *arguments):
        who = {"GIT_%s_%s" % (role, what): "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return subprocess.run(["git", *arguments], cwd=self.top, env=dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", **who),
                              stdout=subprocess.PIPE, check=True).stdout

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def patch(self, message, *options):
        """What git format-patch makes of the changes in the work tree."""
        self.commit(message)
        return self.git("format-patch", "-1", "--stdout", *options)


@pytest.fixture
def difference(tmp_path):
    """A function that returns the bytes of a patch of one file, from its text before (``None``: none) to its text after."""
    def make(name, before, after):
        for side, text in (("a", before), ("b", after)):
            path = tmp_path / "diff" / side / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text, encoding="ascii")
        done = subprocess.run(["diff", "-urN", "a", "b"], cwd=tmp_path / "diff", stdout=subprocess.PIPE, check=False)
        assert done.returncode == 1
        for side in ("a", "b"):
            (tmp_path / "diff" / side / name).unlink(missing_ok=True)
        return done.stdout

    return make
