# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""kernel_builder_facts and kernel_configuration_facts as Ansible runs them. Neither changes anything."""
from __future__ import annotations

import gzip
import hashlib
import os
import shutil

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools as emulation_tools
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import needs

RELEASE = "6.12.9-memlab"
CONFIGURATION = "# Linux/x86 6.12.9\nCONFIG_CXL_BUS=m\n# CONFIG_MEMORY_HOTPLUG is not set\n"


@pytest.fixture(name="machine")
def running_kernel(tmp_path):
    """``machine({path: bytes})``: the directory of a recorded tree."""
    def make(files):
        for name, content in dict({"proc/sys/kernel/osrelease": RELEASE.encode() + b"\n"}, **files).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        return str(tmp_path)
    return make


@pytest.mark.parametrize("files", [
    {"boot/config-" + RELEASE: CONFIGURATION.encode()}, {"proc/config.gz": gzip.compress(CONFIGURATION.encode())},
    {"boot/config-" + RELEASE: CONFIGURATION.encode(), "proc/config.gz": b"not looked at"},
])
def test_the_running_kernel_s_configuration(machine, call, files):
    modules = b"cxl_mem 12288 0 - Live 0x0000000000000000\ncxl_core 233472 2 cxl_mem,cxl_acpi, Live 0x0000000000000000\n\n"
    root = machine(dict(files, **{"proc/modules": modules}))
    for check_mode in (True, False):
        code, answer = call("kernel_configuration_facts", None, {"sysroot": root}, check_mode)
        assert (code, answer["changed"], answer["release"], answer["content"]) == (0, False, RELEASE, CONFIGURATION)
        assert answer["modules"] == "cxl_core\ncxl_mem\n"


def test_no_modules_are_none(machine, call):
    code, answer = call("kernel_configuration_facts", None, {"sysroot": machine({"boot/config-" + RELEASE: b"CONFIG_A=y\n"})})
    assert (code, answer["modules"]) == (0, "")


@pytest.mark.parametrize("files, said", [
    ({}, "the configuration of the running kernel %s is not to be found: neither /boot/config-%s nor /proc/config.gz is there" % (RELEASE, RELEASE)),
    ({"proc/config.gz": b"text"}, "/proc/config.gz cannot be unpacked: "),
    ({"proc/config.gz": gzip.compress(CONFIGURATION.encode())[:-20]}, "/proc/config.gz cannot be unpacked: "),
    ({"proc/config.gz": b""}, "/proc/config.gz cannot be unpacked: "),
])
def test_a_configuration_that_is_not_there_or_damaged(machine, refused, files, said):
    assert refused("kernel_configuration_facts", None, {"sysroot": machine(files)}).startswith(said)


def test_no_machine(refused, tmp_path):
    assert refused("kernel_configuration_facts", None, {"sysroot": str(tmp_path / "none")}).startswith("no directory %s" % (tmp_path / "none"))
    assert refused("kernel_configuration_facts", None, {"sysroot": str(tmp_path)}) == "cannot read /proc/sys/kernel/osrelease (ENOENT)"
    assert "Unsupported parameters" in refused("kernel_configuration_facts", None, {"root": "/"})


def program(directory, name):
    (directory / name).write_text("#!/bin/sh\n", encoding="ascii")
    (directory / name).chmod(0o755)


