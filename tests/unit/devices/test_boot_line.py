# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Boot parameters: what GRUB and the shell make of them is what was meant."""
from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.boot import systemd_boot
from ansible_collections.memlab.testbed.plugins.module_utils.devices import boot_line, dax
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

ONE = ["memory_hotplug.memmap_on_memory=1"]
FILE = "/etc/default/grub.d/50-memlab-memmap.cfg"
WORDS = st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7e, exclude_characters="\"'\\"), min_size=1), min_size=1, max_size=4, unique=True)


@pytest.fixture(name="grub")
def install_grub(fresh):
    """A host whose update-grub sources the drop-in files with a real shell, and has entries of its own, of another system and of a memory tester."""
    def update():
        files = [fresh.path("/etc/default/grub.d/" + name) for name in fresh.listdir("/etc/default/grub.d") if name.endswith(".cfg")]
        script = 'GRUB_CMDLINE_LINUX="quiet"\nfor file; do . "$file"; done\nprintf "%s" "$GRUB_CMDLINE_LINUX"'
        line = subprocess.run(["sh", "-c", script, "sh"] + files, stdout=subprocess.PIPE, check=True).stdout.decode()
        fresh.put(boot_line.CONFIGURATION, "### BEGIN /etc/grub.d/10_linux ###\nmenuentry 'one' {\n\tlinux\t/vmlinuz root=x ro %s\n}\n"
                  "menuentry 'two' {\n\tlinux\t/vmlinuz.old root=x ro single %s\n}\n### END /etc/grub.d/10_linux ###\n"
                  "### BEGIN /etc/grub.d/30_os-prober ###\n\tlinux /other root=y\n\tlinux16 /memtest\n### END /etc/grub.d/30_os-prober ###" % (line, line))
    fresh.put("/usr/sbin/update-grub", "#!/bin/sh")
    fresh.hooks["update-grub"] = update
    update()
    fresh.put(boot_line.CMDLINE, "root=/dev/vda ro quiet")
    fresh.put(dax.BOOT_PARAMETER, "N")
    return fresh


def test_four_steps(grub):
    assert boot_line.apply(grub, "memmap", ONE, True, check_mode=True)[:2] == (True, True)
    assert grub.log == []
    assert boot_line.apply(grub, "memmap", ONE, True)[:2] == (True, True)
    assert grub.log == ["update-grub"]
    assert boot_line.apply(grub, "memmap", ONE, True)[:2] == (False, True)
    assert boot_line.apply(grub, "memmap", ONE, True, check_mode=True)[:2] == (False, True)
    grub.put(boot_line.CMDLINE, "root=/dev/vda ro quiet memory_hotplug.memmap_on_memory=1")
    grub.put(dax.BOOT_PARAMETER, "Y")
    assert boot_line.apply(grub, "memmap", ONE, True)[:2] == (False, False)
    assert grub.log == ["update-grub"]


def test_absent(grub):
    boot_line.apply(grub, "memmap", ONE, True)
    grub.put(boot_line.CMDLINE, "quiet " + ONE[0])
    assert boot_line.apply(grub, "memmap", [], False, check_mode=True)[:2] == (True, True)
    assert boot_line.apply(grub, "memmap", [], False)[:2] == (True, True)
    assert not grub.exists(FILE)
    assert boot_line.apply(grub, "memmap", ONE, False)[:2] == (False, True)
    assert boot_line.apply(grub, "memmap", [], False)[:2] == (False, False)


def test_words_are_whole(grub):
    grub.put(boot_line.CMDLINE, "xconsole=ttyS0 consoleX=ttyS0 console=ttyS01")
    assert boot_line.apply(grub, "memmap", ["console=ttyS0"], True)[1] is True


@pytest.mark.parametrize("spelled, read", [("=Y", "Y"), ("=on", "Y"), ("", "Y"), ("=force", "force"), ("=1 memory_hotplug.memmap_on_memory=yes", "Y")])
def test_what_is_on_in_another_spelling_needs_no_reboot(grub, spelled, read):
    grub.put(boot_line.CMDLINE, "quiet memory_hotplug.memmap_on_memory" + spelled)
    grub.put(dax.BOOT_PARAMETER, read)
    assert boot_line.apply(grub, "memmap", ONE, True, check_mode=True)[1] is False
    assert boot_line.apply(grub, "memmap", ["memory-hotplug.memmap_on_memory=Y"], True, check_mode=True)[1] is False


@pytest.mark.parametrize("line", ["=1 memory_hotplug.memmap_on_memory=0", "=off", "X=1"])
def test_what_is_off_after_all_needs_one(grub, line):
    grub.put(boot_line.CMDLINE, "quiet memory_hotplug.memmap_on_memory" + line)
    assert boot_line.apply(grub, "memmap", ONE, True, check_mode=True)[1] is True


