# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patches on a small tree, by the real patch(1)."""
from __future__ import annotations

import os
import pathlib

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.patches import Patch, collect
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.tree import Tree

NUMBERS = "".join("%d\n" % number for number in range(1, 61))


def content(tree):
    """Path to (text, modification time) of all files of the tree."""
    top = pathlib.Path(tree.source)
    return {str(path.relative_to(top)): (path.read_text(encoding="ascii"), path.stat().st_mtime_ns) for path in top.rglob("*") if path.is_file()}


def age(tree):
    """Make all files old, so that one that is written shows."""
    for path in pathlib.Path(tree.source).rglob("*"):
        os.utime(path, (1000, 1000))


def test_from_one_set_to_another_only_what_differs_is_written(tree, difference):
    ten = Patch("ten", difference("mm/list", NUMBERS, NUMBERS.replace("10\n", "ten\n")))
    fresh = Patch("new", difference("mm/fresh", None, "x\n"))
    gone = Patch("gone", difference("mm/other", "one\n", None))
    before = content(tree)
    assert tree.apply(Host(), [ten, fresh]) == []
    assert "ten\n" in content(tree)["mm/list"][0] and content(tree)["mm/fresh"][0] == "x\n"
    age(tree)
    tree.apply(Host(), [ten, gone])
    after = content(tree)
    assert "mm/fresh" not in after and "mm/other" not in after
    assert [name for name, (text, when) in after.items() if when != 1000 * 10 ** 9] == []
    tree.apply(Host(), [])
    assert {name: text for name, (text, when) in content(tree).items()} == {name: text for name, (text, when) in before.items()}
    # what was patched and is as it came again is new to make(1)
    assert content(tree)["mm/list"][1] != 1000 * 10 ** 9 and content(tree)["Makefile"][1] == 1000 * 10 ** 9


def test_patches_build_on_each_other(tree, difference):
    first = NUMBERS.replace("10\n", "ten\n")
    tree.apply(Host(), [Patch("1", difference("mm/list", NUMBERS, first)), Patch("2", difference("mm/list", first, first.replace("ten\n", "TEN\n")))])
    assert "TEN\n" in content(tree)["mm/list"][0]


@pytest.mark.parametrize("wanted", ["old", "new", None])
def test_a_run_that_was_cut_off_is_made_good(tree, difference, monkeypatch, wanted):
    """Killed between two files that an earlier set of patches had touched, too."""
    sets = {word: [Patch(word, difference("mm/list", NUMBERS, NUMBERS.replace("10\n", word + "\n")) + difference("mm/other", "one\n", word + "\n"))]
            for word in ("old", "new")}
    sets[None] = []
    tree.apply(Host(), sets["old"])
    with monkeypatch.context() as killed:
        killed.setattr(os, "replace", until(os.replace, tree.source + "/mm/other"))
        with pytest.raises(KeyboardInterrupt):
            tree.apply(Host(), sets["new"])
    assert [content(tree)[name][0] for name in ("mm/list", "mm/other")] == [NUMBERS.replace("10\n", "new\n"), "old\n"]
    again = Tree(tree.directory)
    again.apply(Host(), sets[wanted])
    assert [content(again)[name][0] for name in ("mm/list", "mm/other")] == [NUMBERS.replace("10\n", (wanted or "10") + "\n"), (wanted or "one") + "\n"]


def until(replace, path):
    """``replace``, but the run ends before anything takes the place of ``path``."""
    def ending(source, target):
        if target == path:
            raise KeyboardInterrupt
        replace(source, target)
    return ending


def test_offset_is_remarked(tree, difference):
    moved = "zero\n" + NUMBERS
    patch = Patch("moved", difference("mm/list", moved, moved.replace("30\n", "thirty\n")))
    assert tree.apply(Host(), [patch]) == ["moved: mm/list: Hunk #1 succeeded at 27 (offset -1 lines)"]


def test_fuzz_is_forbidden_unless_allowed(tree, difference):
    fuzzy = NUMBERS.replace("33\n", "x\n")
    patch = Patch("fuzzy", difference("mm/list", fuzzy, fuzzy.replace("30\n", "thirty\n")))
    before = content(tree)
    with pytest.raises(TestbedError) as failure:
        tree.apply(Host(), [patch])
    assert str(failure.value).startswith("the patch fuzzy does not apply: mm/list, hunk 1, at line 27")
    assert "fuzz is forbidden" in str(failure.value) and "@@ -27,7 +27,7 @@" in str(failure.value)
    assert content(tree) == before
    assert "fuzz" in tree.apply(Host(), [patch], fuzz=2)[0]
    assert "thirty\n" in content(tree)["mm/list"][0]


