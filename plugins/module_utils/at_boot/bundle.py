# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The service's program: one archive that Python runs, of exactly those of the collection's files that the service needs.

Their text comes from where this process has them, so the program is the modules' code, of the same version, wherever a module runs.
"""
from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import zipfile

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import service
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

PREFIX = "ansible_collections.memlab.testbed.plugins.module_utils."
# Imported here for Ansible's sake, too: it brings a host what is imported, and nothing else.
ENTRY = service.__name__

_MAIN = """\
import sys

from %s import main

sys.exit(main(sys.argv[1:]))
""" % ENTRY


def program():
    """The archive's bytes: the same for the same sources. Raises :class:`TestbedError`."""
    files = {"__main__.py": _MAIN}
    for name, text in sources().items():
        parts = name.split(".")
        files["/".join(parts) + ".py"] = text
        for depth in range(1, len(parts)):
            files.setdefault("/".join(parts[:depth]) + "/__init__.py", "")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            # A fixed time, and no packing: what zlib makes of a text differs between its versions.
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, files[name])
    return content.getvalue()


def sources():
    """``{module's name: its text}``, of the service and of all of the collection that it imports."""
    found, left = {}, [ENTRY]
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = _text(name)
        for statement in ast.walk(ast.parse(found[name])):
            if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(PREFIX[:-1]):
                left.extend(_imported(statement))
    return found


def _imported(statement):
    """``from package import module`` names modules, ``from module import thing`` does not."""
    for alias in statement.names:
        inside = "%s.%s" % (statement.module, alias.name)
        try:
            is_module = importlib.util.find_spec(inside) is not None
        except (ImportError, AttributeError):
            is_module = False
        yield inside if is_module else statement.module


def _text(name):
    try:
        text = importlib.import_module(name).__loader__.get_source(name)
    except (ImportError, OSError) as exc:
        raise TestbedError("cannot read the source of %s (%s)" % (name, exc))
    if text is None:
        raise TestbedError("the source of %s is not there" % name)
    return text