@pytest.mark.parametrize("parameters, tools", [
    ({}, {}), ({"compiler": "memlab-cc-99"}, {"memlab-cc-99": "memlab-cc-99"}), ({"distcc": True}, {"distcc": "distcc"}), ({"git": True}, {"git": "git"}),
    ({"suite": "sarge"}, {"mmdebstrap": "mmdebstrap"}), ({"btf": True}, {"pahole": "dwarves"}),
])
def test_what_a_builder_lacks(call, monkeypatch, tmp_path, parameters, tools):
    """A machine whose programs are all in one directory, first none, then one after another."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(emulation_tools, "_SEARCHED", ":" + str(tmp_path))
    # the kernel's own tools are compiled with gcc in any case
    known = dict(needs.TOOLS, gcc="gcc", **tools)
    for check_mode in (True, False):
        code, answer = call("kernel_builder_facts", None, parameters, check_mode)
        assert (code, answer["changed"], answer["apt"]) == (0, False, False)
        assert {tool: package for tool, package in answer["missing"].items() if not tool.endswith(".h")} == known
    for tool in list(known):
        program(tmp_path, tool)
        del known[tool]
        missing = call("kernel_builder_facts", None, parameters)[1]["missing"]
        assert {tool: package for tool, package in missing.items() if not tool.endswith(".h")} == known
    headers = {"stdio.h": "/usr/include/stdio.h", "gelf.h": "/usr/include/gelf.h"}
    assert {name: name in missing for name in headers} == {name: not os.path.exists(path) for name, path in headers.items()}


def test_the_builder_s_system(call):
    answer = call("kernel_builder_facts", None, {})[1]
    with open("/etc/os-release", encoding="utf-8") as stream:
        text = stream.read()
    assert answer["apt"] == (shutil.which("apt-get") is not None)
    assert answer["release"] is None or "VERSION_CODENAME=%s\n" % answer["release"] in text and "ID=debian\n" in text


@pytest.mark.parametrize("parameters, said", [
    ({"compiler": ""}, "'' is no compiler"), ({"compiler": "gcc -O3"}, "'gcc -O3' is no compiler"),
    ({"compiler": "/usr/bin/gcc"}, "'/usr/bin/gcc' is no compiler"),
    ({"git": "perhaps"}, "git"), ({"distcc": []}, "distcc"), ({"other": 1}, "Unsupported parameters"),
])
def test_what_a_builder_is_not_asked(refused, parameters, said):
    assert said in refused("kernel_builder_facts", None, parameters)


@pytest.fixture(name="bare")
def bare_builder(monkeypatch, tmp_path):
    """A machine without a program, and what a build that could be is asked for."""
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.setattr(emulation_tools, "_SEARCHED", "")
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.tar").write_bytes(b"x")
    return {"source": {"tarball": str(tmp_path / "x.tar"), "digest": hashlib.sha256(b"x").hexdigest()}, "base": {"name": "allnoconfig"}}


@pytest.mark.parametrize("changes, said", [
    ({"fuzz": 4}, "0 to 3, not 4"), ({"base": {"name": "allyes"}}, "'allyes' is no base"), ({"jobs": -3}, "jobs: -3 is not a number of jobs"),
    ({"source": {"tarball": "/x"}}, "the tarball /x has no digest"), ({"source": {"repository": "/x", "commit": "main"}}, "'main' is no commit's full hash"),
    ({"source": {"package": "bash"}}, "'bash' is not the name of a package"), ({"source": {}}, "not none of them"),
    ({"source": {"tarball": "/etc/os-release", "digest": "0" * 64}}, "/etc/os-release is not what was asked for"),
    ({"fragments": [{"name": "f", "content": "A"}]}, "f, line 1: 'A' is no line"),
])
def test_what_cannot_be_is_refused_before_a_tool_is_missed(bare, refused, tmp_path, changes, said):
    assert said in refused("kernel_build", None, dict(bare, **changes))
    assert not (tmp_path / "cache").exists()


def test_no_room_is_seen_before_a_tool_is_missed(bare, refused, monkeypatch, tmp_path):
    monkeypatch.setattr(needs, "SOURCE_SPACE", 1 << 60)
    assert refused("kernel_build", None, bare).startswith("no room to build a kernel: ")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("base, pahole", [
    ({"name": "allnoconfig"}, False), ({"name": "host", "content": "CONFIG_DEBUG_INFO_BTF=y"}, True),
    ({"name": "x", "content": "# CONFIG_DEBUG_INFO_BTF is not set"}, False),
])
def test_what_is_missing_is_an_answer_that_can_be_installed_by(bare, call, base, pahole):
    for check_mode in (True, False):
        code, answer = call("kernel_build", None, dict(bare, base=base), check_mode)
        assert (code, answer["apt"], answer["root"]) == (1, False, os.geteuid() == 0)
        assert answer["missing"]["make"] == "make" and answer["missing"].get("pahole") == ("dwarves" if pahole else None)
        assert answer["msg"].startswith("the builder lacks bc, bison, ")
