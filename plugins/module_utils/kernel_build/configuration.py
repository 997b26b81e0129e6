# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A kernel's configuration: a base, fragments over it, and the proof that each symbol came out as it was asked for."""
from __future__ import annotations

import json
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.kconfig import Kconfig

# Bases that make(1) knows; a configuration file is the other kind.
TARGETS = ("allnoconfig", "tinyconfig", "defconfig", "localmodconfig")

_SET = re.compile(r"CONFIG_(\w+)=(.*)")
_UNSET = re.compile(r"# CONFIG_(\w+) is not set")


def parse(text, what):
    """Symbol to value, without ``CONFIG_``; strings keep their quotes, ``is not set`` is ``n``. The last line on a symbol counts.

    Raises :class:`TestbedError` for a line that is neither.
    """
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        match = _SET.fullmatch(line) or _UNSET.fullmatch(line)
        if match:
            value = match.group(2) if match.re is _SET else "n"
            if not re.fullmatch(r"[ymn]|-?\d+|0[xX][0-9a-fA-F]+|\"(?:[^\"\\]|\\.)*\"", value):
                raise TestbedError("%s, line %d: %.60r is no value of a symbol" % (what, number, value),
                                   remedy="y, m, n, a number, or a string in double quotes")
            found[match.group(1)] = value
        elif line and not line.startswith("#"):
            raise TestbedError("%s, line %d: %.60r is no line of a configuration" % (what, number, line),
                               remedy="CONFIG_NAME=value or # CONFIG_NAME is not set")
    return found


def requested(fragments):
    """What all fragments together ask for: symbol -> (value, fragment's name). A later one overrides an earlier one."""
    return {symbol: (value, each["name"]) for each in fragments for symbol, value in parse(each["content"], each["name"]).items()}


def render(values):
    return "".join("# CONFIG_%s is not set\n" % symbol if value == "n" else "CONFIG_%s=%s\n" % (symbol, value) for symbol, value in values.items())


def same(wanted, got):
    """Whether two values of a symbol are one: numbers may be written in two ways."""
    if wanted == got:
        return True
    try:
        return int(wanted, 0) == int(got, 0)
    except ValueError:
        return False


def kept(kbuild, base, fragments, key):
    """:func:`make`, unless the objects' directory has its answer for the same ``key`` from before. The key holds all that the answer depends on."""
    path = os.path.join(kbuild.objects, ".memlab.configured")
    try:
        found = json.loads(_read(path))
        if found["key"] == key:
            return found["text"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or one that was cut off while it was written
    text = make(kbuild, base, fragments)
    _write(path, json.dumps({"key": key, "text": text}))
    return text


def make(kbuild, base, fragments):
    """The final configuration's text. ``kbuild`` is :class:`make.Kbuild`; its ``.config`` is not touched.

    :arg base: ``name`` (one of :data:`TARGETS`, or a file's name), and ``content``, for a file and for ``localmodconfig`` the file to start from
        with ``modules``, the names of the modules that the host has loaded, one a line.
    Raises :class:`TestbedError` listing each symbol that is not as asked.
    """
    wanted = requested(fragments)
    overrides = {symbol: value for symbol, (value, name) in wanted.items()}
    scratch = os.path.join(kbuild.objects, ".memlab.config")
    asked = os.path.join(kbuild.objects, ".memlab.fragment")
    _write(asked, render(overrides))
    content = base.get("content")
    if content is not None:
        parse(content, base["name"])
    if base["name"] == "allnoconfig":
        # One step: a symbol that a fragment makes visible stays off unless it is asked for.
        kbuild.configure("allnoconfig", scratch, {"KCONFIG_ALLCONFIG": asked})
    else:
        if content is not None:
            _write(scratch, content)
        if base["name"] == "localmodconfig":
            modules = os.path.join(kbuild.objects, ".memlab.lsmod")
            _write(modules, base.get("modules") or "")
            kbuild.configure("olddefconfig", scratch)
            # streamline_config.pl reads the objects directory's own .config; its answer is merged like a base
            _write(scratch, kbuild.streamline(_read(scratch), modules))
        elif content is None:
            kbuild.configure(base["name"], scratch)
        start = parse(_read(scratch), base["name"])
        if "SYSTEM_TRUSTED_KEYS" not in overrides:
            start.update(_without_lost_keys(start, kbuild.source))
        # what is asked for comes last: of the symbols of a choice that are y, Kconfig takes the last one
        _write(scratch, render(dict({symbol: value for symbol, value in start.items() if symbol not in overrides}, **overrides)))
        kbuild.configure("olddefconfig", scratch)
    text = _read(scratch)
    values = parse(text, ".config")
    wrong = [(symbol, value, values.get(symbol, "n"), name) for symbol, (value, name) in wanted.items() if not same(value, values.get(symbol, "n"))]
    absent = [(symbol, value, "n", name) for symbol, (value, name) in wanted.items() if value == "n" and symbol not in values]
    known = Kconfig(kbuild.source, kbuild.srcarch) if wrong or absent else None
    # a symbol that does not exist is as off as one whose dependencies are not met
    wrong += [each for each in absent if known.symbol(each[0]) is None]
    if wrong:
        raise _not_as_asked(wrong, known, values)
    return text


def _without_lost_keys(values, source):
    """A distribution's configuration names the files of its own keys, which its source does not hold."""
    lost = {}
    for symbol in ("SYSTEM_TRUSTED_KEYS", "SYSTEM_REVOCATION_KEYS"):
        path = values.get(symbol, '""').strip('"')
        if path and not os.path.exists(os.path.join(source, path)):
            lost[symbol] = '""'
    return lost


def _not_as_asked(wrong, known, values):
    details = []
    for symbol, value, got, name in wrong:
        reasons = "; ".join(known.unmet(symbol, value, values))
        details.append("CONFIG_%s (%s): wanted %s, got %s: %s" % (symbol, name, value, got if symbol in values or known.symbol(symbol) else "nothing", reasons))
    symbol, value, got, name = wrong[0]
    first = "CONFIG_%s does not exist in this source" % symbol if known.symbol(symbol) is None else "CONFIG_%s is %s, not %s" % (symbol, got, value)
    others = "" if len(wrong) == 1 else " (and %d more)" % (len(wrong) - 1)
    return TestbedError("the configuration did not come out as asked: %s%s" % (first, others), details=details)


def _read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
