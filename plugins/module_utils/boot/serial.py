# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The log of a serial line: where one boot ends and the next begins."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log

_CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b.|[\x00-\x08\x0b-\x1f\x7f]")
# What UEFI firmware says before any loader.
_FIRMWARE = re.compile(r"BdsDxe: loading ")
# What GRUB's entries say (10_linux), and the firmware.
_NEXT = re.compile(r"Loading Linux \S+ \.\.\.|BdsDxe: (?:loading|starting) ")
# Of an oops, what only its addresses and registers would be of use for.
_DUMP = re.compile(r"^(\[ *[\d.]+\] ?)?\s*(Kernel Offset:|Code:|\? |(R[A-Z0-9]{2}|[CDEFG]S|CR\d|DR\d|PKRU|FS|EFLAGS)\b *: )")


def shown(text):
    """A console's lines as they may be shown: without control characters, dumps of registers and stacks, and kernel addresses."""
    return [kernel_log.without_addresses(line.rstrip()) for line in _CONTROL.sub("", text.replace("\r", "\n")).splitlines()
            if line.strip() and not _DUMP.match(line)]


def tail(text, release, lines=15):
    """The last lines of the last boot of ``release``, without control characters and kernel addresses; the log's end where no boot of it is seen.

    systemd-boot does not say what it starts: it is the boot before the last, which has the kernel that the host came back to.
    """
    text = _CONTROL.sub("", text.replace("\r", "\n"))
    start = text.rfind("Loading Linux %s ..." % release)
    if start >= 0:
        start = text.find("\n", start) + 1 or len(text)
        after = _NEXT.search(text, start)
        text = text[start:after.start() if after else len(text)]
    elif "Loading Linux " not in text:
        boots = [found.start() for found in _FIRMWARE.finditer(text)]
        if len(boots) > 1:
            start = boots[-2]
            text = text[start:boots[-1]]
    said = shown(text)
    first = kernel_log.trouble([(7, line) for line in said]) if start >= 0 else None
    return ([first] if first and first not in said[-lines:] else []) + said[-lines:]
