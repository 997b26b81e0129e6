# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernels are built once, the same everywhere, and what cannot be built is refused before it is begun. With the smallest configuration there is."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import configuration
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.kbuild import Kbuild

HERE = pathlib.Path(__file__).parents[1]
# EXPERT: what it hides is off, too. No objtool, and a small allocator.
TINY = {"kernel_build_config_base": "allnoconfig",
        "kernel_build_fragments": ["CONFIG_64BIT=y\nCONFIG_EXPERT=y\nCONFIG_PRINTK=y\nCONFIG_MODULES=y\nCONFIG_CRC7=m\nCONFIG_CC_OPTIMIZE_FOR_SIZE=y\n"
                                   "CONFIG_SLOB=y\nCONFIG_UNWINDER_GUESS=y"]}
PATCH = """\
--- a/init/main.c
+++ b/init/main.c
@@ -1,3 +1,3 @@
 no such line
-as this one
+in that file
 at all
"""


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    """Two cache directories on the cache's own disk, with the source's download that is there already."""
    kept = pathlib.Path(cache_directory())
    kept.mkdir(parents=True, exist_ok=True)
    made = [kept / ("test-kernels-%d-%s" % (os.getpid(), name)) for name in ("first", "a-second-one")]
    for place in made:
        sources = place / "kernel_build" / "sources"
        sources.mkdir(parents=True)
        for path in (kept / "kernel_build" / "sources").glob("*"):
            if path.is_file():
                os.link(path, sources / path.name)
    yield made
    for place in made:
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def build(controller):
    """A function that runs the role in a cache directory and returns what it said, with ``artifact`` where there is one."""
    def run(cache, **variables):
        given = dict(TINY, ansible_python_interpreter="{{ ansible_playbook_python }}")
        given.update(variables)
        arguments = ["-i", "localhost,", str(HERE / "build.yml"), "-e", json.dumps(given)]
        done = controller.finish(controller.start("ansible-playbook", *arguments, MEMLAB_CACHE=str(cache), ANSIBLE_CALLBACK_RESULT_FORMAT="json"), 3600)
        found = re.search(r"artifact (\{.*\})", done.output.replace("\\", ""))
        done.artifact = json.loads(found.group(1)) if found and done.code == 0 else None
        return done

    return run


@pytest.fixture(scope="module")
def first(build, caches):
    done = build(caches[0])
    assert done.code == 0, done.output
    return done


@pytest.fixture
def daemons(tmp_path):
    """Two distcc daemons on this machine: (port, log) of each."""
    if shutil.which("distccd") is None:
        subprocess.run([str(HERE.parents[1] / "scripts" / "apt-install.sh"), "distcc"], check=True)
    running = []
    try:
        for name in ("one", "two"):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            log = tmp_path / name
            with log.open("wb") as stream:
                process = subprocess.Popen(["distccd", "--no-detach", "--daemon", "--listen", "127.0.0.1", "--allow", "127.0.0.1", "--port", str(port),
                                            "--jobs", "2", "--log-stderr", "--log-level", "info"], stderr=stream, start_new_session=True)
            running.append((process, port, log))
        yield [(port, log) for process, port, log in running]
    finally:
        for process, port, log in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def manifest(done):
    return json.loads(pathlib.Path(done.artifact["manifest"]).read_text(encoding="utf-8"))


def test_progress_is_shown(first):
    assert re.search(r"^localhost: compiling: \d+ of (about )?\d+ objects, \d+:\d\d", first.output, re.MULTILINE), first.output


