# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From plain data (what YAML gave us) to dataclasses, refusing whatever the dataclass does not declare.

A field's type says how its value is read: ``Annotated[type, reader]``. A reader takes a value and the key path where it stands, and returns
the value to keep or raises :class:`Refused`. A null value means the same as no value.
"""
from __future__ import annotations

import dataclasses
import difflib
import re
import typing

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size

NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)


class Refused(Exception):
    """A value that cannot be accepted. ``where`` is its key path (``cxl.windows[0].size``), ``message`` one line."""

    def __init__(self, where, message):
        super(Refused, self).__init__("%s: %s" % (where, message) if where else message)
        self.where = where
        self.message = message


def readers(cls):
    """Name to reader of each key that the dataclass ``cls`` is read from; a field without a reader is no key."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


def below(where, name):
    """Key path of ``name`` in the mapping at ``where``."""
    name = name if isinstance(name, str) and re.fullmatch(r"[\w-]{1,60}", name) else show(name)
    return "%s.%s" % (where, name) if where else name


def show(value):
    """A value in an error message: on one line, and never a page of it."""
    return "%.60r" % (value,)


def nearest(name, known):
    """``; did you mean X?`` when something known resembles ``name``, else what is known."""
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return "; did you mean %s?" % close[0]
    return "; known: %s" % ", ".join(sorted(known)) if known else ""


# readers

def mapping(value, where):
    if not isinstance(value, dict):
        raise Refused(where, "%s is not a mapping" % show(value))
    return value


def record(cls):
    """Reads a mapping into the dataclass ``cls``."""
    known = readers(cls)
    required = [field.name for field in dataclasses.fields(cls) if field.default is field.default_factory is dataclasses.MISSING]

    def read(value, where):
        for item in mapping(value, where):
            if item not in known:
                raise Refused(below(where, item), "unknown key" + nearest(item, known))
        given = {item: known[item](inner, below(where, item)) for item, inner in value.items() if inner is not None}
        for item in required:
            if item not in given:
                raise Refused(below(where, item), "is missing")
        return cls(**given)
    return read


def list_of(read_item, least=0):
    """Reads a list of at least ``least`` items."""
    def read(value, where):
        if not isinstance(value, list):
            raise Refused(where, "%s is not a list" % show(value))
        if len(value) < least:
            raise Refused(where, "needs at least %d item%s" % (least, "" if least == 1 else "s"))
        return [read_item(item, "%s[%d]" % (where, index)) for index, item in enumerate(value)]
    return read


def matching(pattern, what):
    """Reads text that ``pattern`` describes completely; ``what`` is its description in words."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value, where):
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise Refused(where, "%s is not %s" % (show(value), what))
        return value
    return read


name = matching(NAME.pattern, "a name: a small letter, then small letters, digits, _ or -")


def one_of(*words):
    """Reads one of ``words``."""
    def read(value, where):
        if value not in words:
            raise Refused(where, "%s is none of %s" % (show(value), ", ".join(words)))
        return value
    return read


def boolean(value, where):
    if not isinstance(value, bool):
        raise Refused(where, "%s is neither true nor false" % show(value))
    return value


def whole(least, most):
    """Reads a whole number from ``least`` to ``most``."""
    def read(value, where):
        if not isinstance(value, int) or isinstance(value, bool):
            raise Refused(where, "%s is not a whole number" % show(value))
        if not least <= value <= most:
            raise Refused(where, "%s is not from %d to %d" % (show(value), least, most))
        return value
    return read


def size(multiple, least=1):
    """Reads a size into bytes: a multiple of ``multiple`` bytes, and at least ``least`` of them."""
    def read(value, where):
        try:
            count = parse_size(value)
        except TestbedError as exc:
            raise Refused(where, str(exc))
        if count < least:
            raise Refused(where, "%s is less than %s" % (format_size(count), format_size(least)))
        if count % multiple:
            raise Refused(where, "%s is not a multiple of %s" % (format_size(count), format_size(multiple)))
        if count >= 1 << 63:
            raise Refused(where, "%s is more than any machine has" % show(value))
        return count
    return read


def literal(value, where):
    """Plain data of any shape: what a host variable may hold."""
    if isinstance(value, dict):
        for item in value:
            if not isinstance(item, str):
                raise Refused(below(where, item), "a key has to be text")
        return {item: literal(value[item], below(where, item)) for item in value}
    if isinstance(value, list):
        return [literal(item, "%s[%d]" % (where, index)) for index, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise Refused(where, "%s is not plain text, a number, a list or a mapping: put it in quotes" % show(value))


def variables(value, where):
    """Host variables: a mapping whose keys are Ansible variable names."""
    for item in mapping(value, where):
        if not isinstance(item, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", item):
            raise Refused(below(where, item), "%s is not a variable name" % show(item))
    return literal(value, where)
