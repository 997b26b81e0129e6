# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd-boot's files as kernel-install and bootctl of 252 write them. The orders are those of ``bootctl list`` of 252.39 for the same files, which unlike the
loader takes upper case for another letter."""
from __future__ import annotations

import os
import shutil
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.boot import loader, systemd_boot, unified
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.synthetic.loaders import MACHINE, OLD, SystemdHost

NEW = "6.12.9-memlab"
OLD_ID, NEW_ID = ("%s-%s.conf" % (MACHINE, release) for release in (OLD, NEW))
RAW = {"LoaderEntryDefault": b"\x07\0\0\0" + (OLD_ID + "\0").encode("utf-16-le"), "LoaderEntryOneShot": b"\x07\0\0\0" + (NEW_ID + "\0").encode("utf-16-le")}


@pytest.fixture(name="host")
def two_kernels(tmp_path):
    host = SystemdHost(tmp_path / "host")
    host.kernel(NEW)
    host.hooks()
    return host


def ids(host):
    return [entry.id for entry in systemd_boot.entries(host)]


def image(osrel, uname=None, *others):
    """A PE file with these sections, as ukify writes them."""
    sections = [(b".text", b"\xc3")]
    sections += [(name, text.encode("utf-8")) for name, text in ((b".osrel", osrel), (b".uname", uname)) if text is not None]
    sections += list(others)
    start = 64 + 24 + 112 + 40 * len(sections)
    table, content = b"", b""
    for name, data in sections:
        table += struct.pack("<8sIIII16x", name, len(data), 0x1000, -(-len(data) // 512) * 512, start + len(content))
        content += data.ljust(-(-len(data) // 512) * 512, b"\0")
    return b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<HH12xHH", 0x8664, len(sections), 112, 0x22) + bytes(112) + table + content


def test_what_a_user_sees(host):
    seen = loader.look(host, loader.find(host))
    assert (seen.pop("loader"), seen.pop("held"), seen.pop("fixed")) == ("systemd-boot", False, None)
    assert seen == {"default": NEW_ID, "default_release": NEW, "once": None, "running": OLD, "entries": [
        {"id": "%s-%s.conf" % (MACHINE, release), "title": "Debian GNU/Linux 12 (bookworm)", "release": release} for release in (NEW, OLD)]}


def test_the_default_and_the_next_boot_are_what_the_firmware_holds(host):
    changed, before, after = loader.apply(host, default=OLD, once=NEW)
    assert changed and host.log == ["bootctl", "bootctl"]
    assert {name: host.get(name) for name in RAW} == RAW
    assert (after["default"], after["once"]) == (OLD_ID, NEW_ID)
    assert loader.apply(host, default=OLD, once=NEW)[0] is False and len(host.log) == 2
    assert loader.apply(host, once="")[0] is True and host.get("LoaderEntryOneShot") is None
    assert loader.apply(host, once="")[0] is False


@pytest.mark.parametrize("said, release", [
    (OLD_ID, OLD), (OLD_ID.upper(), OLD), ("*-6.1.*", OLD), ("*", NEW), ("no such entry", NEW), ("@saved", OLD), ("@SAVED", OLD), ("", NEW),
])
def test_the_ways_to_say_a_default(host, said, release):
    """A pattern in any case, or what was started last; what fits nothing counts for nothing. Only a name holds when another kernel comes."""
    host.set("LoaderEntryDefault", said)
    host.set("LoaderEntryLastBooted", OLD_ID, attributes=6)
    boot = loader.find(host)
    assert (boot.default().release, boot.pinned()) == (release, said.lower() == OLD_ID)
    changed, before, after = loader.apply(host, default=release)
    assert changed is (said.lower() != OLD_ID) and boot.pinned()
    assert host.get("LoaderEntryDefault").decode("utf-16-le").lower().endswith("-%s.conf\0" % release)


@pytest.mark.parametrize("text, release", [
    ("default %s\n" % OLD_ID, OLD), ("\tdefault\t*-6.1.*  \n", OLD), ('default "*-6.1.*"\n', OLD), ("#default *-6.1.*\n", NEW), ("  # default *-6.1.*\n", NEW),
    ("default *\ndefault *-6.1.*\n", OLD), ("default @saved\n", OLD), ("default *-6.1.*\ndefault @current\n", OLD), ("default none\n", NEW), ("default\n", NEW),
])
def test_loader_conf(host, text, release):
    host.put("/efi/loader/loader.conf", text)
    host.set("LoaderEntryLastBooted", OLD_ID, attributes=6)
    assert loader.find(host).default().release == release and not loader.find(host).pinned()
    host.set("LoaderEntryDefault", NEW_ID)
    assert loader.find(host).default().release == NEW


def test_the_order_of_the_menu(host):
    title = "title T\nlinux /kernel\n"
    for name, text in (("arch.conf", title), ("Beta+3-1.conf", title), ("c-6.9.conf", title), ("c-6.10.conf", title), ("c-6.10~rc1.conf", title),
                       ("bad+0-3.conf", title + "sort-key a\nversion 99\n"), ("fedora.conf", title + "sort-key fedora\nversion 1\n"),
                       ("two-1.conf", title + "sort-key debian\nmachine-id 0000\nversion 6.2\n"),
                       ("two-2.conf", title + "sort-key debian\nmachine-id 0000\nversion 6.10\n")):
        host.entry(name, text)
    assert ids(host) == ["two-2.conf", "two-1.conf", NEW_ID, OLD_ID, "fedora.conf", "c-6.10.conf", "c-6.10~rc1.conf", "c-6.9.conf", "Beta.conf", "arch.conf",
                         "bad.conf"]


def test_what_the_loader_does_not_show(host):
    shown = ids(host)
    for name, text in ((".hidden.conf", "linux /kernel\n"), ("auto-x.conf", "linux /kernel\n"), ("text.txt", "linux /kernel\n"), ("nothing.conf", "title T\n"),
                       ("arm.conf", "linux /kernel\narchitecture ia32\n"), ("empty.conf", "")):
        host.entry(name, text)
    host.put("/efi/loader/entries/gone.conf", "linux /gone\n")
    assert ids(host) == shown


def test_a_partition_with_two_names_and_one_of_its_own(host):
    """/boot as the extended boot loader partition, and as another name of the EFI system partition."""
    host.entry("other.conf", "linux /kernel\nversion 5.10\n", place="/boot")
    assert ids(host) == [NEW_ID, OLD_ID, "other.conf"]
    shutil.rmtree(host.path("/boot"))
    os.symlink("efi", host.path("/boot"))
    assert ids(host) == [NEW_ID, OLD_ID] and systemd_boot.partitions(host) == ["/efi"]


@pytest.mark.parametrize("keyed", [True, False])
def test_the_entry_on_trial_is_the_kernel_s_own_some_words_and_the_last(host, keyed):
    place = "/efi/loader/entries/"
    for name in (OLD_ID, NEW_ID) if not keyed else ():
        host.put(place + name, host.read(place + name).replace("sort-key", "#sort-key") + "\n")
    host.entry("arch.conf", "title Arch\nlinux /kernel\noptions a\noptions  b \n" + "sort-key arch\n" * keyed)
    boot = loader.find(host)
    entry = boot.for_release(NEW)
    assert boot.put_trial(entry, ["panic=10", "memlab.trial=60"])
    assert [found.id for found in boot.entries()][-1] == boot.trial_id and boot.default().id != boot.trial_id
    trial = loader.choose(boot, boot.trial_id)
    assert boot.command_line(trial) == boot.command_line(entry) + " panic=10 memlab.trial=60"
    assert dict(systemd_boot.pairs(trial.text))["linux"] == "/%s/%s/linux" % (MACHINE, NEW)
    assert boot.for_release(NEW) == entry
    boot.set_once(trial)
    assert boot.once() == trial and host.get("LoaderEntryOneShot") == b"\x07\0\0\0" + "a-memlab-trial.conf\0".encode("utf-16-le")
    assert boot.command_line(loader.choose(boot, "Arch")) == "a b"
    assert boot.put_trial(None, []) and not host.exists(place + "a-memlab-trial.conf") and not boot.put_trial(None, [])


def test_the_entry_on_trial_goes_from_whichever_partition_it_is_on(host):
    host.entry("other.conf", "linux /kernel\nversion 5.10\n", place="/boot")
    boot = loader.find(host)
    boot.put_trial(boot.for_release("5.10"), [])
    assert host.exists("/boot/loader/entries/a-memlab-trial.conf")
    assert boot.put_trial(None, []) and not host.exists("/boot/loader/entries/a-memlab-trial.conf")


OSREL = 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\nVERSION_ID="13"\nVERSION="13 (trixie)"\n'


def test_unified_kernel_images(host):
    host.put("/efi/EFI/Linux/debian-6.20+2-1.efi", image(OSREL, "6.20.1"))
    host.put("/efi/EFI/Linux/foreign.efi", image("ID=x\nIMAGE_ID=zz\n", None, (b".osrel", b"ID=profile\n")))
    for name, content in (("none.efi", image(None, "1")), ("text.efi", b"text"), ("cut.efi", image(OSREL)[:90]), ("empty.efi", b""), ("a.txt", image(OSREL))):
        host.put("/efi/EFI/Linux/" + name, content)
    # without a machine id, before those of a machine with the same key
    assert ids(host) == ["debian-6.20.efi", NEW_ID, OLD_ID, "foreign.efi"]
    boot = loader.find(host)
    (found,) = [entry for entry in boot.entries() if entry.release == "6.20.1"]
    assert (found.title, found.tries, found.id) == ("Debian GNU/Linux 13 (trixie)", 2, boot.default().id)
    with pytest.raises(TestbedError, match="debian-6.20.efi is a unified kernel image: .*: have kernel-install write entries of type 1"):
        boot.put_trial(found, ["panic=10"])


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 2 ** 32 - 1))
def test_any_bytes_are_an_image_or_none(tmp_path_factory, junk, cut, place):
    path = tmp_path_factory.getbasetemp() / "junk.efi"
    good = image(OSREL, "6.1")
    for content in (junk, good[:cut] + junk, good[:60] + struct.pack("<I", place) + good[64:]):
        path.write_bytes(content)
        found = unified.describe(Host(), str(path))
        assert found is None or found.title


def test_without_variables_or_another_loader_s(host):
    boot = loader.find(host)
    host.set("LoaderInfo", "GRUB 2.12", attributes=6)
    assert boot.why_not_once(host) == "systemd-boot did not start this system (the EFI variable LoaderInfo holds GRUB 2.12)"
    with pytest.raises(TestbedError, match="no entry can be chosen for one boot: systemd-boot did not start"):
        loader.apply(host, once=NEW)
    shutil.rmtree(host.path("/sys"))
    assert boot.why_not_once(host) == "there are no EFI variables (/sys/firmware/efi/efivars)"
    with pytest.raises(TestbedError, match="^systemd-boot cannot be told what to start: there are no EFI variables .*efi=runtime"):
        loader.apply(host, default=OLD)
    assert loader.look(host, boot)["fixed"] == boot.why_not_once(host)
    assert loader.find(host).name == "systemd-boot"


@pytest.mark.parametrize("choice, name", [({"default": OLD}, "LoaderEntryDefault"), ({"once": OLD}, "LoaderEntryOneShot")])
def test_a_firmware_that_does_not_keep_what_it_is_given(host, choice, name):
    """bootctl ends well: the kernel has handed the variable on."""
    host.bootctl = lambda verb, value: ""
    with pytest.raises(TestbedError, match="ended well, but the EFI variable %s holds ''" % name):
        loader.apply(host, **choice)


def test_files_that_only_look_like_a_loader_s(host):
    """GRUB starts the host: that the partition has systemd-boot's files is nothing."""
    host.set("LoaderInfo", "GRUB 2.12", attributes=6)
    host.put("/boot/grub/grub.cfg", "menuentry 'x' {\n}\n")
    assert loader.find(host).name == "grub"


