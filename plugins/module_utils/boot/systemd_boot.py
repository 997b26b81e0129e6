# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd-boot's entries and what it starts next: files on the EFI system partition, and the loader's EFI variables.

Read from the files, so that a recorded tree will do; changed by bootctl, which takes any name for an entry and writes it as it is given. Source: the Boot
Loader Specification, the Boot Loader Interface, and systemd 252 and 257: what its loader does (src/boot/efi/boot.c, in 257 src/boot/boot.c), and
bootctl (src/boot/bootctl.c, in 257 src/bootctl/bootctl-set-efivar.c), which says "Not booted with a supported boot loader" where LoaderInfo is not there.
"""
from __future__ import annotations

import collections
import fnmatch
import functools
import os
import platform
import re

from ansible_collections.memlab.testbed.plugins.module_utils.boot import unified
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

VARIABLES = "/sys/firmware/efi/efivars"
VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
# Where the EFI system partition is looked for (src/shared/find-esp.c); /boot can be the extended boot loader partition beside it, which has entries, too.
PLACES = ("/efi", "/boot", "/boot/efi")
# Last also in a menu without sort keys, where the greatest name comes first: less than machine ids and names of systems.
TRIAL_ID = "a-memlab-trial.conf"
# What the loader calls the machine that it is for (EFI_MACHINE_TYPE_NAME).
_MACHINE = {"x86_64": "x64", "aarch64": "aa64"}.get(platform.machine())
# In place of a name: the entry that was started last.
SAVED = "@saved"

# id: the file's name; place: the partition it is on; text: the file, None for a unified kernel image, whose parameters are in it; tries: boots that are
# left to it, None where they are not counted; machine: id of the system that it belongs to
Entry = collections.namedtuple("Entry", "id title release place text sort_key machine version tries")


def variable(host, name):
    """A loader variable's text (UTF-16 behind four bytes of attributes), or ``None``."""
    place = "%s/%s-%s" % (VARIABLES, name, VENDOR)
    if not host.exists(place):
        return None
    return host.read_bytes(place)[4:].decode("utf-16-le", "replace").rstrip("\0")


def in_use(host):
    """Whether the firmware says that systemd-boot started this system."""
    return (variable(host, "LoaderInfo") or "").startswith("systemd-boot")


def why_not_once(host):
    """Why no entry can be chosen for one boot, or ``None``: bootctl refuses, too, where no loader has said its name."""
    if not host.listdir(VARIABLES):
        return "there are no EFI variables (%s)" % VARIABLES
    return None if in_use(host) else "systemd-boot did not start this system (the EFI variable LoaderInfo holds %s)" % variable(host, "LoaderInfo")


def partitions(host):
    """Where the partitions with entries are mounted, each once, however many names it has."""
    found, known = [], set()
    for place in PLACES:
        if host.listdir(place + "/loader") or host.listdir(place + "/EFI/Linux"):
            state = os.stat(host.path(place + "/."))
            if (state.st_dev, state.st_ino) not in known:
                known.add((state.st_dev, state.st_ino))
                found.append(place)
    return found


def installed(host):
    """Whether there are files of systemd-boot's, or entries for it."""
    return any(host.exists(place + "/loader/loader.conf") or host.listdir(place + "/loader/entries") for place in partitions(host))


def entries(host):
    """:class:`Entry` for each file of type 1 and 2 that the loader shows, in the menu's order."""
    found = []
    for place in partitions(host):
        for name in _names(host, place + "/loader/entries", ".conf"):
            entry = parse(name, place, host.read("%s/loader/entries/%s" % (place, name)))
            if entry is not None and _starts(host, place, entry.text):
                found.append(entry)
        for name in _names(host, place + "/EFI/Linux", ".efi"):
            image = unified.describe(host, "%s/EFI/Linux/%s" % (place, name))
            if image is not None:
                ident, tries = _counted(name)
                found.append(Entry(ident, image.title, image.release, place, None, image.sort_key, "", image.version, tries))
    return sorted(found, key=functools.cmp_to_key(_compare))


