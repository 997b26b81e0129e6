# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys, sources, progress, and what is refused before there is a source."""
from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import subprocess
import tarfile
import threading

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import artifact, build, estimate, needs, running, source
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.progress import Progress, sentence

PATCH = base64.b64encode(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n").decode("ascii")
VERSIONS = {"gcc": "gcc 12", "ld": "ld 2.40"}


def request(**changes):
    return build.Request(dict({"source": {}, "patches": [{"name": "p", "content": PATCH, "strip": 1}], "fuzz": 0, "base": {"name": "allnoconfig"},
                               "fragments": [{"name": "f", "content": "CONFIG_A=y"}], "localversion": None, "compiler": "gcc", "jobs": None, "ccache": True,
                               "distcc": []}, **changes))


def key(asked, versions=None, digest="0" * 64):
    found = source.Source("x", "sha256:" + digest, {"kind": "tarball", "sha256": digest}, None)
    return asked.key(found, versions or VERSIONS)


def test_the_key_is_the_inputs_and_nothing_else():
    assert key(request()) == key(request()) == key(request(jobs=7, ccache=False, distcc=["h"]))
    others = [request(patches=[]), request(fuzz=1), request(base={"name": "defconfig"}), request(base={"name": "allnoconfig", "content": "CONFIG_B=y"}),
              request(fragments=[]), request(fragments=[{"name": "f", "content": "CONFIG_A=m"}]), request(localversion="-x"), request(compiler="gcc-12")]
    keys = [key(request())] + [key(other) for other in others] + [key(request(), {"gcc": "gcc 13", "ld": "ld 2.40"}), key(request(), digest="1" * 64)]
    # the compiler counts by what it says of itself
    assert len(set(keys)) == len(keys) - 1 and key(request(compiler="gcc-12")) == key(request())


def test_names_and_places_are_not_in_the_key():
    """They are in the manifest, for people."""
    here, there = (source.Source(name, "sha256:" + "0" * 64, {"kind": "tarball", "from": name, "sha256": "0" * 64}, None)
                   for name in ("/a/x.tar", "https://b/y.tar"))
    assert request().key(here, VERSIONS) == request().key(there, VERSIONS) and request().inputs(here, VERSIONS) != request().inputs(there, VERSIONS)
    named = request(patches=[{"name": "q", "content": PATCH, "strip": 1}], fragments=[{"name": "g", "content": "CONFIG_A=y"}])
    assert named.key(here, VERSIONS) == request().key(here, VERSIONS) and named.inputs(here, VERSIONS)["patches"][0]["name"] == "q"
    bases = [request(base={"name": name, "content": "CONFIG_A=y"}).key(here, VERSIONS) for name in ("mine.config", "theirs.config", "host")]
    assert len(set(bases)) == 1


@pytest.mark.parametrize("wanted, shown", [
    ({"tarball": "https://me:se@cret@host/x.tar", "digest": "0" * 64}, "https://host/x.tar"),
    ({"tarball": "file:///a@b/x.tar", "digest": "0" * 64}, "file:///a@b/x.tar"),
    ({"repository": "https://secret@host/x.git", "commit": "0" * 40}, "https://host/x.git"),
    ({"repository": "git@host:x.git", "commit": "0" * 40}, "git@host:x.git"),
])
def test_a_password_is_not_in_the_manifest(tmp_path, wanted, shown):
    found = source.resolve(Host(), wanted, str(tmp_path))
    assert found.entry.get("from", found.entry.get("repository")) == shown and shown in found.name and "cret" not in found.name


def test_a_password_is_not_in_an_error(tmp_path):
    (tmp_path / "out").mkdir()
    wanted = {"repository": "file://me:secret@" + str(tmp_path / "none"), "commit": "0" * 40}
    with pytest.raises(TestbedError) as failure:
        source.resolve(Host(), wanted, str(tmp_path)).unpack(Host(), str(tmp_path / "out"))
    assert "cannot get commit" in str(failure.value) and "secret" not in str(failure.value)


@pytest.mark.parametrize("values, same", [
    ({}, True), ({"MODULE_SIG": "y"}, False), ({"MODULE_SIG": "y", "MODULE_SIG_KEY": '"mine.pem"'}, True), ({"RANDSTRUCT": "y"}, False),
    ({"GCC_PLUGIN_RANDSTRUCT": "y"}, False), ({"RANDSTRUCT_NONE": "y"}, True), ({"GCC_PLUGIN_LATENT_ENTROPY": "y"}, False),
])
def test_what_a_build_draws_by_lot_is_not_reproducible(values, same):
    assert build._reproducible(values) is same


def test_loaded_modules_count_where_they_are_asked_for():
    def asked(name, modules):
        return key(request(base={"name": name, "content": "CONFIG_A=y", "modules": modules}))

    assert asked("host", "dax\n") == asked("host", "dax\nkmem\n") and asked("localmodconfig", "dax\n") != asked("localmodconfig", "dax\nkmem\n")
    assert asked("localmodconfig", "")


def test_a_changed_fragment_keeps_the_objects():
    assert request().objects_name() == request(fragments=[{"name": "f", "content": "CONFIG_Z=y"}]).objects_name() != request(fragments=[]).objects_name()


@pytest.mark.parametrize("changes, reason", [
    ({"base": {"name": "allyes"}}, "'allyes' is no base of a configuration: one of allnoconfig"),
    ({"base": {"name": "localmodconfig"}}, "localmodconfig needs a host's configuration"),
    ({"base": {"name": "mine", "content": "what"}}, "mine, line 1: 'what' is no line"),
    ({"fuzz": 4}, "0 to 3, not 4"), ({"localversion": "-X y"}, "is no local version"), ({"compiler": "/bin/sh -c"}, "is no compiler"),
    ({"fragments": [{"name": "f", "content": "A"}]}, "f, line 1"),
    ({"patches": [{"name": "p", "content": "%%%", "strip": 1}]}, "patch p is not base64"),
    ({"patches": [{"name": "p", "content": base64.b64encode(b"hi").decode("ascii"), "strip": 1}]}, "p holds no difference"),
])
def test_refused_without_a_source(changes, reason):
    with pytest.raises(TestbedError, match=reason):
        request(**changes)


@pytest.mark.parametrize("wanted, reason", [
    ({}, "not none of them"), ({"package": "linux-source-6.1", "tarball": "/x"}, "not package and tarball"),
    ({"package": "bash"}, "'bash' is not the name of a package"), ({"package": "linux-source-6.1", "suite": "a b"}, "is not the name of a Debian suite"),
    ({"tarball": "/x"}, "has no digest"), ({"tarball": "/x", "digest": "12"}, "'12' is no SHA-256 digest"),
    ({"tarball": "/nonexistent.tar", "digest": "0" * 64}, "there is no tarball /nonexistent.tar"),
    ({"repository": "/x"}, "is no commit's full hash"), ({"repository": "/x", "commit": "v6.1"}, "'v6.1' is no commit's full hash"),
    ({"repository": "--upload-pack=x", "commit": "0" * 40}, "is no repository"),
])
def test_a_source_that_cannot_be(tmp_path, wanted, reason):
    with pytest.raises(TestbedError, match=reason):
        source.resolve(Host(), wanted, str(tmp_path))


@pytest.fixture
def tarball(tmp_path):
    (tmp_path / "linux-1").mkdir()
    (tmp_path / "linux-1/Makefile").write_text("all:\n", encoding="ascii")
    path = tmp_path / "linux-1.tar.gz"
    with tarfile.open(path, "w:gz") as stream:
        stream.add(tmp_path / "linux-1", "linux-1")
    return path


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_tarball_is_checked_before_it_is_unpacked(tmp_path, tarball, prefix):
    out, kept = tmp_path / "out", tmp_path / "kept"
    out.mkdir()
    kept.mkdir()
    right = hashlib.sha256(tarball.read_bytes()).hexdigest()
    with pytest.raises(TestbedError, match="its SHA-256 digest is %s, not 0000" % right):
        source.resolve(Host(), {"tarball": prefix + str(tarball), "digest": "0" * 64}, str(kept)).unpack(Host(), str(out))
    assert list(out.iterdir()) == list(kept.iterdir()) == []
    source.resolve(Host(), {"tarball": prefix + str(tarball), "digest": "sha256:" + right.upper().lower()}, str(kept)).unpack(Host(), str(out))
    assert (out / "Makefile").is_file()


@pytest.mark.parametrize("answer, said", [
    (b"SSH-2.0-OpenSSH\r\n", "BadStatusLine: SSH-2.0-OpenSSH"), (b"", "closed connection without response"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "IncompleteRead"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", "its SHA-256 digest is ca978112"),
])
def test_a_server_that_does_not_answer_with_the_file(tmp_path, answer, said):
    class Once(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Once) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        found = source.resolve(Host(), {"tarball": "http://127.0.0.1:%d/x" % server.server_address[1], "digest": "0" * 64}, str(tmp_path))
        try:
            with pytest.raises(TestbedError, match=said) as failure:
                found.unpack(Host(), str(tmp_path))
        finally:
            server.shutdown()
    assert str(failure.value).count("\n") == 0 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://host:abc/x", "http://127.0.0.1/a b"])
def test_a_url_that_cannot_be(tmp_path, url):
    found = source.resolve(Host(), {"tarball": url, "digest": "0" * 64}, str(tmp_path))
    with pytest.raises(TestbedError, match="cannot download %s: InvalidURL: " % url):
        found.unpack(Host(), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_does_not_answer(tmp_path):
    found = source.resolve(Host(), {"tarball": "file:///nonexistent.tar", "digest": "0" * 64}, str(tmp_path))
    with pytest.raises(TestbedError, match="cannot download file:///nonexistent.tar: "):
        found.unpack(Host(), str(tmp_path))


def test_a_commit_of_a_repository(tmp_path, tarball):
    top, out = tmp_path / "linux-1", tmp_path / "out"
    out.mkdir()
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run(git + command, check=True)
    commit = subprocess.run(git + ["rev-parse", "HEAD"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    source.resolve(Host(), {"repository": str(top), "commit": commit}, str(tmp_path)).unpack(Host(), str(out))
    assert (out / "Makefile").read_text(encoding="ascii") == "all:\n"
    with pytest.raises(TestbedError, match="cannot get commit 0000"):
        source.resolve(Host(), {"repository": str(top), "commit": "0" * 40}, str(tmp_path)).unpack(Host(), str(out))


def test_what_is_missing_is_named_at_once():
    with pytest.raises(TestbedError, match="the builder lacks bison, gcc, gelf.h: install bison gcc libelf-dev .Debian's names.") as failure:
        needs.refuse_missing({"missing": {"bison": "bison", "gcc": "gcc", "gelf.h": "libelf-dev"}, "apt": True})
    assert str(failure.value).count("\n") == 0


def test_a_compiler_that_is_not_there():
    assert needs.survey(Host(), "gcc-99")["missing"]["gcc-99"] == "gcc-99"


def test_no_room(tmp_path):
    with pytest.raises(TestbedError, match="no room to build a kernel: .*/a/b has "):
        needs.need_space(str(tmp_path / "a/b"), 1 << 60)


def test_an_artifact_with_a_file_missing_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path))
    place = tmp_path / "kernels" / "k"
    place.mkdir(parents=True)
    (place / "x.deb").write_bytes(b"12")
    (place / "manifest.json").write_text(json.dumps({"release": "6", "artifacts": {"x.deb": {"size": 2}}}), encoding="ascii")
    assert artifact.answer("k", artifact.manifest("k"))["packages"] == [str(place / "x.deb")]
    (place / "x.deb").write_bytes(b"1")
    assert artifact.manifest("k") is None


def test_progress_counts_objects_once(tmp_path):
    progress = Progress(str(tmp_path / "p"), known=["a.o"], total=3)
    progress.step("compiling")
    for line in ("  CC      a.o", "  CC [M]  mm/b.o", "  AS      c.o", "  LD      vmlinux.o", "make[1]: x", "  HOSTCC  scripts/x", "  CC      /o/tools/x.o",
                 "  CC      d.o"):
        progress.line(line)
    progress.step("packing")
    state = json.loads((tmp_path / "p").read_text(encoding="ascii"))
    assert (state["done"], state["of"], state["compiled"], state["stage"]) == (4, 4, 4, "packing")
    assert sentence(dict(state, stage="compiling", seconds=125, now="d.o")) == "compiling: 4 of about 4 objects, 2:05, d.o"
    assert sentence(dict(state, stage="compiling", seconds=5, exact=True)) == "compiling: 4 of at most 4 objects, 0:05"


def test_objects_are_estimated_from_makefiles(tmp_path):
    for name, text in {"mm/Makefile": "obj-y := a.o both.o \\\n  sub/\nboth-y := x.o y.o\nobj-$(CONFIG_ON) += on.o\nobj-$(CONFIG_OFF) += off.o\n",
                       "mm/sub/Makefile": "lib-y += l.o\nobj-m := $(other) m.o\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert estimate.objects(str(tmp_path), "x86", {"ON": "m"}) == 6


def test_a_running_kernels_configuration(tmp_path):
    for name, text in {"proc/sys/kernel/osrelease": "6.1-x\n", "boot/config-6.1-x": "CONFIG_A=y\n",
                       "proc/modules": "kmem 12288 0 - Live 0x0\ndax 16384 2 kmem,device_dax, Live 0x0000000000000000\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    found = running.configuration(Host(str(tmp_path)))
    assert found["modules"] == "dax\nkmem\n"
    assert found["content"].startswith("CONFIG_A=y") and found["release"] == "6.1-x"
    (tmp_path / "boot/config-6.1-x").unlink()
    with pytest.raises(TestbedError, match="running kernel 6.1-x is not to be found"):
        running.configuration(Host(str(tmp_path)))