@pytest.mark.parametrize("older, newer", [
    ("6.9", "6.10"), ("6.10~rc1", "6.10"), ("6.1", "6.1.1"), ("6.1-1", "6.1.1"), ("6.1.0-9-amd64", "6.1.0-10-amd64"), ("abc", "abcd"), ("abc", "1"),
    ("007", "8"),
    ("6.1-a", "6.1-1"), ("", "~a~")[::-1], ("6.1^p", "6.1.1"), ("6.1", "6.1^p"), ("A", "a"), ("a_1", "a_2"),
])
def test_versions(older, newer):
    """The UAPI Group's examples and systemd's own."""
    assert systemd_boot.compare_versions(older, newer) < 0 < systemd_boot.compare_versions(newer, older)


VERSION = st.text(alphabet="019aB~^.-_", max_size=8)


@given(VERSION, VERSION, VERSION)
def test_versions_are_in_an_order(one, two, three):
    assert systemd_boot.compare_versions(one, one) == 0 and systemd_boot.compare_versions("1.00", "1.0") == 0
    assert systemd_boot.compare_versions(one, two) == -systemd_boot.compare_versions(two, one)


@given(st.text(alphabet="linuxef \t#\"'/+\n-", max_size=120))
def test_any_text_is_an_entry_or_none(text):
    found = systemd_boot.parse("x+1.conf", "/efi", text)
    assert found is None or (found.id, found.tries) == ("x.conf", 1)
