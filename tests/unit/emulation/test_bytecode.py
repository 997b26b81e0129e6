# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a guest keeps of a module's archive, by interpreters of their own."""
from __future__ import annotations

import marshal
import pathlib
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import bytecode, guest_tree

LOOK = "import site, sys; site.addsitedir(sys.argv[1]); sys.path.insert(0, sys.argv[2]); import sent; print(sent.WORD, sent.call())"


@pytest.fixture(name="sent")
def run_what_was_sent(tmp_path):
    """A function that runs a source out of an archive, as a guest's interpreter would, and returns what it says and the files that are kept."""
    place, site = tmp_path / "kept", tmp_path / "site"
    site.mkdir()
    for name, text in guest_tree.overlay().items():
        if name in bytecode.FILES:
            (site / pathlib.Path(name).name).write_text(text.replace(bytecode.PLACE, str(place)), encoding="utf-8")

    def run(word, archive="module.zip"):
        with zipfile.ZipFile(tmp_path / archive, "w") as stream:
            stream.writestr("sent.py", "WORD = %r\ndef call():\n    return call.__code__.co_filename\n" % word)
        done = subprocess.run([sys.executable, "-c", LOOK, site, tmp_path / archive], stdout=subprocess.PIPE, text=True, check=True)
        said, path = done.stdout.split()
        assert path == str(tmp_path / archive / "sent.py")
        return said, sorted(place.iterdir()) if place.is_dir() else []

    run.place = place
    return run


def test_a_source_is_compiled_once(sent):
    word, (kept,) = sent("one")
    assert (word, sent.place.stat().st_mode & 0o777) == ("one", 0o700)
    kept.write_bytes(marshal.dumps(compile("WORD = 'kept'\ndef call():\n    return call.__code__.co_filename", "elsewhere.py", "exec")))
    assert sent("one", "another.zip") == ("kept", [kept])
    word, both = sent("two")
    assert (word, len(both)) == ("two", 2)


@pytest.mark.parametrize("left", [b"", bytes(4096), marshal.dumps(["no code"]), b"c" * 40])
def test_what_is_broken_is_made_anew(sent, left):
    word, (kept,) = sent("one")
    whole = kept.read_bytes()
    kept.write_bytes(left)
    assert sent("one") == ("one", [kept])
    assert kept.read_bytes() == whole


def test_without_a_place_nothing_is_kept(sent):
    sent.place.write_text("in the way", encoding="ascii")
    assert sent("one") == ("one", [])


def test_an_interpreter_that_has_no_such_function(monkeypatch):
    monkeypatch.delattr(bytecode.zipimport, "_compile_source")
    bytecode.keep()
    assert not hasattr(bytecode.zipimport, "_compile_source")
