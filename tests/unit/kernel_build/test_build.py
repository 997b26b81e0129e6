# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole way from a tarball to a package, with real make, patch and dpkg-deb, on a source whose makefile knows a kernel's targets."""
from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import build

# Of a kernel's makefile: the targets that the module asks for, in the objects' directory. ``allnoconfig`` takes what KCONFIG_ALLCONFIG says, but never BAD.
MAKEFILE = """\
OUT := $(O)
objects := $(patsubst %.c,$(OUT)/%.o,$(notdir $(wildcard mm/*.c)))
allnoconfig:
\t@echo asked >> $(OUT)/asked; grep -v BAD $(KCONFIG_ALLCONFIG) > $(KCONFIG_CONFIG) || :
all: $(OUT)/vmlinux
$(OUT)/vmlinux: $(objects)
\t@$(CC) -g $(KCFLAGS) -c -o $(OUT)/path $(CURDIR)/lib/path.c && cat $^ $(OUT)/path > $@; cp $@ $(OUT)/image; echo "0 T start" > $(OUT)/System.map
$(OUT)/%.o: mm/%.c
\t@echo "  CC      mm/$*.o"; if grep bad $<; then echo "$<:1: error: bad"; exit 1; fi; $(SLOW) \\
\tprintf '%s\\n' "$(KBUILD_BUILD_TIMESTAMP) $(KBUILD_BUILD_USER)@$(KBUILD_BUILD_HOST) $(LOCALVERSION)" | cat - $< > $@
kernelrelease:
\t@echo 6.1.0$(LOCALVERSION)
image_name:
\t@echo image
modules_install:
\t@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.1.0$(LOCALVERSION); ln -s $(OUT) $(INSTALL_MOD_PATH)/lib/modules/6.1.0$(LOCALVERSION)/build
"""


KCONFIG = """\
config FINE
\tbool "fine"

config BAD
\tbool "bad"
\tdepends on FINE
"""


@pytest.fixture
def wanted(tmp_path):
    top = tmp_path / "made" / "linux-6.1"
    for name, text in {"Makefile": MAKEFILE, "Kconfig": KCONFIG, "scripts/Kbuild.include": "",
                       "lib/path.c": "const char *path = __FILE__;\n", "mm/a.c": "a\n", "mm/b.c": "b\n", "mm/c.c": "c\n"}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text, encoding="ascii")
        os.utime(top / name, (10 ** 9, 10 ** 9))
    path = tmp_path / "linux.tar"
    with tarfile.open(path, "w") as stream:
        stream.add(top, "linux-6.1")
    return {"source": {"tarball": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}, "patches": [], "fuzz": 0,
            "base": {"name": "allnoconfig"}, "fragments": [{"name": "f", "content": "CONFIG_MODULES=y\nCONFIG_FINE=y"}], "localversion": None,
            "compiler": "gcc", "jobs": 1, "ccache": False, "distcc": []}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build.needs, "OBJECT_SPACE", 1)
    return tmp_path / "cache"


def patch(text):
    return {"name": "p", "content": base64.b64encode(text.encode("ascii")).decode("ascii"), "strip": 1}


def compiled(cache):
    log, = cache.glob("kernel_build/bases/*/build.log")
    return [line.split()[1] for line in log.read_text(encoding="ascii").splitlines() if line.startswith("  CC")]


def test_built_once_and_only_what_a_patch_touches(wanted, cache, tmp_path):
    changed, answer, manifest, remarks = build.ensure(Host(), wanted, str(tmp_path / "progress"))
    assert changed and compiled(cache) == ["mm/a.o", "mm/b.o", "mm/c.o"]
    assert answer["release"] == "6.1.0-memlab." + answer["key"][:8]
    state = json.loads((tmp_path / "progress").read_text(encoding="ascii"))
    assert (state["stage"], state["done"], state["of"]) == ("done", 3, 3)
    assert build.ensure(Host(), wanted)[:3] == (False, answer, manifest)
    assert build.look(Host(), wanted) == (answer["key"], manifest)
    named = dict(wanted, localversion="-x")
    build.ensure(Host(), named)
    for letter in ("B", "C"):
        changed = patch("--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1 @@\n-b\n+%s\n" % letter)
        other = build.ensure(Host(), dict(named, patches=[changed]), str(tmp_path / "progress"))[1]
        assert compiled(cache) == ["mm/b.o"] and other["key"] != answer["key"]
        # what is shown is what this run has compiled
        state = json.loads((tmp_path / "progress").read_text(encoding="ascii"))
        assert (state["done"], state["of"], state["exact"]) == (1, 3, True)


def test_kernels_of_one_release_are_packages_of_two_versions(wanted, cache):
    """A release that does not change with the inputs must not hide from dpkg that they did."""
    named = dict(wanted, localversion="-x")
    built = [build.ensure(Host(), dict(named, patches=patches))[1] for patches in ([], [patch("--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1 @@\n-b\n+B\n")])]
    fields = [subprocess.run(["dpkg-deb", "--field", answer["packages"][0], "Package", "Version"], check=True, stdout=subprocess.PIPE, text=True).stdout
              for answer in built]
    assert fields == ["Package: linux-image-6.1.0-x\nVersion: 6.1.0-1+memlab.%s\n" % answer["key"][:8] for answer in built]
    assert fields[0] != fields[1] and subprocess.run(["dpkg", "--validate-version", fields[0].split()[-1]], check=False).returncode == 0


