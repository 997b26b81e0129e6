# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB's files as bookworm's update-grub and grub-editenv wrote them on a guest with a kernel on trial."""
from __future__ import annotations

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.boot import grub, loader
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from hypothesis import given
from hypothesis import strategies as st

UUID = "9f0608d1-dff2-46af-bca6-8ebc7dcd8312"
OLD = "gnulinux-advanced-%s>gnulinux-6.1.0-56-amd64-advanced-%s" % (UUID, UUID)


def test_what_a_user_sees(tree):
    host = tree("grub-armed")[1]
    seen = loader.look(host, loader.find(host))
    assert (seen["loader"], seen["default"], seen["default_release"], seen["once"], seen["running"]) == (
        "grub", OLD, "6.1.0-56-amd64", "memlab-trial", "6.1.0-56-amd64")
    assert [(entry["release"], entry["id"].count(">")) for entry in seen["entries"]] == [
        ("6.1.0-56-panics", 0), ("6.1.0-56-panics", 1), ("6.1.0-56-amd64", 1), ("6.1.0-56-panics", 0)]


def test_without_a_saved_entry_the_menu_s_first_is_the_default(tree):
    """Which is the newest: what a host has before anything is pinned."""
    directory, host = tree("grub-armed")
    (directory / "boot/grub/grubenv").write_text("# GRUB Environment Block\n", encoding="ascii")
    assert loader.find(host).default().id == "gnulinux-simple-" + UUID
    assert loader.find(host).once() is None
    assert not grub.pinned(host)


@pytest.mark.parametrize("word, release", [
    ("0", "6.1.0-56-panics"), ("1>0", "6.1.0-56-panics"), ("1>2", "6.1.0-56-amd64"), (OLD, "6.1.0-56-amd64"),
    ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-56-amd64", "6.1.0-56-amd64"), ("no such entry", "6.1.0-56-panics"),
])
def test_the_ways_to_write_a_default(tree, word, release):
    host = tree("grub-armed")[1]
    assert grub.resolve(word, grub.entries(host)).release == release


def test_a_release_is_chosen_where_it_stays_the_same_after_an_installation(tree):
    host = tree("grub-armed")[1]
    assert loader.find(host).for_release("6.1.0-56-amd64").id == OLD
    assert loader.choose(loader.find(host), "Debian GNU/Linux, with Linux 6.1.0-56-amd64").id == OLD
    with pytest.raises(TestbedError, match="grub has no entry 5.10: it has kernels 6.1.0-56-amd64, 6.1.0-56-panics"):
        loader.choose(loader.find(host), "5.10")


def test_looking_changes_nothing_and_a_plan_says_what_would(tree):
    host = tree("grub-armed")[1]
    changed, before, after = loader.apply(host, check_mode=True)
    assert not changed and before == after
    changed, before, after = loader.apply(host, default="6.1.0-56-panics", once="", check_mode=True)
    assert changed and after["default_release"] == "6.1.0-56-panics" and after["once"] is None
    with pytest.raises(TestbedError, match="is a recorded tree, not a machine"):
        loader.apply(host, default="6.1.0-56-panics")


def test_an_entry_for_repairs_is_no_kernel_s_entry(tree):
    host = tree("grub-armed")[1]
    repairs = [entry for entry in grub.entries(host) if "recovery" in entry.title]
    assert len(repairs) == 2 and {entry.release for entry in repairs} == {None}


def test_the_entry_on_trial_is_the_kernel_s_own_and_some_words(tree):
    host = tree("grub-armed")[1]
    entry = grub.for_release(grub.entries(host), "6.1.0-56-panics")
    text = grub.trial_text(entry, ["panic=3", "memmap=4G$12G"])
    again = grub.parse(text)
    assert [(found.id, found.release) for found in again] == [("memlab-trial", "6.1.0-56-panics")]
    assert grub.command_line(again[0]) == grub.command_line(entry) + " panic=3 memmap=4G$12G"
    assert r"memmap=4G\$12G" in text
    # what GRUB started on the guest
    recorded = grub.parse(host.read(grub.TRIAL))[0]
    assert grub.command_line(recorded).endswith("mitigations=off panic=3 oops=panic softlockup_panic=1 memlab.trial=30")