def test_force_that_somebody_else_has_configured_is_not_taken_back(grub):
    grub.put("/etc/default/grub.d/10-site.cfg", 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX memory_hotplug.memmap_on_memory=force"')
    grub.hooks["update-grub"]()
    for read, needed in (("N", True), ("force", False)):
        grub.put(dax.BOOT_PARAMETER, read)
        assert boot_line.apply(grub, "memmap", ONE, True)[:2] == (False, needed)
    assert not grub.exists(FILE)
    assert boot_line.apply(grub, "memmap", ["quiet=1"] + ONE, True)[0] is True
    assert boot_line.of_fragment(grub.read(FILE)) == ["quiet=1"]


def test_force_of_this_file_is_replaced(grub):
    boot_line.apply(grub, "memmap", ["memory_hotplug.memmap_on_memory=force"], True)
    assert boot_line.apply(grub, "memmap", ONE, True)[0] is True
    assert boot_line.apply(grub, "memmap", ONE, True)[0] is False
    assert boot_line.of_fragment(grub.read(FILE)) == ONE


def test_dollar_reaches_grub_escaped(grub):
    boot_line.apply(grub, "memmap", ["memmap=4G$12G"], True)
    assert "memmap=4G\\$12G" in grub.read(boot_line.CONFIGURATION).split()


def test_an_interrupted_update_is_made_up_for(grub):
    boot_line.apply(grub, "memmap", ONE, True)
    grub.put(boot_line.CONFIGURATION, "### BEGIN /etc/grub.d/10_linux ###\n\tlinux /vmlinuz ro\n### END /etc/grub.d/10_linux ###")
    assert boot_line.apply(grub, "memmap", ONE, True)[0] is True
    assert boot_line.apply(grub, "memmap", ONE, True)[0] is False


@pytest.mark.parametrize("before", [None, ["old=1"]])
def test_failed_update_puts_the_file_back(grub, before):
    if before:
        boot_line.apply(grub, "memmap", before, True)
    was = grub.read_optional(FILE)
    grub.faults["update-grub"] = [5]
    with pytest.raises(TestbedError, match="update-grub failed with exit code 1") as caught:
        boot_line.apply(grub, "memmap", ONE, True)
    assert caught.value.details[-1] == FILE + " was put back as it was"
    assert grub.read_optional(FILE) == was


def test_update_that_does_not_read_the_file(grub):
    del grub.hooks["update-grub"]
    with pytest.raises(TestbedError, match="not every Linux entry of /boot/grub/grub.cfg has memory_hotplug.memmap_on_memory=1"):
        boot_line.apply(grub, "memmap", ONE, True)
    assert not grub.exists(FILE)


def test_without_grub(fresh):
    fresh.put(boot_line.CMDLINE, "quiet")
    with pytest.raises(TestbedError, match="has no update-grub.*install grub2-common.*memory_hotplug.memmap_on_memory=1"):
        boot_line.apply(fresh, "memmap", ONE, True)
    assert boot_line.apply(fresh, "memmap", ONE, False)[:2] == (False, False)


def test_a_host_that_systemd_boot_starts_though_grub_is_installed(grub):
    """update-grub would end well, and the parameter never come."""
    boot_line.apply(grub, "memmap", ONE, True)
    grub.put("%s/LoaderInfo-%s" % (systemd_boot.VARIABLES, systemd_boot.VENDOR), "\6\0\0\0" + "".join(c + "\0" for c in "systemd-boot 252.39\0"))
    before = list(grub.log)
    for check_mode in (True, False):
        with pytest.raises(TestbedError, match="systemd-boot starts this host.*: add memory_hotplug.memmap_on_memory=1 to /etc/kernel/cmdline"):
            boot_line.apply(grub, "memmap", ONE, True, check_mode)
    assert grub.log == before
    # what is there from before goes
    assert boot_line.apply(grub, "memmap", [], False)[0] and not grub.exists(FILE)


@pytest.mark.parametrize("name", ["", "../x", "a b", "A", "-a", "x" * 61, "a.cfg"])
def test_names(grub, name):
    with pytest.raises(TestbedError, match="cannot be part of a file's name"):
        boot_line.apply(grub, name, ONE, True)


@pytest.mark.parametrize("words", [["a b"], [""], ["a'b"], ['a"b'], ["a\\b"], ["a\nb"], ["ä"], ["a", "a"], ["--"], ["root=/dev/sda"], []])
def test_refused_words(grub, words):
    with pytest.raises(TestbedError):
        boot_line.apply(grub, "memmap", words, True)
    assert grub.log == []


@given(WORDS)
def test_the_shell_and_grub_read_what_was_meant(words):
    done = subprocess.run(["sh", "-c", boot_line.fragment(words) + 'printf "%s" "$GRUB_CMDLINE_LINUX"'], stdout=subprocess.PIPE, env={}, check=True)
    for_grub = done.stdout.decode("ascii").split()
    assert for_grub == [boot_line.for_grub(word) for word in words]
    assert [read_as_grub(word) for word in for_grub] == words
    assert boot_line.of_fragment(boot_line.fragment(words)) == words


def read_as_grub(word):
    """A word of GRUB's script language without variables, quotes and patterns: a backslash stands for the next character, special ones need it."""
    found, characters = "", iter(word)
    for character in characters:
        assert character not in "$;&|<>{}#*?", "GRUB would take %s for its own" % character
        found += next(characters) if character == "\\" else character
    return found


@given(st.text())
def test_any_command_line_has_words(text):
    assert all(isinstance(word, str) for word in boot_line.words(text))


def test_quoted_words():
    assert boot_line.words('a "b c" d="e f" "" g') == ["a", "b c", "d=e f", "", "g"]