def test_the_failing_patch_file_and_hunk_are_named_and_the_tree_stays(tree, difference):
    good = Patch("good", difference("mm/list", NUMBERS, NUMBERS.replace("10\n", "ten\n")))
    tree.apply(Host(), [good])
    before = content(tree)
    other = NUMBERS.replace("50\n", "fifty\n")
    bad = Patch("bad", difference("mm/other", "one\n", "two\n") + difference("mm/list", other, other.replace("5\n", "five\n").replace("fifty\n", "FIFTY\n")))
    with pytest.raises(TestbedError) as failure:
        tree.apply(Host(), [good, bad])
    assert "the patch bad does not apply: mm/list, hunk " in failure.value.summary
    assert content(tree) == before
    assert Tree(tree.directory).state["patches"][0]["name"] == "good"


@pytest.mark.parametrize("name, before, after, reason", [
    ("mm/absent", "one\n", "two\n", "mm/absent, hunk 1, the source has no such file"),
    ("mm/other", "two\n", "one\n", "mm/other, hunk 1 is in the source already"),
    ("mm/other", None, "x\n", "mm/other, hunk 1"),
])
def test_why_a_patch_does_not_apply(tree, difference, name, before, after, reason):
    with pytest.raises(TestbedError, match=reason):
        tree.apply(Host(), [Patch("bad", difference(name, before, after))])


def files(top):
    """Path to (text, may be executed) of all files below ``top`` but git's own."""
    return {str(path.relative_to(top)): (path.read_bytes(), os.access(path, os.X_OK)) for path in pathlib.Path(top).rglob("*")
            if path.is_file() and ".git" not in path.relative_to(top).parts}


def rename(top):
    (top / "mm/list").rename(top / "mm/moved")


def rename_and_edit(top):
    (top / "mm/list").rename(top / "mm/moved")
    (top / "mm/moved").write_text(NUMBERS.replace("10\n", "ten\n"), encoding="ascii")


CHANGES = {
    "new empty file": (lambda top: (top / "mm/void").touch(), []),
    "deleted empty file": (lambda top: (top / "mm/empty").unlink(), []),
    "deleted file": (lambda top: (top / "mm/other").unlink(), []),
    "emptied file": (lambda top: (top / "mm/other").write_bytes(b""), []),
    "no newline at the end": (lambda top: (top / "mm/other").write_bytes(b"two"), []),
    "lines that end with CR": (lambda top: (top / "mm/new").write_bytes(b"one\r\ntwo\n"), []),
    "mode": (lambda top: (top / "mm/other").chmod(0o755), []),
    "mode and edit": (lambda top: ((top / "mm/other").chmod(0o755), (top / "mm/other").write_bytes(b"two\n")), []),
    "mode beside an edit": (lambda top: ((top / "mm/other").chmod(0o755), (top / "mm/list").write_bytes(b"two\n")), []),
    "new executable": (lambda top: ((top / "mm/tool").write_bytes(b"x\n"), (top / "mm/tool").chmod(0o755)), []),
    "quoted names": (lambda top: ((top / 'mm/q"\\te').write_bytes(b"x\n"), (top / "mm/\u00e4\t").touch()), []),
    "name with blanks": (lambda top: (top / "mm/a b c").write_bytes(b"x\n"), []),
    "rename": (rename, ["-M"]),
    "rename to a quoted name": (lambda top: (top / "mm/list").rename(top / "mm/\u00e4"), ["-M"]),
    "rename and edit": (rename_and_edit, ["-M"]),
    "rename and mode": (lambda top: (rename(top), (top / "mm/moved").chmod(0o755)), ["-M"]),
    "rename without -M": (rename_and_edit, ["--no-renames"]),
    "copy": (lambda top: (top / "mm/copy").write_text(NUMBERS, encoding="ascii"), ["-C", "-C"]),
    "copy and edit": (lambda top: (top / "mm/copy").write_text(NUMBERS + "61\n", encoding="ascii"), ["-C", "-C"]),
}


@pytest.mark.parametrize("change, options", CHANGES.values(), ids=CHANGES)
def test_what_git_writes_is_applied_as_git_means_it(tmp_path, tree, repository, change, options):
    before = files(tree.source)
    change(repository.top)
    (tmp_path / "0001.patch").write_bytes(repository.patch("change", *options))
    tree.apply(Host(), collect([str(tmp_path / "0001.patch")], ""))
    assert files(tree.source) == files(repository.top) != before
    tree.apply(Host(), [])
    assert files(tree.source) == before


