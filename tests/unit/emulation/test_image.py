# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guest images: their key, their command line, and what is left behind when one cannot be built."""
from __future__ import annotations

import collections
import json
import os
import shlex
import subprocess
import sys

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils import process
from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import guest_tree, image
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.synthetic.builder import BUILDER

G = 1 << 30
Usage = collections.namedtuple("Usage", "total used free")


@pytest.fixture(name="cache", autouse=True)
def fixture_cache(tmp_path, monkeypatch):
    """An empty cache directory."""
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def left(cache):
    """What a failed build leaves in the cache, its lock aside."""
    return [name for name in os.listdir(cache / "images") if not name.endswith(".lock")]


@pytest.mark.parametrize("changed", [
    {"suite": "sid"}, {"packages": ["numactl"]}, {"kernel_package": "linux-image-cloud-amd64"}, {"backports_kernel": True}, {"disk_size": 5 * G},
    {"tuned": False},
])
def test_every_input_changes_the_key(changed):
    assert image.directory(image.inputs(**dict({"suite": "trixie"}, **changed))) != image.directory(image.inputs("trixie"))


@pytest.mark.parametrize("name, value", [
    ("SSH_UNIT", "[Unit]\n"), ("ADDRESS", "10.0.2.16/24"), ("PROBE_PARAMETER", "memlab.other"), ("BLACKLISTED_MODULES", ()), ("MASKED_UNITS", ()),
    ("GIVEN_FILES", ()), ("INITRD_MODULES", ("ext4",)),
])
def test_what_a_tuned_image_is_tuned_by_changes_the_key(monkeypatch, name, value):
    before, untuned = image.digest(image.inputs("trixie")), image.digest(image.inputs("trixie", tuned=False))
    monkeypatch.setattr(guest_tree, name, value)
    assert image.digest(image.inputs("trixie")) != before
    assert image.digest(image.inputs("trixie", tuned=False)) == untuned


def test_a_new_recipe_changes_the_key(monkeypatch):
    before = image.digest(image.inputs("trixie"))
    monkeypatch.setattr(image, "RECIPE", image.RECIPE + 1)
    assert image.digest(image.inputs("trixie")) != before


def test_what_makes_no_difference_does_not_change_the_key():
    plain = image.inputs("trixie", ["numactl", "fio"])
    assert image.inputs("trixie", ["fio", "numactl", "fio", "udev"]) == plain
    assert image.digest(dict(reversed(list(plain.items())))) == image.digest(plain)


@pytest.mark.parametrize("name", ["", "-oDPkg::Pre-Invoke::=id", "a b", "a,b", "a;id", "$(id)", "a/b", "?essential", "a\nb", "A"])
def test_what_is_no_name_reaches_no_command_line(name):
    for arguments in ((name,), ("trixie", [name]), ("trixie", (), name)):
        if arguments[-1] or len(arguments) < 3:
            with pytest.raises(TestbedError, match="is not the name of a Debian"):
                image.inputs(*arguments)


def test_names_that_are():
    image.inputs("bookworm-proposed-updates", ["g++", "libc6:i386", "fio=3.39-1~bpo12+1"], "linux-image-6.12.107+deb13-amd64")


@pytest.mark.parametrize("tuned", [True, False])
def test_what_the_shell_gets_to_see_is_quoted(tmp_path, tuned):
    work = tmp_path / "it's $(a) work; directory"
    work.mkdir()
    argv = image._mmdebstrap(image.inputs("trixie", backports_kernel=True, tuned=tuned), str(work), str(work / "root.tar"))
    assert argv[0] == "mmdebstrap" and argv[-2:] == ["trixie", str(work / "root.tar")]
    assert not [word for word in argv if "://" in word]
    for hook in [word.partition("=")[2] for word in argv if "-hook=" in word]:
        subprocess.run(["sh", "-n", "-c", hook], check=True)
        if hook.startswith("tar-in"):
            assert shlex.split(hook) == ["tar-in", str(work / "overlay.tar"), "/"]


def test_the_backports_hooks_do_what_they_say(tmp_path):
    root = tmp_path / "it's a root"
    for name in ("sources.list.d", "preferences.d"):
        (root / "etc/apt" / name).mkdir(parents=True)
    (root / "etc/apt/sources.list").write_text("deb mirror:/debian trixie main\n", encoding="ascii")
    for hook in image._backports_hooks("trixie"):
        subprocess.run(["sh", "-c", hook, "exec", str(root)], check=True)
    assert (root / "etc/apt/sources.list.d/backports.list").read_text(encoding="ascii") == "deb mirror:/debian trixie-backports main\n"
    pin = (root / "etc/apt/preferences.d/backports").read_text(encoding="ascii")
    assert pin.splitlines() == ["Package: linux-image-* linux-base linux-binary-*", "Pin: release n=trixie-backports", "Pin-Priority: 600"]


