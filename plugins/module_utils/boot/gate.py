# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a kernel on trial does what it should: the running release, modules, the kernel's log, and commands of the user's.

The log is compared with what the earlier kernel had said by the time the trial began: what it said, too, is nothing new.
"""
from __future__ import annotations

import json
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.boot import loader
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log

PSTORE = ("/sys/fs/pstore", "/var/lib/systemd/pstore")
_TAIL = 15
_PART = re.compile(r"(\w[\w ]*#\d+) Part(\d+)\n")
# Said of a watchdog that is left running, which is what a trial wants of it (drivers/watchdog/watchdog_dev.c:watchdog_release), and of the boot
# parameters, among which oops=panic is no oops.
_OURS = re.compile(r"watchdog\d*: watchdog did not stop|^(Kernel c|C)ommand line: |^Unknown kernel command line parameters ")


def look(host, release, modules, known, checks, log=True):
    """What does not hold, one line each; empty when the gate is passed. Raises :class:`TestbedError` for questions that cannot be asked.

    :arg known: lines of trouble that are nothing new, as :func:`troubles` returns them. :arg checks: argument lists.
    """
    check_questions(checks)
    reasons = []
    running = loader.running(host)
    if running != release:
        reasons.append("running release: wanted %s, found %s" % (release, running))
    there = loaded(host)
    reasons += ["module %s: wanted loaded, found not loaded" % name for name in modules if name.replace("-", "_") not in there]
    if log:
        old = {shape(line) for line in known}
        reasons += ["kernel log: %s" % line for line in troubles(host) if shape(line) not in old]
    for argv in checks:
        try:
            host.run(argv, timeout=300)
        except TestbedError as exc:
            reasons.append("check: %s" % ": ".join([exc.summary] + exc.details[-1:]))
    return reasons


def check_questions(checks):
    for argv in checks:
        if not isinstance(argv, list) or not argv or not all(isinstance(word, str) and word for word in argv):
            raise TestbedError("%.80r is not a command" % (argv,), remedy="give a list of its words; no shell reads it")


def loaded(host):
    """Names of the modules that are in the kernel, loaded or built in."""
    release = loader.running(host)
    built = (host.read_optional("/lib/modules/%s/modules.builtin" % release) or "").splitlines()
    names = [re.sub(r"\.ko$", "", os.path.basename(line)).replace("-", "_") for line in built]
    return set(names) | {line.split()[0] for line in host.read("/proc/modules").splitlines() if line}


def troubles(host):
    """Every line of the kernel's log since it started that tells of trouble, free of addresses, each kind once."""
    found, shapes = [], set()
    for record in log_since_start(host)[0]:
        line = kernel_log.trouble([record])
        if line and shape(line) not in shapes and not _OURS.search(line):
            shapes.add(shape(line))
            found.append(line)
    return found


def log_since_start(host):
    """(records as :func:`kernel_log.lines` returns them, why there may have been earlier ones that nobody has any more, or ``None``).

    The kernel counts its records from 0 (kernel/printk/printk_ringbuffer.c); where its ring has gone round, the journal has what it had read before.
    """
    text = host.read_log(kernel_log.KMSG)
    records, first = kernel_log.lines(text), re.match(r"\d+,(\d+),", text)
    if first is None or first.group(1) == "0":
        return records, None
    try:
        return _of_journal(host.run(["journalctl", "-k", "-b", "-o", "json", "--all", "--no-pager"], timeout=300)) + records, None
    except (TestbedError, ValueError) as exc:
        return records, "the kernel's log does not reach back to its start any more, and the journal does not tell (%s)" % exc


def _of_journal(text):
    """The kernel's own records; a text that is not all printable comes as a list of its bytes (systemd.journal-fields(7), journalctl(1): JSON)."""
    found = [json.loads(line) for line in text.splitlines() if line]
    if not found:
        raise ValueError("it is empty")
    own = [(int(entry.get("PRIORITY", 6)), entry.get("MESSAGE") or "") for entry in found if entry.get("SYSLOG_FACILITY", "0") == "0"]
    return [(level, bytes(said).decode("utf-8", "replace") if isinstance(said, list) else said) for level, said in own]


def shape(line):
    """A line without what differs between two boots: numbers, releases, addresses."""
    return re.sub(r"\b0x[0-9a-f]+\b|\b[0-9a-f]*\d[0-9a-f]*\b", "N", re.sub(r"\b\d+\.\d+\.\d+\S*", "RELEASE", line))


def remembered(host, since=0.0):
    """The end of the last that a kernel left in persistent storage when it died; ``[]`` for nothing. :arg since: seconds since the epoch.

    systemd-pstore(8) moves the records to directories of their own, and puts those of a firmware that takes small ones only together again: dmesg.txt. Where
    it has not, part 1 is the end of the log, and the highest part its beginning (fs/pstore/platform.c:pstore_dump).
    """
    whole, parts = [], []
    for name, when in _records(host):
        text = host.read_optional(name) if when >= since else None
        if text is None:
            continue
        head = _PART.match(text)
        if name.endswith("/dmesg.txt") or not head:
            whole.append((when, name, text))
        else:
            parts.append((head.group(1), int(head.group(2)), when, text[head.end():]))
    for event in {record[0] for record in parts}:
        those = sorted(record[1:] for record in parts if record[0] == event)
        whole.append((max(when for unused, when, text in those), event, "\n".join(text for unused, when, text in reversed(those))))
    if not whole:
        return []
    together = [found for found in whole if found[1].endswith("/dmesg.txt")]
    lines = [line for line in max(together or whole)[2].splitlines() if line.strip()]
    return [kernel_log.without_addresses(line) for line in lines[-_TAIL:]]


def _records(host):
    """(path, time of its last change) of each record of a kernel's log, but for those that are packed still."""
    found = []
    for top in PSTORE:
        for directory, unused, names in os.walk(host.path(top)):
            place = top + directory[len(host.path(top)):]
            for name in names:
                if name.startswith("dmesg") and not name.endswith(".z"):
                    try:
                        found.append(("%s/%s" % (place, name), os.stat(os.path.join(directory, name)).st_mtime))
                    except FileNotFoundError:
                        pass  # systemd-pstore has moved it meanwhile
    return found
