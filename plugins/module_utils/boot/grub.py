# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""GRUB's menu and what it starts next: entries of grub.cfg, the environment block, the default and the one-shot.

Read from the files, so that a recorded tree will do; changed by GRUB's own grub-editenv. Source: GRUB 2.06 to 2.12, util/grub.d/00_header.in,
util/grub-mkconfig_lib.in and grub-core/lib/envblk.c.
"""
from __future__ import annotations

import collections
import contextlib
import re
import shlex

from ansible_collections.memlab.testbed.plugins.module_utils.boot import files
from ansible_collections.memlab.testbed.plugins.module_utils.devices import boot_line, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

CONFIGURATION = boot_line.CONFIGURATION
# What 41_custom has GRUB read behind it.
CUSTOM = "/boot/grub/custom.cfg"
ENVIRONMENT = "/boot/grub/grubenv"
# The entry for a boot on trial, and what has grub.cfg read it.
TRIAL = "/boot/grub/memlab-trial.cfg"
TRIAL_ID = "memlab-trial"
HOOK = "/etc/grub.d/44_memlab-trial"
# Read after the host's own files: the default is what is saved, not what is newest.
PIN = boot_line.DIRECTORY + "/60-memlab-saved-default.cfg"
PIN_TEXT = "# Written by memlab.testbed: the default entry is chosen by grub-set-default, never by installing a kernel.\nGRUB_DEFAULT=saved\n"
_HOOK_TEXT = """\
#!/bin/sh
# Written by memlab.testbed: the entry for a kernel on trial is in a file of its own.
cat << 'EOF'
if [ -f $prefix/memlab-trial.cfg ]; then
  source $prefix/memlab-trial.cfg
fi
EOF
"""

# id: as grub-set-default takes it, submenus before it with ">"; body: its lines; options: what stands behind the title but for the id, as it is written;
# open: whether it and the submenus before it are there for everybody, where superusers are set
Entry = collections.namedtuple("Entry", "id title release body options open")

_OPENS = re.compile(r"^\s*(menuentry|submenu)\s+(.*)\{\s*$")
_WORD = re.compile(r"(?:'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.|[^\s'\"\\])+")
_ID_OPTIONS = ("$menuentry_id_option", "--id", "${menuentry_id_option}")
_LINUX = re.compile(r"^\s*linux(?:efi|16)?\s+\S*?vmlinu[zx]-(\S+)(.*)$")


def entries(host):
    """:class:`Entry` for each entry, in the menu's order; the trial's, where there is one, comes last."""
    return parse(host.read_optional(CONFIGURATION) or "") + parse(host.read_optional(TRIAL) or "")


def parse(text):
    """The entries in a GRUB script, submenus followed, conditions not."""
    found, path, opens, body, title, place, options, depth = [], [], [], None, None, None, [], 0
    for line in text.splitlines():
        opened = _OPENS.match(line)
        if body is None and opened:
            (title, place), options = _names(opened.group(2)), _options(opened.group(2))
            if opened.group(1) == "submenu":
                path.append(place)
                opens.append(_is_open(options))
            else:
                body = []
        elif body is not None and line.strip() == "}" and depth == 0:
            found.append(Entry(">".join(path + [place]), title, _release(body), body, options, all(opens) and _is_open(options)))
            body = None
        elif body is not None:
            depth += 1 if line.rstrip().endswith("{") else -1 if line.strip() == "}" else 0
            body.append(line)
        elif line.strip() == "}" and path and depth == 0:
            path.pop()
            opens.pop()
        elif line.rstrip().endswith("{"):
            depth += 1
        elif line.strip() == "}":
            depth = max(0, depth - 1)
    return found


def _names(words):
    """(title, id) from the words of a menuentry; without an id the title is one."""
    try:
        parts = shlex.split(words, posix=True)
    except ValueError:
        parts = words.split()
    title, place = parts[0] if parts else "", None
    for option, value in zip(parts[1:], parts[2:]):
        if option in _ID_OPTIONS:
            place = value
    return title, place or title


def _options(words):
    """What a menuentry has behind its title, quotes as they stand, without its id."""
    found = _WORD.findall(words)[1:]
    return [word for before, word in zip([""] + found, found) if word not in _ID_OPTIONS and before not in _ID_OPTIONS]


def _is_open(options):
    """Whether nobody is asked for a password first (grub-core/commands/menuentry.c:grub_cmd_menuentry: users come before unrestricted)."""
    return "--unrestricted" in options and not any(word.partition("=")[0] == "--users" for word in options)


def _release(body):
    """The kernel release that an entry starts; an entry for repairs (``single``, ``recovery``) is nobody's choice and has none."""
    for line in body:
        found = _LINUX.match(line)
        if found:
            return None if {"single", "recovery"} & set(found.group(2).split()) else found.group(1)
    return None


