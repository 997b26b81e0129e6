# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes in bytes, as people write them and as people read them. Binary units only: memory has no others."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

K, M, G, T, P = (1 << shift for shift in (10, 20, 30, 40, 50))

_UNITS = {"": 1, "K": K, "M": M, "G": G, "T": T, "P": P}
_SIZE = re.compile(r"^\s*(\d{1,30}(?:\.\d{1,30})?)\s*([KMGTP]?)(?:i?B)?\s*$", re.IGNORECASE | re.ASCII)


def parse_size(value, what=None):
    """``1073741824``, ``"1073741824"``, ``"1G"``, ``"1GiB"``, ``"1.5G"`` -> bytes.

    :arg what: the name of the value, for an error that says it.
    Raises :class:`TestbedError` for anything else, and for a fraction that is not a whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _SIZE.match(value) if isinstance(value, str) else None
    if found is None:
        raise _refused(value, what, "is not a size", "write bytes, or a number with K, M, G or T, as 512M")
    whole, dot, fraction = found.group(1).partition(".")
    # Integers throughout: a float has 53 bits and petabytes need more.
    count, rest = divmod(int(whole + fraction) * _UNITS[found.group(2).upper()], 10 ** len(fraction))
    if rest:
        raise _refused(value, what, "is not a whole number of bytes")
    return count


def format_size(count):
    """Bytes -> the largest unit that divides them exactly, which :func:`parse_size` and QEMU read back: ``134217728`` -> ``128M``, ``1000`` -> ``1000``."""
    for letter in "PTGMK":
        if count and count % _UNITS[letter] == 0:
            return "%d%s" % (count // _UNITS[letter], letter)
    return "%d" % count


def _refused(value, what, reason, remedy=None):
    return TestbedError("%s %s: %.60r" % (what, reason, value) if what else "%.60r %s" % (value, reason), remedy=remedy)