def test_the_entry_on_trial_may_be_started_by_whom_the_kernel_s_own_may(tree):
    """Not so, GRUB stops at a password where superusers are set, and no kernel runs that a watchdog could end."""
    host = tree("grub-armed")[1]
    text = host.read(grub.CONFIGURATION).replace("--class os ", "--class os --unrestricted --hotkey 'n' ")
    entry = grub.for_release(grub.parse(text), "6.1.0-56-panics")
    assert grub.trial_text(entry, []).splitlines()[0] == (
        "menuentry 'Linux 6.1.0-56-panics, on trial for one boot' --class debian --class gnu-linux --class gnu --class os --unrestricted --hotkey 'n'"
        " --id memlab-trial {")
    assert grub.parse(grub.trial_text(entry, []))[0].open and not grub.parse(grub.trial_text(entry._replace(options=[]), []))[0].open
    odd = "menuentry 'It'\\''s' \"--users\" 'a b' --id x --class os {\n\tlinux /vmlinuz-6.1\n}\n"
    assert [(found.title, found.id, found.options, found.open) for found in grub.parse(odd)] == [
        ("It's", "x", ['"--users"', "'a b'", "--class", "os"], False)]


@pytest.mark.parametrize("superusers, menus, said", [
    ("", "--class os", None), ('set superusers=""\n', "--class os", None), ('set superusers="root"\n', "--unrestricted", None),
    ('set superusers="root"\n', "--class os", "GRUB has superusers and asks for a password before it starts " + OLD),
    ("set superusers=root\n", "--unrestricted --users root", "GRUB has superusers"),
])
def test_an_entry_that_grub_asks_a_password_for(tree, superusers, menus, said):
    directory, host = tree("grub-armed")
    text = host.read(grub.CONFIGURATION).replace("$menuentry_id_option", menus + " $menuentry_id_option")
    (directory / "boot/grub/grub.cfg").write_text(superusers + text, encoding="ascii")
    entry = grub.for_release(grub.entries(host), "6.1.0-56-amd64")
    found = grub.why_not_alone(host, entry)
    assert entry.id == OLD and (found is None if said is None else found.startswith(said))


def test_a_submenu_that_grub_asks_a_password_for(tree):
    """As with --unrestricted in CLASS alone, which 10_linux does not give to its submenu."""
    directory, host = tree("grub-armed")
    (directory / "boot/grub/grub.cfg").write_text(host.read(grub.CONFIGURATION).replace("--class os", "--class os --unrestricted"), encoding="ascii")
    (directory / "boot/grub/custom.cfg").write_text("set superusers='root'\n", encoding="ascii")
    first, inner = (next(found for found in grub.entries(host) if found.id == place) for place in ("gnulinux-simple-" + UUID, OLD))
    assert grub.why_not_alone(host, first) is None and grub.why_not_alone(host, inner)


@pytest.mark.parametrize("line, reason", [
    ("24 1 254:2 / / rw - ext4 /dev/vda2 rw", None),
    ("24 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw", "LVM, RAID or encryption"),
    ("24 1 254:2 / / rw - ext4 /dev/mapper/vg-root rw\n25 24 254:1 / /boot rw shared:3 - ext4 /dev/vda1 rw", None),
    ("24 1 9:0 / / rw - ext4 /dev/md0 rw", "LVM, RAID or encryption"),
    ("24 1 0:20 /@ / rw - btrfs /dev/vda2 rw", "on btrfs"),
])
def test_where_grub_cannot_forget_its_one_shot(tree, line, reason):
    directory, host = tree("grub-armed")
    (directory / "proc/self/mountinfo").write_text(line + "\n", encoding="ascii")
    found = grub.why_not_once(host)
    assert found is None if reason is None else reason in found


def test_the_recorded_host_can(tree):
    assert grub.why_not_once(tree("grub-armed")[1]) is None


def test_a_host_without_a_known_loader(tmp_path):
    from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
    with pytest.raises(TestbedError, match="neither GRUB .* nor systemd-boot"):
        loader.find(Host(str(tmp_path)))


@given(st.text(alphabet="menutry subl{}'\"\\\n>$-0", max_size=300))
def test_any_text_is_parsed(text):
    for entry in grub.parse(text):
        assert entry.release is None or entry.release


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), st.text(alphabet="abc>=\\ -", max_size=20)))
def test_an_environment_block_is_read_as_it_was_written(values):
    escaped = "".join("%s=%s\n" % (name, value.replace("\\", "\\\\")) for name, value in values.items())
    assert grub.environment("# GRUB Environment Block\n" + escaped + "####") == values