def environment(text):
    """The variables in an environment block."""
    found = {}
    for line in (text or "").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name] = re.sub(r"\\(.)", r"\1", value)
    return found


def default(host, known):
    """The entry that GRUB starts when nobody chooses: what ``set default`` says in grub.cfg, followed through the environment. ``None`` for nothing known."""
    said = re.findall(r"^\s*set default=\"?([^\"\n]*)\"?\s*$", host.read_optional(CONFIGURATION) or "", re.MULTILINE)
    said = [word for word in said if word != "${next_entry}"]
    word = said[0] if said else "0"
    if word == "${saved_entry}":
        word = environment(host.read_optional(ENVIRONMENT)).get("saved_entry") or "0"
    return resolve(word, known)


def once(host, known):
    """The entry chosen for the next boot alone, or ``None``."""
    word = environment(host.read_optional(ENVIRONMENT)).get("next_entry")
    return resolve(word, known) if word else None


def resolve(word, known):
    """The entry that a default's text (``0``, ``1>2``, titles or ids joined by ``>``) means. GRUB takes the menu's first for what it does not find."""
    by_number = _numbered(known)
    for entry in known:
        if word in (entry.id, entry.title) or word.split(">")[-1] in (entry.id.split(">")[-1], entry.title):
            return entry
    return by_number.get(word, known[0] if known else None)


def _numbered(known):
    """``{"0": entry, "1>0": entry}``: places in the menu and its submenus."""
    found, places, counts = {}, {}, collections.Counter()
    for entry in known:
        parts, prefix = entry.id.split(">"), ""
        for depth in range(len(parts)):
            key = tuple(parts[:depth + 1])
            if key not in places:
                places[key] = counts[prefix]
                counts[prefix] += 1
            prefix = "%s>%d" % (prefix, places[key]) if prefix else str(places[key])
        found[prefix] = entry
    return found


def for_release(known, release):
    """The entry that starts this release for good: in a submenu if there is one, because the menu's top is always the newest. ``None`` where there is none."""
    found = [entry for entry in known if entry.release == release and entry.id != TRIAL_ID]
    return next((entry for entry in found if ">" in entry.id), found[0] if found else None)


def pinned(host):
    """Whether the default is an entry that was saved, by this collection's file and in what GRUB reads."""
    saved = environment(host.read_optional(ENVIRONMENT)).get("saved_entry")
    return bool(saved) and host.read_optional(PIN) == PIN_TEXT.rstrip("\n") and _takes_saved(host)


def _takes_saved(host):
    return "set default=\"${saved_entry}\"" in (host.read_optional(CONFIGURATION) or "")


def why_not_once(host):
    """Why GRUB could not take an entry for one boot back by itself, or ``None``: it writes its environment block to plain disks only (00_header)."""
    mounts = [line.split(" - ") for line in host.read("/proc/self/mountinfo").splitlines()]
    places = {before.split()[4]: after.split() for before, after in mounts}
    place = next(name for name in ("/boot/grub", "/boot", "/") if name in places)
    kind, source = places[place][0], places[place][1]
    real = host.resolve(source)
    if kind in ("btrfs", "zfs"):
        return "GRUB cannot write its environment block on %s" % kind
    if re.match(r"/dev/(dm-|md|mapper/)", real):
        return "GRUB cannot write its environment block on %s (LVM, RAID or encryption)" % source
    return None


