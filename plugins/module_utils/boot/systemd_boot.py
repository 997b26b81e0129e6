# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""systemd-boot's entries and what it starts next: files on the EFI system partition, and the loader's EFI variables.

Read from the files, so that a recorded tree will do; changed by bootctl. Source: the Boot Loader Specification (type 1), the Boot Loader Interface,
and systemd 252 to 257, src/shared/bootspec.c.
"""
from __future__ import annotations

import collections
import fnmatch
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

VARIABLES = "/sys/firmware/efi/efivars"
VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
PLACES = ("/efi", "/boot/efi", "/boot")
TRIAL_ID = "memlab-trial.conf"

# id: the file's name; place: the partition it is on; text: the file
Entry = collections.namedtuple("Entry", "id title release place text")


def variable(host, name):
    """A loader variable's text (UTF-16 behind four bytes of attributes), or ``None``."""
    place = "%s/%s-%s" % (VARIABLES, name, VENDOR)
    if not host.exists(place):
        return None
    return host.read_bytes(place)[4:].decode("utf-16-le", "replace").rstrip("\0")


def in_use(host):
    """Whether the firmware says that systemd-boot started this system."""
    return (variable(host, "LoaderInfo") or "").startswith("systemd-boot")


def partition(host):
    """Where the EFI system partition with systemd-boot's files is mounted, or ``None``."""
    return next((place for place in PLACES if host.exists(place + "/loader/loader.conf") or host.listdir(place + "/loader/entries")), None)


def entries(host):
    """:class:`Entry` for each file of type 1, as the menu has them: the newest release first, what has none last."""
    found = []
    for place in PLACES:
        for name in host.listdir(place + "/loader/entries"):
            if name.endswith(".conf"):
                found.append(parse(name, place, host.read("%s/loader/entries/%s" % (place, name))))
    return sorted(found, key=lambda entry: (entry.release is not None, _order(entry.release or "")), reverse=True)


def parse(name, place, text):
    """An entry from its file. What boot counting adds to the file's name (``+3-1``) is no part of its id."""
    keys = dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2 and not line.startswith("#"))
    release = keys.get("version") or (re.findall(r"vmlinuz-(\S+)$", keys.get("linux", "")) + [None])[0]
    return Entry(re.sub(r"\+\d+(-\d+)?(?=\.conf$)", "", name), keys.get("title", name), release, place, text)


def _order(release):
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.findall(r"\d+|[a-z]+", release)]


def default(host, known):
    """The entry that is started when nobody chooses: the firmware's variable, then loader.conf's pattern, then the menu's first."""
    chosen = variable(host, "LoaderEntryDefault")
    known = [entry for entry in known if entry.id != TRIAL_ID]
    for pattern in [chosen] if chosen else []:
        for entry in known:
            if fnmatch.fnmatch(entry.id, pattern):
                return entry
    place = partition(host)
    said = re.findall(r"^default\s+(\S+)", host.read_optional("%s/loader/loader.conf" % place) or "", re.MULTILINE)
    for pattern in said:
        for entry in known:
            if fnmatch.fnmatch(entry.id, pattern):
                return entry
    return known[0] if known else None


def once(host, known):
    chosen = variable(host, "LoaderEntryOneShot")
    return next((entry for entry in known if entry.id == chosen), None)


def for_release(known, release):
    return next((entry for entry in known if entry.release == release and entry.id != TRIAL_ID), None)


def trial_text(entry, parameters):
    """The file of the entry for a boot on trial: ``entry`` as it is, with further parameters behind its own."""
    lines, options = [], []
    for line in entry.text.splitlines():
        words = line.split(None, 1)
        if words and words[0] == "options":
            options.append(words[1] if len(words) == 2 else "")
        elif words and words[0] == "title":
            lines.append("title Linux %s, on trial for one boot" % entry.release)
        elif words and words[0] != "sort-key":
            lines.append(line)
    # last in every menu that is sorted
    return "\n".join(lines + ["sort-key zz-memlab-trial", "options " + " ".join(options + list(parameters))]) + "\n"


def command_line(entry):
    """The kernel's command line as this entry gives it."""
    return " ".join(line.split(None, 1)[1] for line in entry.text.splitlines() if line.split(None, 1)[:1] == ["options"] and len(line.split(None, 1)) == 2)


# changing

def set_default(host, entry):
    """Make an entry the default, and read it back. Raises :class:`TestbedError`."""
    host.run(["bootctl", "set-default", entry.id])
    if host.exists(VARIABLES) and variable(host, "LoaderEntryDefault") != entry.id:
        raise TestbedError("bootctl ended well, but the firmware's default is %s" % variable(host, "LoaderEntryDefault"))


def set_once(host, entry):
    """Choose an entry for the next boot alone, or with ``None`` none."""
    host.run(["bootctl", "set-oneshot", entry.id if entry else ""])
    if host.exists(VARIABLES) and (variable(host, "LoaderEntryOneShot") or "") != (entry.id if entry else ""):
        raise TestbedError("bootctl ended well, but the firmware's one-shot is %s" % variable(host, "LoaderEntryOneShot"))