def test_no_room_is_said_before_anything_is_done(monkeypatch, cache):
    monkeypatch.setattr(image.shutil, "disk_usage", lambda path: Usage(10 * G, 9 * G, 1 * G))
    with pytest.raises(TestbedError) as caught:
        image.ensure(Host(), image.inputs("trixie"))
    assert str(caught.value) == ("no room for a guest image: %s has 1G free, building takes up to 3G: free disk space, or set MEMLAB_CACHE to a "
                                 "directory that has it" % (cache / "images"))
    assert left(cache) == []


def test_a_disk_that_fills_up_meanwhile(instead, cache):
    instead("mmdebstrap", "echo 'E: copying files failed (write (28: No space left on device))' >&2; exit 25")
    with pytest.raises(TestbedError, match="the disk ran full while the guest image was built in .*: free 3G, or set MEMLAB_CACHE") as caught:
        image.ensure(Host(), image.inputs("trixie"))
    assert "No space left on device" in caught.value.details[-1]
    assert left(cache) == []


@pytest.mark.parametrize("said, summary", [
    ("E: Unable to locate package nonesuch", "the suite trixie has no package nonesuch"),
    ("E: Package 'nonesuch' has no installation candidate", "the suite trixie has no package nonesuch"),
    ("E: The repository 'mirror trixie Release' does not have a Release file.", "the mirror has no suite trixie"),
    ("E: something else", "mmdebstrap failed with exit code 25"),
])
def test_what_the_builder_says_is_put_in_words_and_passed_on(instead, cache, said, summary):
    instead("mmdebstrap", "echo %s >&2; exit 25" % shlex.quote(said))
    with pytest.raises(TestbedError) as caught:
        image.ensure(Host(), image.inputs("trixie", ["nonesuch"]))
    assert (caught.value.summary, caught.value.details) == (summary, [said])
    assert left(cache) == []


def test_what_a_suite_may_lack_is_asked_for_by_a_pattern(tmp_path):
    argv = image._mmdebstrap(image.inputs("bookworm"), str(tmp_path), str(tmp_path / "root.tar"))
    included = next(word for word in argv if word.startswith("--include=")).partition("=")[2].split(",")
    assert "?exact-name(cxl)" in included and "cxl" not in included and "ndctl" in included
    assert "--quiet" not in argv


@pytest.mark.parametrize("number", signals.ENDING)
def test_an_interrupted_build_leaves_nothing(instead, cache, tmp_path, interrupt, number):
    """The builder ignores what is sent to itself alone, as mmdebstrap does; its own child has to be reached."""
    instead("mmdebstrap", "cd %s; trap : TERM; sleep 300 & echo $! > child.new; mv child.new child; wait; wait; exit 1" % shlex.quote(str(tmp_path)))
    interrupt(number, (tmp_path / "child").exists)
    with pytest.raises(signals.Interrupted), signals.as_errors():
        image.ensure(Host(), image.inputs("trixie"))
    assert left(cache) == []
    child = int((tmp_path / "child").read_text(encoding="ascii"))
    Host().wait_until(lambda: process.start_time(child) is None, "the end of the builder's child", timeout=5)


def test_a_killed_build_is_cleared_away_by_the_next(instead, cache):
    """It takes gigabytes, and nobody else would."""
    instead("mmdebstrap", "kill -9 $PPID")
    script = "from ansible_collections.memlab.testbed.plugins.module_utils.emulation import image\n" \
             "from ansible_collections.memlab.testbed.plugins.module_utils.host import Host\nimage.ensure(Host(), image.inputs('trixie'))\n"
    subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)), check=False)
    assert len(left(cache)) == 1
    instead("mmdebstrap", "exit 9")
    with pytest.raises(TestbedError, match="exit code 9"):
        image.ensure(Host(), image.inputs("trixie"))
    assert left(cache) == []


def test_a_cache_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(TestbedError, match="cannot make an image in .*: .*Not a directory"):
        image.ensure(Host(), image.inputs("trixie"))


def test_an_image_that_is_there_is_used(cache, instead):
    instead("mmdebstrap", "exit 9")
    wanted = image.inputs("trixie")
    place = cache / "images" / os.path.basename(image.directory(wanted))
    place.mkdir(parents=True)
    (place / "manifest.json").write_text(json.dumps({"inputs": wanted}), encoding="ascii")
    assert image.ensure(Host(), wanted) == (False, str(place), {"inputs": wanted})
    (place / "manifest.json").write_text("{", encoding="ascii")
    with pytest.raises(TestbedError, match="exit code 9"):
        image.ensure(Host(), wanted)