@pytest.mark.parametrize("change, options", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("strip, prefix", [(0, ["--no-prefix"]), (2, [])])
def test_other_leading_directories_are_stripped(tree, repository, change, options, strip, prefix):
    """None, and one more as from a repository that has the source in a directory."""
    if strip == 2:
        (repository.top / "linux").mkdir()
        repository.git("mv", "mm", "linux")
        repository.commit("moved")
        (repository.top / "mm").symlink_to("linux/mm")
        (repository.top / ".git/info/exclude").write_text("/mm\n", encoding="ascii")
    change(repository.top)
    tree.apply(Host(), [Patch("git", repository.patch("change", *options, *prefix), strip)])
    assert {name: each for name, each in files(tree.source).items() if name.startswith("mm/")} \
        == {"mm/" + name: each for name, each in files(repository.top / "mm").items()}


def test_two_files_change_places(tree):
    data = b"".join(b"diff --git a/mm/%s b/mm/%s\nsimilarity index 100%%\nrename from mm/%s\nrename to mm/%s\n" % (old, new, old, new)
                    for old, new in ((b"list", b"other"), (b"other", b"list")))
    tree.apply(Host(), [Patch("swap", data)])
    assert content(tree)["mm/list"][0] == "one\n" and content(tree)["mm/other"][0] == NUMBERS


@pytest.mark.parametrize("change, options, later, reason", [
    (rename, ["-M"], lambda top: (top / "mm/moved").write_bytes(b"mine\n"), "mm/moved, rename from mm/list: the file exists already"),
    (rename_and_edit, ["-M"], lambda top: (top / "mm/moved").write_bytes(b"mine\n"), "mm/moved, rename from mm/list: the file exists already"),
    (rename, ["-M"], lambda top: (top / "mm/list").unlink(), "mm/list, rename to mm/moved: the source has no such file"),
    (CHANGES["copy"][0], ["-C", "-C"], lambda top: (top / "mm/copy").touch(), "mm/copy, copy from mm/list: the file exists already"),
    (CHANGES["copy"][0], ["-C", "-C"], lambda top: (top / "mm/list").unlink(), "mm/list, copy to mm/copy: the source has no such file"),
    (CHANGES["deleted file"][0], [], lambda top: (top / "mm/other").write_bytes(b"one\ntwo\n"), "mm/other, hunk 1, the file holds more than what is deleted"),
    (CHANGES["deleted empty file"][0], [], lambda top: (top / "mm/empty").write_bytes(b"x\n"), "mm/empty, the file holds more than what is deleted"),
    (CHANGES["deleted empty file"][0], [], lambda top: (top / "mm/empty").unlink(), "mm/empty, the source has no such file"),
    (CHANGES["mode beside an edit"][0], [], lambda top: (top / "mm/other").unlink(), "mm/other, the source has no such file"),
    (CHANGES["new empty file"][0], [], lambda top: (top / "mm/void").write_bytes(b"x\n"), "mm/void, the file exists already"),
    (CHANGES["emptied file"][0], [], lambda top: (top / "mm/other").write_bytes(b""), "mm/other, hunk 1, the file is empty already"),
    (lambda top: ((top / "mm/d").mkdir(), (top / "mm/d/x").touch()), [], lambda top: (top / "mm/d").touch(), "mm/d/x, mm/d is no directory in the source"),
    (CHANGES["deleted file"][0], [], lambda top: ((top / "mm/other").unlink(), (top / "mm/other").symlink_to("list")), "mm/other, it is no file in the source"),
])
def test_why_what_git_writes_does_not_apply(tree, repository, change, options, later, reason):
    """:arg later: what happened to the source since the patch was made."""
    change(repository.top)
    patch = Patch("git", repository.patch("change", *options))
    later(pathlib.Path(tree.source))
    before = files(tree.source)
    with pytest.raises(TestbedError) as failure:
        tree.apply(Host(), [patch])
    assert failure.value.summary == "the patch git does not apply: " + reason
    assert files(tree.source) == before


def test_a_difference_that_a_message_quotes_is_not_applied(tree, repository):
    quoted = "Before:\n\n  --- a/mm/list\n  +++ b/mm/list\n  @@ -1,3 +1,3 @@\n  -1\n  +eins\n   2\n   3\n"
    rename_and_edit(repository.top)
    tree.apply(Host(), [Patch("git", repository.patch(quoted, "--no-renames"))])
    assert files(tree.source) == files(repository.top)


def test_what_patch_would_read_otherwise_is_refused(tree, difference):
    """A header of git that a plain difference of another file follows: patch(1) takes them for one."""
    data = b"diff --git a/mm/other b/mm/other\nold mode 100644\nnew mode 100755\n\n" \
        + difference("mm/list", NUMBERS, NUMBERS.replace("10\n", "ten\n")).partition(b"\n")[2]
    before = files(tree.source)
    with pytest.raises(TestbedError, match="the patch mixed was not applied as it reads: it changes mm/other, mm/list, patch.1. changed mm/list"):
        tree.apply(Host(), [Patch("mixed", data)])
    assert files(tree.source) == before
