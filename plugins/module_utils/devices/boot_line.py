# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel boot parameters in a GRUB drop-in file of their own, and whether the running kernel has them.

Parameters are whole words and compared as such, but for ``memory_hotplug.memmap_on_memory``, of which the kernel says what it made of the words. Two readers
stand between the file and the kernel: the shell that sources ``/etc/default/grub.d/*.cfg``, and GRUB's own script language, in which ``$`` and some others
are special too.
"""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.boot import files, systemd_boot
from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, preflight, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

DIRECTORY = "/etc/default/grub.d"
CONFIGURATION = "/boot/grub/grub.cfg"
CMDLINE = "/proc/cmdline"
PREFIX = "50-memlab-"

# The spellings that switch it on (mm/memory_hotplug.c:set_memmap_mode, lib/kstrtox.c:kstrtobool, 6.1 to 7.3; without a value up to 6.5), and those of more.
_ON = re.compile(r"memory[-_]hotplug\.memmap[-_]on[-_]memory(=([1yYtT]|[oO][nN]).*)?")
_FORCED = {"memory_hotplug.memmap_on_memory=%s" % word for word in ("force", "FORCE")}

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_SPECIAL_TO_GRUB = re.compile(r"([$;&|<>{}#*?~\[\]!()`])")
_REFUSED = re.compile(r"[^\x21-\x7e]|[\"'\\]")


def check(parameters):
    """Refuse what is not one word of a kernel command line. Raises :class:`TestbedError`."""
    for position, word in enumerate(parameters):
        if not word or _REFUSED.search(word):
            raise TestbedError("%.80r is not one boot parameter" % word, remedy="one word each, of printable ASCII, without spaces, quotes and backslashes")
        if word in parameters[:position]:
            raise TestbedError("the boot parameter %s is given twice" % word)
        if word in ("--", "-") or word.startswith("root="):
            raise TestbedError("%s is not a parameter that belongs here" % word)


def check_name(name):
    if not _NAME.fullmatch(name) or len(name) > 60:
        raise TestbedError("%.80r cannot be part of a file's name here" % name, remedy="use lower case letters, digits, - and _")


def words(cmdline):
    """A kernel command line's words, quoted spaces kept, quotes dropped (lib/cmdline.c:next_arg, 6.12)."""
    found, word, quoted, begun = [], "", False, False
    for character in cmdline:
        if character == '"':
            quoted, begun = not quoted, True
        elif character.isspace() and not quoted:
            if begun:
                found.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
    return found + [word] if begun else found


def for_grub(word):
    """As GRUB's script language has to read it: ``memmap=4G$12G`` -> ``memmap=4G\\$12G``."""
    return _SPECIAL_TO_GRUB.sub(r"\\\1", word)


def fragment(parameters):
    """The drop-in file's text. Single quotes keep the shell out; no parameter holds one."""
    return ("# Written by memlab.testbed.boot_parameters; it owns this file.\n"
            "GRUB_CMDLINE_LINUX=\"${GRUB_CMDLINE_LINUX} \"'%s'\n" % " ".join(for_grub(word) for word in parameters))


def of_fragment(text):
    """The parameters in a file that :func:`fragment` wrote; ``[]`` for any other."""
    found = re.search(r"^GRUB_CMDLINE_LINUX=\"\$\{GRUB_CMDLINE_LINUX\} \"'([^']*)'$", text or "", re.MULTILINE)
    return [re.sub(r"\\(.)", r"\1", word) for word in found.group(1).split()] if found else []


def path(name):
    return "%s/%s%s.cfg" % (DIRECTORY, PREFIX, name)


def configured(host):
    """The words that every entry of grub.cfg for this system's kernels has, as GRUB will read them; ``None`` where there is no such file or entry.

    Entries of other systems (os-prober) and of memory testers are not ours: only the part that 10_linux wrote is looked at.
    """
    text = host.read_optional(CONFIGURATION) or ""
    own = re.search(r"^### BEGIN \S*/10_linux ###$(.*?)^### END \S*/10_linux ###$", text, re.MULTILINE | re.DOTALL)
    lines = [line.split() for line in (own.group(1) if own else "").splitlines() if re.match(r"\s*linux(efi|16)?\s", line)]
    if not lines:
        return None
    common = set(lines[0])
    for line in lines[1:]:
        common.intersection_update(line)
    return common


