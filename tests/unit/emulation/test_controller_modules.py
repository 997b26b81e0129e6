# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""controller_facts, guest_image and qemu_guest as Ansible runs them on this controller, with programs of the test's own in place of QEMU and of the image's
builder."""
from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools
from ansible_collections.memlab.testbed.tests.synthetic.builder import BUILDER

SMALL = {"tuned": False, "disk_size": "16M"}


@pytest.fixture(name="cache")
def own_cache(tmp_path, monkeypatch):
    """A cache directory that is not there yet."""
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(directory):
    """Path to content of what there is, locks aside."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in directory.rglob("*") if path.suffix != ".lock"}


# guest_image

def test_an_image_is_built_once(call, four_steps, cache, instead, tmp_path):
    instead("mmdebstrap", BUILDER.format(shlex.quote(str(tmp_path))))
    planned, done = four_steps("guest_image", None, SMALL, lambda: files(cache))
    assert "manifest" not in planned and planned["directory"] == done["directory"]
    place = pathlib.Path(done["directory"])
    assert [path.parent for path in cache.glob("images/*/manifest.json")] == [place]
    assert sorted(os.listdir(place)) == ["initrd", "kernel", "manifest.json", "root.img"] and (place / "root.img").stat().st_size == 16 << 20
    assert json.loads((place / "manifest.json").read_text(encoding="utf-8")) == done["manifest"]
    listed = subprocess.run(["debugfs", "-R", "cat /boot/vmlinuz-6.12", str(place / "root.img")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    assert listed.stdout == b"kernel\n" and (tmp_path / "runs").read_text(encoding="ascii") == "run\n"
    code, answer = call("guest_image", None, SMALL, check_mode=True)
    assert answer["manifest"] == done["manifest"]


@pytest.mark.parametrize("changed", [{"suite": "bookworm"}, {"packages": ["numactl"]}, {"backports_kernel": True}, {"disk_size": "17M"},
                                     {"kernel_package": "linux-image-cloud-amd64"}])
def test_an_image_of_other_inputs_is_another(call, four_steps, cache, instead, tmp_path, changed):
    instead("mmdebstrap", BUILDER.format(shlex.quote(str(tmp_path))))
    code, first = call("guest_image", None, SMALL)
    kept = files(cache)
    assert code == 0, first
    four_steps("guest_image", None, dict(SMALL, **changed), lambda: files(cache))
    assert kept.items() <= files(cache).items() and len(os.listdir(cache / "images")) == 4


@pytest.mark.parametrize("parameters, said", [
    ({"suite": ""}, "'' is not the name of a Debian suite"), ({"suite": "trixie; id"}, "is not the name of a Debian suite"),
    ({"packages": ["-oDir=/"]}, "'-oDir=/' is not the name of a Debian package"), ({"packages": ["a b"]}, "'a b' is not the name of a Debian package"),
    ({"packages": {"a": 1}}, "packages"), ({"kernel_package": "$(id)"}, "is not the name of a Debian package"),
    ({"disk_size": "lots"}, "disk_size is not a size: 'lots': write bytes, or a number with K, M, G or T"),
    ({"disk_size": "-4G"}, "disk_size is not a size: '-4G'"), ({"disk_size": ""}, "disk_size is not a size: ''"),
    ({"disk_size": "0"}, "disk_size: 0 is too small"), ({"loader": "lilo"}, "loader must be one of: qemu, grub"),
    ({"tuned": "perhaps"}, "tuned"), ({"backports_kernel": "perhaps"}, "backports_kernel"), ({"size": "4G"}, "Unsupported parameters"),
    ({"kernel_file": "/none.deb"}, "cannot read the kernel file /none.deb (ENOENT)"),
    ({"kernel_file": "/etc/os-release"}, "/etc/os-release is not a Debian package"),
    ({"kernel_file": "/"}, "cannot read the kernel file / (EISDIR)"), ({"disk_size": "15M"}, "disk_size: 15M is too small for a root file system"),
])
def test_an_image_that_cannot_be(refused, cache, instead, parameters, said):
    instead("mmdebstrap", "exit 9")
    assert said in refused("guest_image", None, parameters)
    assert not cache.exists()


@pytest.mark.parametrize("excluded", [{"kernel_package": "linux-image-amd64"}, {"backports_kernel": True}, {"loader": "grub"}, {"tuned": False}])
def test_what_a_kernel_of_one_s_own_excludes(refused, cache, tmp_path, excluded):
    (tmp_path / "kernel.deb").write_bytes(b"!<arch>\ndebian-binary   ")
    assert "a kernel file " in refused("guest_image", None, dict({"kernel_file": str(tmp_path / "kernel.deb")}, **excluded))
    assert not cache.exists()


def test_a_build_that_fails_leaves_nothing_and_says_why(call, cache, instead):
    instead("mmdebstrap", "echo 'E: Unable to locate package nonesuch' >&2; exit 25")
    code, answer = call("guest_image", None, dict(SMALL, packages=["nonesuch"]))
    assert (code, answer["changed"]) == (1, False)
    assert answer["msg"].splitlines()[0] == "the suite trixie has no package nonesuch: look at the packages that the testbed file names"
    assert set(files(cache)) == {str(cache / "images")}


def test_a_cache_that_cannot_be_made(call, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "file/cache"))
    code, answer = call("guest_image", None, SMALL)
    assert code == 1 and answer["msg"].startswith("cannot make an image in %s/file/cache/images: " % tmp_path)


@settings(suppress_health_check=list(HealthCheck), max_examples=100)
@given(st.dictionaries(st.sampled_from(["suite", "packages", "kernel_package", "disk_size", "kernel_file", "loader", "tuned", "backports_kernel"]),
                       st.one_of(st.text(max_size=6), st.integers(), st.none(), st.booleans(), st.lists(st.text(max_size=4), max_size=2), st.floats())))
def test_any_parameters_get_a_clean_answer(call, cache, parameters):
    code, answer = call("guest_image", None, parameters, check_mode=True)
    assert "Traceback" not in json.dumps(answer) and not cache.exists() and (code == 0 or answer["msg"])


# controller_facts

@pytest.fixture(name="only")
def no_programs_of_the_machine(tmp_path, monkeypatch):
    """A machine whose programs are those of the test alone."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(tools, "_SEARCHED", ":" + str(tmp_path / "bin"))


@pytest.mark.parametrize("said, version, too_old", [
    ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)", "10.0.2", False), ("QEMU emulator version 8.2.0", "8.2.0", False),
    ("QEMU emulator version 7.2.19 (Debian 1:7.2+dfsg-7)", "7.2.19", True), ("QEMU emulator version 8.1.5", "8.1.5", True),
])
def test_what_the_controller_has_and_lacks(call, instead, only, said, version, too_old):
    instead("qemu-system-x86_64", "echo %s" % shlex.quote(said))
    instead("qemu-img", "")
    wanted = dict(tools.TOOLS, **({} if os.geteuid() == 0 else tools.ROOTLESS_TOOLS))
    if not too_old:
        del wanted["qemu-system-x86_64"], wanted["qemu-img"]
    for check_mode in (True, False):
        code, answer = call("controller_facts", None, {}, check_mode)
        assert (code, answer["changed"], answer["qemu_version"], answer["qemu_too_old"]) == (0, False, version, too_old)
        assert {tool: package for tool, package in answer["missing"].items() if tool != "UEFI firmware"} == wanted
        assert (answer["apt"], answer["backports"]) == (False, too_old and answer["release"] in tools.BACKPORTED)


def test_a_tool_that_comes_is_missing_no_more(call, instead, only):
    wanted = dict(tools.TOOLS, **({} if os.geteuid() == 0 else tools.ROOTLESS_TOOLS))
    answer = call("controller_facts", None, {})[1]
    assert {tool: package for tool, package in answer["missing"].items() if tool != "UEFI firmware"} == wanted and answer["qemu_version"] is None
    for tool in list(wanted):
        instead(tool, "echo version 10.0.0")
        del wanted[tool]
        missing = call("controller_facts", None, {})[1]["missing"]
        assert {tool: package for tool, package in missing.items() if tool != "UEFI firmware"} == wanted
    instead("apt-get", "")
    assert call("controller_facts", None, {})[1]["apt"] is True


def test_a_qemu_that_does_not_say_its_version(refused, instead):
    instead("qemu-system-x86_64", "echo something else")
    assert refused("controller_facts", None, {}) == "QEMU does not say its version: 'something else\\n'"
    instead("qemu-system-x86_64", "echo no library >&2; exit 127")
    assert refused("controller_facts", None, {}) == "qemu-system-x86_64 --version failed with exit code 127\nno library"


def test_the_controller_is_asked_nothing(refused):
    assert "Unsupported parameters" in refused("controller_facts", None, {"root": "/"})


# qemu_guest

def test_guests_that_do_not_fit_together_are_not_started_and_can_be_removed(call, cache, tmp_path):
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 6 // 10 >> 20
    path = tmp_path / "large.qemu.yml"
    path.write_text("plugin: memlab.testbed.qemu\ntestbed: large\ndefaults: {memory: %dM}\nguests: {one: {}, two: {}}\n" % half, encoding="ascii")
    asked = {"testbed_file": str(path), "name": "one"}
    code, answer = call("qemu_guest", None, dict(asked, state="present", image=str(tmp_path)))
    assert code == 1 and answer["msg"].startswith("large.qemu.yml: guests: memory: all 2 take"), answer
    code, answer = call("qemu_guest", None, dict(asked, state="absent"))
    assert (code, answer["changed"], answer["running"]) == (0, False, False)