def _names(host, directory, ending):
    return [name for name in host.listdir(directory) if name.lower().endswith(ending) and not name.startswith(".") and not name.lower().startswith("auto-")]


def pairs(text):
    """(key, value) of each line that has both, comments aside, as the loader reads its files (line_get_key_value)."""
    found = []
    for line in text.splitlines():
        words = line.strip().split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            value = words[1]
            found.append((words[0], value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value))
    return found


def parse(name, place, text):
    """An entry from its file, ``None`` for one that the loader passes over: it starts nothing, or is for another architecture."""
    keys = dict(pairs(text))
    if not keys.get("linux", keys.get("efi")) or keys.get("architecture", "").lower() not in ("", _MACHINE):
        return None
    release = (keys.get("version") or _release(keys.get("linux", ""))) if "linux" in keys else None
    ident, tries = _counted(name)
    return Entry(ident, keys.get("title", ident), release, place, text, keys.get("sort-key"), keys.get("machine-id", ""), keys.get("version", ""), tries)


def _release(path):
    """The release in a kernel's path: /vmlinuz-RELEASE, or /TOKEN/RELEASE/linux as kernel-install(8) has it."""
    found = re.search(r"/vmlinuz-([^/]+)$|/([^/]+)/(?:linux|vmlinuz)$", path)
    return found and (found.group(1) or found.group(2))


def _counted(name):
    """(id, boots left): what boot counting adds to the file's name (``+3-1``) is no part of its id."""
    found = re.match(r"(.*)\+(\d+)(?:-\d+)?(\.\w+)$", name)
    return (found.group(1) + found.group(3), int(found.group(2))) if found else (name, None)


def _starts(host, place, text):
    """Whether what the entry starts is there."""
    path = [value for key, value in pairs(text) if key in ("linux", "efi")][-1].replace("\\", "/")
    return host.exists("%s/%s" % (place, path.lstrip("/")))


def _compare(one, other):
    """The menu's order (config_entry_compare): what has no boots left last, entries with a sort key first, by it, machine and version; then by name."""
    keys = [(entry.tries == 0, entry.sort_key is None, entry.sort_key or "") for entry in (one, other)]
    if keys[0] != keys[1]:
        return -1 if keys[0] < keys[1] else 1
    if one.sort_key is not None:
        if one.machine != other.machine:
            return -1 if one.machine < other.machine else 1
        order = compare_versions(other.version, one.version)
        if order:
            return order
    return compare_versions(other.id.lower(), one.id.lower())


_SEPARATORS = "-^."
_TOKEN = re.compile(r"[~^.-]|[0-9]+|[A-Za-z]+")


def compare_versions(one, other):
    """Below, equal to or above 0, as the UAPI Group's Version Format Specification orders two versions (strverscmp_improved)."""
    left, right = map(_TOKEN.findall, (one, other))
    while True:
        if "~" in (left[:1] + right[:1]):
            if left[:1] != right[:1]:
                return -1 if left[:1] == ["~"] else 1
            left, right = left[1:], right[1:]
        if not left or not right:
            return bool(left) - bool(right)
        for mark in _SEPARATORS:
            if mark in (left[:1] + right[:1]):
                if left[:1] != right[:1]:
                    return -1 if left[:1] == [mark] else 1
                left, right = left[1:], right[1:]
        one, other = ((tokens[:1] or [""])[0] for tokens in (left, right))
        one, other = (token if token not in tuple("~^.-") else "" for token in (one, other))
        if one.isdigit() != other.isdigit():
            return 1 if one.isdigit() else -1
        keys = [(len(token.lstrip("0")), token.lstrip("0")) if token.isdigit() else (0, token) for token in (one, other)]
        if keys[0] != keys[1]:
            return -1 if keys[0] < keys[1] else 1
        left, right = left[bool(one):], right[bool(other):]
        if not one and not left and not right:
            return 0


