# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes as people write them: ``2G``, ``512MiB``, ``256k``, or a plain number of bytes. Units are powers of 1024."""
from __future__ import annotations

import re

K, M, G, T = (1 << shift for shift in (10, 20, 30, 40))

_UNITS = (("T", T), ("G", G), ("M", M), ("K", K))
_SIZE = re.compile(r"([0-9]{1,18})(?:([KMGT])(?:i?B)?)?", re.IGNORECASE | re.ASCII)


def parse_size(value):
    """Bytes. Raises ``ValueError`` saying what is wrong with ``value``."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("%d is negative" % value)
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("%.60r is not a size: write bytes, or a number and K, M, G or T" % (value,))
    return int(found.group(1)) * dict(_UNITS).get((found.group(2) or "").upper(), 1)


def format_size(count):
    """The shortest exact form, which :func:`parse_size` and QEMU read back: ``2147483648`` -> ``2G``, ``1000`` -> ``1000``."""
    for letter, unit in _UNITS:
        if count and count % unit == 0:
            return "%d%s" % (count // unit, letter)
    return str(count)
