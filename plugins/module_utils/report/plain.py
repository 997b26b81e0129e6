# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values without what ansible-core wraps them in: tagged strings and lazily templated containers are subclasses that libraries do not know."""
from __future__ import annotations

from collections.abc import Mapping


def plain(value):
    """The same value of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None`` only; anything else as its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {plain(key): plain(value[key]) for key in value}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