def _matching(known, pattern):
    """The first entry of that name; it is a shell's pattern, and upper and lower case are one."""
    return next((entry for entry in known if pattern and fnmatch.fnmatchcase(entry.id.lower(), pattern.lower())), None)


def default(host, known):
    """The entry that is started when nobody chooses: the firmware's variable, then loader.conf's pattern, then the menu's first."""
    last = variable(host, "LoaderEntryLastBooted")
    for said in (variable(host, "LoaderEntryDefault"), _configured(host)):
        found = _matching(known, last if (said or "").lower() == SAVED else said)
        if found is not None:
            return found
    return known[0] if known else None


def _configured(host):
    """The pattern in loader.conf, which is on the EFI system partition alone; the last one counts."""
    text = next((text for text in (host.read_optional(place + "/loader/loader.conf") for place in partitions(host)) if text is not None), "")
    said = [value for key, value in pairs(text) if key == "default" and (not value.startswith("@") or value.lower() == SAVED)]
    return said[-1] if said else None


def pinned(host, known):
    """Whether the default is one entry by its name: a pattern takes the newest that fits, and ``@saved`` the last that was started, one on trial too."""
    chosen = (variable(host, "LoaderEntryDefault") or "").lower()
    return any(entry.id.lower() == chosen for entry in known)


def once(host, known):
    return _matching(known, variable(host, "LoaderEntryOneShot"))


def for_release(known, release):
    return next((entry for entry in known if entry.release == release and entry.id != TRIAL_ID), None)


def trial_place(place):
    """The file of the entry for a boot on trial, on the partition that has its kernel."""
    return "%s/loader/entries/%s" % (place, TRIAL_ID)


def trial_text(entry, parameters):
    """The file of the entry for a boot on trial: ``entry`` as it is, with further parameters behind its own. Raises :class:`TestbedError`."""
    if entry.text is None:
        raise TestbedError("%s is a unified kernel image: it has its boot parameters in it, and takes none for a boot on trial" % entry.id,
                           remedy="have kernel-install write entries of type 1 (layout=bls in /etc/kernel/install.conf)")
    lines, options = [], []
    for line in entry.text.splitlines():
        words = line.split(None, 1)
        if words and words[0] == "options":
            options.append(words[1] if len(words) == 2 else "")
        elif words and words[0] == "title":
            lines.append("title Linux %s, on trial for one boot" % entry.release)
        elif words and words[0] != "sort-key":
            lines.append(line)
    # last in the menu: a key where its kernel has one, because entries without come behind those that have
    lines += [] if entry.sort_key is None else ["sort-key zz-memlab-trial"]
    return "\n".join(lines + ["options " + " ".join(options + list(parameters))]) + "\n"


def command_line(entry):
    """The kernel's command line as this entry gives it."""
    return " ".join(value for key, value in pairs(entry.text) if key == "options")


# changing

def set_default(host, entry):
    """Make an entry the default, and read it back. Raises :class:`TestbedError`."""
    _set(host, "set-default", "LoaderEntryDefault", entry.id)


def set_once(host, entry):
    """Choose an entry for the next boot alone, or with ``None`` none. Raises :class:`TestbedError`."""
    _set(host, "set-oneshot", "LoaderEntryOneShot", entry.id if entry else "")


def _set(host, verb, name, value):
    reason = why_not_once(host)
    if reason:
        raise TestbedError("systemd-boot cannot be told what to start: " + reason,
                           remedy="they take efivarfs and EFI runtime services, which a real-time kernel uses with the boot parameter efi=runtime only")
    host.run(["bootctl", verb, value])
    found = variable(host, name) or ""
    if found != value:
        raise TestbedError("bootctl %s ended well, but the EFI variable %s holds %r" % (verb, name, found))