def why_not_alone(host, entry):
    """Why GRUB would not start this entry without somebody at its console, or ``None``: with superusers, it asks for a password (grub_menu_execute_entry)."""
    text = "\n".join(host.read_optional(name) or "" for name in (CONFIGURATION, CUSTOM))
    if entry.open or not re.search(r"^\s*set\s+superusers=[\"']?[^\s\"']", text, re.MULTILINE):
        return None
    return "GRUB has superusers and asks for a password before it starts %s" % entry.id


def command_line(entry):
    """The kernel's command line as this entry gives it, without GRUB's own escapes."""
    line = next(found for found in map(_LINUX.match, entry.body) if found)
    return " ".join(re.sub(r"\\(.)", r"\1", word) for word in line.group(2).split())


# changing

def write_environment(host, **variables):
    """Set variables of the environment block, or remove those given as ``None``, and read them back. Raises :class:`TestbedError`."""
    if not host.exists(ENVIRONMENT):
        host.run(["grub-editenv", ENVIRONMENT, "create"])
    for name, value in variables.items():
        host.run(["grub-editenv", ENVIRONMENT] + (["unset", name] if value is None else ["set", "%s=%s" % (name, value)]))
    found = environment(host.read(ENVIRONMENT))
    for name, value in variables.items():
        if found.get(name) != value:
            raise TestbedError("grub-editenv ended well, but %s holds %s=%s" % (ENVIRONMENT, name, found.get(name)))


def pin(host, entry):
    """Make ``entry`` the saved default, first in the environment, then in the configuration, so that no moment has another default.

    What fails is undone. Raises :class:`TestbedError`.
    """
    earlier = environment(host.read_optional(ENVIRONMENT)).get("saved_entry")
    write_environment(host, saved_entry=entry.id)
    with _as_they_were(host) as before:
        try:
            files.put(host, PIN, PIN_TEXT)
            files.put(host, HOOK, _HOOK_TEXT, 0o755)
            if before != {PIN: PIN_TEXT, HOOK: _HOOK_TEXT} or not pinned(host):
                update(host)
            if not pinned(host):
                raise TestbedError("update-grub ended well, but %s does not take the saved entry for its default" % CONFIGURATION,
                                   remedy="see whether a file in %s after %s sets GRUB_DEFAULT" % (boot_line.DIRECTORY, PIN))
        except (TestbedError, signals.Interrupt):
            with signals.deferred():
                write_environment(host, saved_entry=earlier)
            raise


def unpin(host):
    """Take back what :func:`pin` has written: what is the default is GRUB's own configuration's to say again. Raises :class:`TestbedError`."""
    if host.exists(PIN) or host.exists(HOOK):
        with _as_they_were(host):
            files.put(host, PIN, None)
            files.put(host, HOOK, None)
            update(host)
    if not _takes_saved(host) and environment(host.read_optional(ENVIRONMENT)).get("saved_entry"):
        write_environment(host, saved_entry=None)


@contextlib.contextmanager
def _as_they_were(host):
    """Yields the texts of both files (``None``: absent), and puts them back when something fails: what GRUB reads has not come of the new ones."""
    before = {name: host.read_bytes(name).decode("utf-8", "replace") if host.exists(name) else None for name in (PIN, HOOK)}
    try:
        yield before
    except (TestbedError, signals.Interrupt):
        with signals.deferred():
            files.put(host, PIN, before[PIN])
            files.put(host, HOOK, before[HOOK], 0o755)
        raise


def update(host):
    """Have grub.cfg written anew. Raises :class:`TestbedError`."""
    host.run(["update-grub"], timeout=300)


def trial_text(entry, parameters):
    """GRUB script of the entry for a boot on trial: ``entry`` as it is, whoever may start it, with further parameters behind its own."""
    body = []
    for line in entry.body:
        if _LINUX.match(line):
            line = line.rstrip() + "".join(" " + boot_line.for_grub(word) for word in parameters)
        body.append(line.strip())
    options = "".join(word + " " for word in entry.options)
    return "menuentry 'Linux %s, on trial for one boot' %s--id %s {\n\t%s\n}\n" % (entry.release, options, TRIAL_ID, "\n\t".join(body))
