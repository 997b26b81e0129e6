# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes in bytes, as people write them and as people read them. Binary units only: memory has no others."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = re.compile(r"^\s*(\d{1,30}(?:\.\d{1,30})?)\s*([KMGTP]?)(?:i?B)?\s*$", re.IGNORECASE | re.ASCII)


def parse_size(value, what="size"):
    """``1073741824``, ``"1073741824"``, ``"1G"``, ``"1GiB"``, ``"1.5G"`` -> bytes.

    :arg what: the name of the value, for the error's sake.
    Raises :class:`TestbedError` for anything else, and for a fraction that is not a whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.match(value) if isinstance(value, str) else None
    if found is None:
        raise TestbedError("%s is not a size: %.60r" % (what, value), remedy="write bytes, or a number with K, M, G or T, as 512M")
    whole, dot, fraction = found.group(1).partition(".")
    unit = 1024 ** UNITS[found.group(2).upper()]
    # Integers throughout: a float has 53 bits and petabytes need more.
    count, rest = divmod(int(whole + fraction) * unit, 10 ** len(fraction))
    if rest:
        raise TestbedError("%s is not a whole number of bytes: %.60r" % (what, value))
    return count


def format_size(count):
    """Bytes -> the largest unit that divides them exactly: ``134217728`` -> ``128M``, ``1000`` -> ``1000``."""
    for unit in ("P", "T", "G", "M", "K"):
        size = 1024 ** UNITS[unit]
        if count and count % size == 0:
            return "%d%s" % (count // size, unit)
    return "%d" % count