def test_the_package_holds_what_boots(first):
    package, = first.artifact["packages"]
    release = first.artifact["release"]
    listed = subprocess.run(["dpkg-deb", "--contents", package], check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in ("./boot/vmlinuz-%s", "./boot/System.map-%s", "./boot/config-%s", "./lib/modules/%s/modules.dep", "./lib/modules/%s/kernel/lib/crc7.ko"):
        assert name % release in listed
    fields = subprocess.run(["dpkg-deb", "--field", package, "Package", "Architecture"], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "linux-image-%s" % release in fields
    assert b"(memlab@testbed)" in (pathlib.Path(first.artifact["directory"]) / "vmlinuz").read_bytes()


def test_the_same_inputs_are_not_built_again(build, first, controller, caches):
    known = pathlib.Path(first.artifact["manifest"]).stat().st_mtime_ns
    again = build(caches[0])
    assert again.changed == 0 and again.artifact == first.artifact, again.output
    assert pathlib.Path(first.artifact["manifest"]).stat().st_mtime_ns == known
    asked = {"source": {"package": "linux-source-6.1", "suite": "bookworm"}, "base": {"name": "allnoconfig"},
             "fragments": [{"name": TINY["kernel_build_fragments"][0].splitlines()[0], "content": TINY["kernel_build_fragments"][0]}]}
    done = controller.finish(controller.start("ansible", "localhost", "-m", "memlab.testbed.kernel_build", "-a", json.dumps(asked), MEMLAB_CACHE=str(caches[0]),
                                              ANSIBLE_CALLBACK_RESULT_FORMAT="json"))
    answer = json.loads(done.output[done.output.index("{"):])
    assert (answer["changed"], answer["artifact"]["key"]) == (False, first.artifact["key"])
    print("unchanged inputs: %.2f s of module time (meant: below 2)" % answer["seconds"])


def test_elsewhere_and_over_distcc_the_same_bytes(build, first, caches, daemons):
    other = build(caches[1], kernel_build_ccache=False, kernel_build_jobs=4, kernel_build_distcc_hosts=["127.0.0.1:%d/2" % port for port, log in daemons])
    assert other.code == 0, other.output
    for port, log in daemons:
        assert log.read_text(encoding="utf-8", errors="replace").count("completed ok") > 20
    assert other.artifact["directory"] != first.artifact["directory"]
    assert manifest(other) == manifest(first)
    for name in manifest(first)["artifacts"]:
        assert (pathlib.Path(other.artifact["directory"]) / name).read_bytes() == (pathlib.Path(first.artifact["directory"]) / name).read_bytes(), name


@pytest.mark.parametrize("variables, facts", [
    ({"kernel_build_patches": ["no-such-series"]}, ["there is no series 'no-such-series'", "shipped are"]),
    ({"kernel_build_source": {"tarball": "/etc/hostname", "digest": "0" * 64}}, ["/etc/hostname is not what was asked for", "not 0000"]),
    ({"kernel_build_compiler": "gcc-99", "kernel_build_install": False}, ["The builder lacks gcc-99", "switched off by kernel_build_install"]),
    ({"kernel_build_fragments": ["CONFIG_64BIT=y\nCONFIG_NO_SUCH_SYMBOL=y\nCONFIG_NUMA=y"]},
     ["CONFIG_NO_SUCH_SYMBOL does not exist in this source", "CONFIG_NUMA", "wanted y, got n", "depends on SMP (SMP=n)"]),
])
def test_refused_before_anything_is_built(build, first, caches, variables, facts):
    before = sorted(os.listdir(caches[0] / "kernels"))
    build(caches[0], **variables).refusal(*facts)
    assert sorted(os.listdir(caches[0] / "kernels")) == before


def test_a_patch_that_does_not_apply_leaves_the_tree(build, first, caches, tmp_path):
    (tmp_path / "wrong.patch").write_text(PATCH, encoding="ascii")
    source, = (caches[0] / "kernel_build" / "bases").glob("*/source/init/main.c")
    before = source.read_bytes(), source.stat().st_mtime_ns
    build(caches[0], kernel_build_patches=[str(tmp_path / "wrong.patch")]).refusal("the patch wrong.patch does not apply: init/main.c, hunk 1")
    assert (source.read_bytes(), source.stat().st_mtime_ns) == before


def test_each_base_is_configured_on_the_kernel_itself(first, caches, tmp_path):
    """Not compiled: that takes an hour each."""
    source, = (caches[0] / "kernel_build" / "bases").glob("*/source")
    kbuild = Kbuild(Host(), str(source), str(tmp_path / "objects"), {})

    def configured(base, symbol):
        text = configuration.make(kbuild, base, [{"name": "f", "content": "CONFIG_%s=y" % symbol}])
        values = configuration.parse(text, "x")
        # one of a choice, over whatever the base has
        assert [name for name in ("HZ_100", "HZ_250", "HZ_300", "HZ_1000") if values[name] == "y"] == [symbol]
        return text, {name for name, value in values.items() if value == "m"}

    whole, modules = configured({"name": "defconfig"}, "HZ_100")
    assert configured({"name": "host", "content": whole}, "HZ_1000")[1] == modules
    assert configured({"name": "tinyconfig"}, "HZ_300")[1] == set()
    # which adds IKCONFIG of its own accord
    assert configured({"name": "localmodconfig", "content": whole, "modules": "xt_mark\n"}, "HZ_300")[1] & modules == {"NETFILTER_XT_MARK"}


def test_no_room(build, tmp_path):
    """On a file system of its own, too small for a source."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "memlab", str(place)], check=True)
    try:
        build(place).refusal("no room to build a kernel", "MEMLAB_CACHE")
        assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)