def test_the_second_of_two_builds_waits_and_uses_the_first_s(cache, instead, tmp_path):
    """Both run at once, in processes of their own; the builder writes an image's least and counts its runs."""
    instead("mmdebstrap", BUILDER.format(shlex.quote(str(tmp_path))))
    script = """
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import image
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
changed, directory, manifest = image.ensure(Host(), image.inputs("trixie", tuned=False, disk_size=16 << 20))
print(changed, directory, manifest["kernel"], manifest["packages"])
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) for number in range(2)]
    said = sorted(running.communicate()[0].split(" ", 1) for running in both)
    assert [changed for changed, rest in said] == ["False", "True"]
    assert said[0][1] == said[1][1]
    directory, kernel, packages = said[0][1].split(" ", 2)
    assert (kernel, packages) == ("6.12", "{'udev': '257-1'}\n")
    assert (tmp_path / "runs").read_text(encoding="ascii") == "run\n"
    assert sorted(os.listdir(directory)) == ["initrd", "kernel", "manifest.json", "root.img"]
    assert left(cache) == [os.path.basename(directory)]
    listed = subprocess.run(["debugfs", "-R", "ls -p /boot", os.path.join(directory, "root.img")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, check=True).stdout
    assert "/100644/0/0/vmlinuz-6.12/" in listed


def test_an_image_has_one_kernel(tmp_path):
    (tmp_path / "boot").mkdir()
    with pytest.raises(TestbedError, match="the image has 0 kernels .none., not one"):
        image._kernel_release(str(tmp_path))
    for release in ("6.1", "6.12"):
        (tmp_path / "boot" / ("vmlinuz-" + release)).write_text("", encoding="ascii")
    with pytest.raises(TestbedError, match="the image has 2 kernels .6.1, 6.12., not one"):
        image._kernel_release(str(tmp_path))


DEB = b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n"


@pytest.fixture(name="deb")
def a_package(tmp_path):
    """A real package with the given files, made by dpkg-deb."""
    def make(*files):
        root = tmp_path / "package"
        for name in files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name, encoding="ascii")
        (root / "DEBIAN").mkdir(parents=True)
        (root / "DEBIAN/control").write_text("Package: linux-image-6.1.192\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@b>\nDescription: a kernel\n",
                                             encoding="ascii")
        path = tmp_path / "kernel.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(root), str(path)], check=True, capture_output=True)
        return str(path)
    return make


def test_a_kernel_file_counts_by_its_content(tmp_path):
    paths = [tmp_path / name for name in ("one.deb", "same.deb", "other.deb")]
    for path, tail in zip(paths, (b"a", b"a", b"b")):
        path.write_bytes(DEB + tail)
    one, same, other = (image.digest(image.inputs("bookworm", kernel_file=str(path))) for path in paths)
    assert one == same != other and one != image.digest(image.inputs("bookworm"))
    argv = image._mmdebstrap(image.inputs("bookworm", kernel_file=str(paths[0])), str(tmp_path), str(tmp_path / "root.tar"))
    assert not [word for word in argv if "linux-image" in word]


@pytest.mark.parametrize("changed, said", [
    ({"kernel_package": "linux-image-amd64"}, "exclude each other"), ({"backports_kernel": True}, "exclude each other"),
    ({"loader": "grub"}, "starts by the testbed's initrd"), ({"tuned": False}, "starts by the testbed's initrd"),
])
def test_what_a_kernel_file_excludes(tmp_path, changed, said):
    (tmp_path / "kernel.deb").write_bytes(DEB)
    with pytest.raises(TestbedError, match=said):
        image.inputs("bookworm", kernel_file=str(tmp_path / "kernel.deb"), **changed)


def test_a_file_that_is_no_kernel_package(tmp_path, cache, instead, deb):
    instead("mmdebstrap", "exit 9")
    with pytest.raises(TestbedError, match="cannot read the kernel file .*absent.deb \\(ENOENT\\)"):
        image.inputs("bookworm", kernel_file=str(tmp_path / "absent.deb"))
    (tmp_path / "vmlinux.deb").write_bytes(b"\x7fELF")
    with pytest.raises(TestbedError, match="vmlinux.deb is not a Debian package"):
        image.inputs("bookworm", kernel_file=str(tmp_path / "vmlinux.deb"))
    headers = deb("usr/src/linux-headers/Makefile")
    with pytest.raises(TestbedError, match="kernel.deb holds no kernel with its modules: it has no /boot"):
        image.ensure(Host(), image.inputs("bookworm", kernel_file=headers), headers)
    assert left(cache) == []


@pytest.mark.parametrize("modules", ["lib/modules/6.1.192/modules.dep", "usr/lib/modules/6.1.192/modules.dep"])
def test_the_kernel_file_is_unpacked_to_where_the_image_has_its_modules(tmp_path, deb, modules):
    image._unpack_kernel(Host(), deb("boot/vmlinuz-6.1.192", modules), str(tmp_path / "out"))
    assert (tmp_path / "out/boot/vmlinuz-6.1.192").exists() and (tmp_path / "out/usr/lib/modules/6.1.192/modules.dep").exists()