def in_force(host):
    return words(host.read(CMDLINE))


def reboot_needed(host, parameters, present):
    """True when the running kernel was not started as the configuration now says."""
    running = in_force(host)
    if present:
        return not all(_has(host, word, running) for word in parameters)
    return any(word in running for word in parameters)


def _has(host, word, running):
    found = dax.boot_parameter(host) if _ON.fullmatch(word) else None
    return word in running if found is None else found in ("Y", "force")


def refuse_unsupported(host, parameters):
    """Raise :class:`TestbedError` where a memmap on the device is to be allowed, and the running kernel could not make use of that."""
    if any(_ON.fullmatch(word) or word in _FORCED for word in parameters):
        preflight.refuse_no_self_hosting(host, padded=bool(_FORCED.intersection(parameters)))


def apply(host, name, parameters, present, check_mode=False):
    """The whole step. Returns ``(changed, reboot needed, text before, text after)``.

    When ``update-grub`` fails the file is put back as it was. Raises :class:`TestbedError`.
    """
    check_name(name)
    check(parameters)
    if present and not parameters:
        raise TestbedError("state: present wants at least one boot parameter")
    place = path(name)
    before = host.read_bytes(place).decode("utf-8", "replace") if host.exists(place) else None
    if present and systemd_boot.in_use(host):
        raise TestbedError("systemd-boot starts this host, and its boot parameters cannot be set in a drop-in file of GRUB, even where one is installed",
                           remedy="add %s to /etc/kernel/cmdline and have kernel-install(8) write the entries anew" % " ".join(parameters))
    earlier, entries = of_fragment(before), configured(host)
    forced = _FORCED.intersection(entries or ()).difference(earlier)
    # The kernel takes the last word, and those of this file come last.
    own = [word for word in parameters if not (forced and _ON.fullmatch(word))] if present else []
    after = fragment(own) if own else None
    meant = parameters if present else sorted(set(parameters).union(earlier))
    tool = update_tool(host)
    if tool is None and (present or before is not None):
        raise TestbedError("this host has no update-grub, so its boot parameters cannot be set in a drop-in file of GRUB",
                           remedy="where GRUB boots it, install grub2-common (Debian, Ubuntu); else write %s where its boot loader takes parameters"
                           % (" ".join(meant) or "them"))
    stale = present and (entries is None or not {for_grub(word) for word in own} <= entries)
    changed = before != after or stale
    if changed and not check_mode:
        _change(host, place, before, after, own)
    return changed, reboot_needed(host, meant, present), before or "", after or ""


def update_tool(host):
    """Path of ``update-grub``, or ``None``."""
    for directory in ("/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"):
        if host.exists(directory + "/update-grub"):
            return directory + "/update-grub"
    return None


def _change(host, place, before, after, parameters):
    files.put(host, place, after)
    try:
        host.run(["update-grub"], timeout=300)
        entries = configured(host)
        if parameters and entries is None:
            raise TestbedError("update-grub wrote no Linux entry to %s" % CONFIGURATION)
        missing = [word for word in parameters if for_grub(word) not in entries]
        if missing:
            raise TestbedError("update-grub ended well, but not every Linux entry of %s has %s" % (CONFIGURATION, " ".join(missing)),
                               remedy="see whether %s is read: grub-mkconfig has to source %s/*.cfg" % (place, DIRECTORY))
    except (TestbedError, signals.Interrupt) as exc:
        files.put(host, place, before)
        exc.details = exc.details + ["%s was put back as it was" % place]
        raise exc
