# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What apt and os-release say about a controller."""
from __future__ import annotations

import os
import shlex

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from hypothesis import given
from hypothesis import strategies as st

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./", min_size=1, max_size=12)
WORDS = st.lists(WORD, min_size=1, max_size=3)
URI = WORD.map("mirror:/".__add__)
KEY = st.one_of(st.none(), WORD.map("/".__add__))


@pytest.fixture(name="machine")
def fixture_machine(tmp_path):
    """``machine({path: text})``: a recorded tree with those files."""
    def make(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Host(str(tmp_path))
    return make


def test_release():
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n'
    assert tools.debian_release(text) == "bookworm"
    assert tools.debian_release(text.replace("ID=debian", "ID='debian'\n# a comment's \" quotation")) == "bookworm"
    assert tools.debian_release(text.replace("ID=debian", "ID=ubuntu\nID_LIKE=debian")) is None
    assert tools.debian_release("ID=debian\n") is None
    assert tools.debian_release("") is None


@given(st.dictionaries(st.sampled_from(["ID", "VERSION_CODENAME", "NAME", "HOME_URL"]), st.text(max_size=20).filter(lambda text: len(text.splitlines()) < 2)))
def test_release_reads_what_a_shell_would(values):
    text = "".join("%s=%s\n" % (name, shlex.quote(value.rstrip("\n"))) for name, value in values.items() if "\r" not in value)
    if values.get("ID") == "debian":
        assert tools.debian_release(text) == values.get("VERSION_CODENAME")
    else:
        assert tools.debian_release(text) is None


@given(st.text())
def test_any_text_is_read(text):
    tools.debian_release(text)
    list(tools._deb822_entries(text))
    list(tools._one_line_entries(text))


@given(st.lists(st.tuples(URI, WORD, st.lists(WORD, max_size=3), KEY), max_size=4))
def test_one_line_entries(entries):
    lines = []
    for number, (uri, suite, components, key) in enumerate(entries):
        options = "" if key is None else "[ arch=amd64 signed-by=%s ] " % key if number % 2 else "[signed-by=%s] " % key
        lines += ["deb %s%s %s %s # as it came" % (options, uri, suite, " ".join(components))]
        lines += [start + " %s %s main" % (uri, suite) for start in ("deb-src", "# deb")]
    assert list(tools._one_line_entries("\n".join(lines))) == [
        (uri, [suite], components, {} if key is None else {"Signed-By": key}) for uri, suite, components, key in entries]


@given(st.lists(st.tuples(URI, WORDS, WORDS, KEY), max_size=4),
       st.sampled_from(["\n", "\n \t\n", "\n\n# a comment\n\n"]), st.sampled_from([" ", "\n ", "\n\t"]))
def test_deb822_entries(entries, between, fold):
    stanzas = []
    for uri, suites, components, key in entries:
        fields = ["Types: deb deb-src", "URIs: " + uri, "# a comment", "suites: " + fold.join(suites), "Components:" + fold + fold.join(components)]
        stanzas.append("\n".join(fields + ([] if key is None else ["Signed-By: " + key])) + "\n")
        stanzas.append("Types: deb-src\nURIs: %s\nSuites: x\n" % uri)
        stanzas.append("Types: deb\nEnabled: no\nURIs: %s\nSuites: x\n" % uri)
    assert list(tools._deb822_entries(between.join(stanzas))) == [
        (uri, suites, components, {} if key is None else {"Signed-By": key}) for uri, suites, components, key in entries]


def test_a_key_in_the_stanza_goes_along(machine):
    block = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY\n -----END PGP PUBLIC KEY BLOCK-----"
    host = machine({"etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: mirror:/debian\nSuites: bookworm\nComponents: main\nSigned-By:%s\n" % block})
    assert tools.backports_source(host, "bookworm") == (
        "Types: deb\nURIs: mirror:/debian\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n" % block)


def test_backports_on_the_mirror_in_use(machine):
    host = machine({
        "etc/apt/sources.list": "# see sources.list.d\n",
        "etc/apt/sources.list.d/a-vendor.list": "deb mirror:/vendor/apt bookworm main\ndeb mirror:/vendor/docker bookworm stable\n",
        "etc/apt/sources.list.d/debian.sources":
            "Types: deb\nURIs: mirror:/local\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: %s\n\n"
            "Types: deb\nURIs: mirror:/security\nSuites: bookworm-security\nComponents: main\n" % KEYRING,
        "etc/apt/sources.list.d/notes.txt": "deb mirror:/notes bookworm-backports main\n",
    })
    assert tools.backports_source(host, "bookworm") == (
        "Types: deb\nURIs: mirror:/local\nSuites: bookworm-backports\nComponents: main\nSigned-By: %s\n" % KEYRING)


@pytest.mark.parametrize("lines, mirror", [
    (["mirror:/vendor bookworm main", "mirror:/x/debian/ bookworm main"], "mirror:/x/debian/"),
    (["mirror:/vendor bookworm main", "mirror:/x bookworm main contrib", "mirror:/x bookworm-updates main"], "mirror:/x"),
    (["mirror:/one bookworm main", "mirror:/two bookworm main"], "mirror:/one"),
])
def test_which_mirror_is_debian_s(machine, lines, mirror):
    host = machine({"etc/apt/sources.list": "".join("deb %s\n" % line for line in lines)})
    assert "URIs: %s\n" % mirror in tools.backports_source(host, "bookworm")


def test_backports_that_are_there_are_not_added(machine):
    assert tools.backports_source(machine({"etc/apt/sources.list": "deb mirror:/d bookworm main\ndeb mirror:/d bookworm-backports main\n"}), "bookworm") is None


def test_no_source_at_all(machine):
    with pytest.raises(TestbedError, match="apt has no source for bookworm.*: add the suite bookworm-backports"):
        tools.backports_source(machine({"etc/apt/sources.list": "deb mirror:/d bookworm contrib\n"}), "bookworm")


def test_qemu_version():
    assert tools.qemu_version("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright") == (10, 0, 2)
    assert tools.qemu_version("QEMU emulator version 8.2") == (8, 2, 0)
    with pytest.raises(TestbedError, match="does not say its version"):
        tools.qemu_version("hello")


def test_this_controller():
    found = tools.survey(Host())
    assert found["missing"] == {}
    assert tuple(int(part) for part in found["qemu_version"].split(".")) >= tools.QEMU_LEAST
    assert (found["qemu_too_old"], found["backports"], found["backports_source"]) == (False, False, None)


def test_a_tool_that_is_missing():
    found = tools.survey(Host(), {"memlab-no-such-tool": "some-package", "sh": "dash"})
    assert found["missing"] == {"memlab-no-such-tool": "some-package"}


def test_who_does_not_need_qemu_need_not_have_a_new_one(tmp_path, monkeypatch):
    old = tmp_path / "qemu-system-x86_64"
    old.write_text("#!/bin/sh\necho QEMU emulator version 7.2.11\n", encoding="ascii")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
    found = tools.survey(Host(), {"sh": "dash"})
    assert (found["missing"], found["qemu_version"], found["qemu_too_old"]) == ({}, None, False)


def test_a_qemu_that_is_too_old_is_missing(tmp_path, monkeypatch):
    old = tmp_path / "qemu-system-x86_64"
    old.write_text("#!/bin/sh\necho QEMU emulator version 7.2.11\n", encoding="ascii")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path, os.environ["PATH"]))
    found = tools.survey(Host())
    assert found["qemu_too_old"]
    assert found["qemu_version"] == "7.2.11"
    assert found["missing"] == {"qemu-system-x86_64": "qemu-system-x86", "qemu-img": "qemu-utils"}