def test_a_configuration_is_made_again_where_a_patch_may_change_it(wanted, cache):
    build.ensure(Host(), wanted)
    build.ensure(Host(), dict(wanted, patches=[patch("--- a/mm/b.c\n+++ b/mm/b.c\n@@ -1 +1 @@\n-b\n+B\n")]))
    asked, = cache.glob("kernel_build/bases/*/objects/*/asked")
    assert asked.read_text(encoding="ascii").split() == ["asked"]
    line = MAKEFILE.splitlines()[3]
    text = "--- a/Makefile\n+++ b/Makefile\n@@ -4,1 +4,1 @@\n-%s\n+%s\n" % (line, line.replace("BAD", "FINE"))
    with pytest.raises(TestbedError, match="CONFIG_FINE is n, not y"):
        build.ensure(Host(), dict(wanted, patches=[patch(text)]))


def test_two_directories_give_the_same_bytes(wanted, cache, monkeypatch):
    first = build.ensure(Host(), wanted)[1:3]
    monkeypatch.setenv("MEMLAB_CACHE", str(cache) + "-with-another-name")
    second = build.ensure(Host(), wanted)[1:3]
    assert first[1] == second[1] and first[0]["directory"] != second[0]["directory"]
    assert pathlib.Path(first[0]["packages"][0]).read_bytes() == pathlib.Path(second[0]["packages"][0]).read_bytes()
    kernel = (pathlib.Path(first[0]["directory"]) / "vmlinuz").read_bytes()
    # neither in what it prints nor in its debug information is there a directory of the builder's
    assert b"\0lib/path.c\0" in kernel and str(cache).encode("utf-8") not in kernel
    listed = subprocess.run(["dpkg-deb", "--contents", first[0]["packages"][0]], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "/build" not in listed and "root/root" in listed


def test_a_release_that_no_package_can_have_is_refused_before_compiling(wanted, cache):
    with pytest.raises(TestbedError, match='CONFIG_LOCALVERSION is "_x", and a package.s name can have no such release: lower case letters'):
        build.ensure(Host(), dict(wanted, fragments=[{"name": "f", "content": "CONFIG_LOCALVERSION=\"_x\""}]))
    assert not list(cache.glob("kernel_build/bases/*/build.log"))


def test_a_tool_that_kconfig_looks_for_is_in_the_key(wanted, cache, tmp_path, monkeypatch):
    before = build.look(Host(), wanted), build.ensure(Host(), wanted)[1]["key"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bindgen").write_text("#!/bin/sh\necho bindgen 0.99\n", encoding="ascii")
    (tmp_path / "bin/bindgen").chmod(0o755)
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))
    name, known = build.look(Host(), wanted)
    assert (before[0], known) == ((before[1], None), None) and name != before[1]
    assert build.ensure(Host(), wanted)[2]["compiler"]["bindgen"] == "bindgen 0.99"


def test_room_is_looked_for_before_anything_is_fetched(wanted, cache, monkeypatch):
    """The source has to be downloaded to be known, and the cache is there already."""
    (cache / "kernel_build").mkdir(parents=True)
    monkeypatch.setattr(build.needs, "SOURCE_SPACE", 1 << 60)
    unknown = dict(wanted, source={"package": "linux-source-6.1", "suite": "sarge"})
    for action in (build.look, build.ensure):
        with pytest.raises(TestbedError, match="no room to build a kernel"):
            action(Host(), unknown)
    assert list((cache / "kernel_build").iterdir()) == []


def test_a_symbol_that_is_not_as_asked(wanted, cache):
    with pytest.raises(TestbedError) as failure:
        build.ensure(Host(), dict(wanted, fragments=[{"name": "f", "content": "CONFIG_BAD=y\nCONFIG_WORSE=m"}]))
    assert str(failure.value).splitlines() == [
        "the configuration did not come out as asked: CONFIG_BAD is n, not y",
        "CONFIG_BAD (f): wanted y, got n: Kconfig:4: depends on FINE (FINE=n)"]
    assert not (cache / "kernels").exists()


def test_a_build_that_fails_says_what_the_compiler_said(wanted, cache):
    broken = patch("--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-a\n+bad\n")
    with pytest.raises(TestbedError, match="the build failed with exit code 2") as failure:
        build.ensure(Host(), dict(wanted, patches=[broken]))
    assert "mm/a.c:1: error: bad" in failure.value.details


# The module's part of a build, in a process that a signal can end.
PROGRAM = """
import json, sys
from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import build
build.needs.OBJECT_SPACE = 1
try:
    with signals.as_errors():
        build.ensure(Host(), json.loads(sys.argv[1]), sys.argv[2])
except TestbedError as exc:
    print(exc)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(wanted, cache, tmp_path, collection, number):
    progress = tmp_path / "progress"
    # the second object takes longer than the test
    environment = dict(os.environ, SLOW="case $* in b) sleep 987;; esac;", PYTHONPATH=str(collection / ".venv/collections"))
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, json.dumps(wanted), str(progress)], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        Host().wait_until(lambda: list(cache.glob("kernel_build/bases/*/objects/*/a.o")), "the first object", 300)
        second = ["pgrep", "-f", "^sleep 987$"]
        Host().wait_until(lambda: subprocess.run(second, stdout=subprocess.DEVNULL, check=False).returncode == 0, "the second object", 300)
        running.send_signal(number)
        said = running.communicate(timeout=120)[0]
    finally:
        running.kill()
    assert "interrupted by %s" % number.name in said
    assert subprocess.run(["pgrep", "-f", "sleep 987"], stdout=subprocess.DEVNULL, check=False).returncode == 1
    assert build.ensure(Host(), wanted)[0] is True
    assert compiled(cache) == ["mm/b.o", "mm/c.o"]
