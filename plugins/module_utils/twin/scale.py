# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rule by which a twin is smaller than its host: one power of two for all that it divides, then the nearest size that can be.

So two devices keep their ratio unless alignment forbids it, nothing vanishes, and the same host always gives the same twin.
"""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size

LARGEST_DIVISOR = 1 << 40


def divisor(parts, budget, what, option):
    """The least power of two that makes ``parts``, each as (bytes, least unit), fit in ``budget`` bytes together.

    Raises :class:`TestbedError` where not even the least of everything fits; :arg option: what the user can raise.
    """
    least = sum(unit for size, unit in parts if size)
    if least > budget:
        raise TestbedError("%s need %s at least, and %s is %s" % (what, format_size(least), option, format_size(budget)),
                           remedy="say %s: %s or more" % (option, format_size(least)))
    by = 1
    while by < LARGEST_DIVISOR and sum(scaled(size, by, unit) for size, unit in parts) > budget:
        by *= 2
    return by


def scaled(size, by, unit):
    """``size / by``, rounded to the nearest multiple of ``unit`` that is not nothing; 0 stays 0."""
    return max(1, (2 * size + by * unit) // (2 * by * unit)) * unit if size else 0


def shares(counts, budget):
    """``counts`` as they are if ``budget`` allows, else that many in proportion, each at least 1 that was not 0."""
    there = [count for count in counts if count]
    if sum(counts) <= max(budget, len(there)):
        return list(counts)
    beyond, rest = sum(there) - len(there), max(0, budget - len(there))
    found = [1 + (count - 1) * rest // beyond if count else 0 for count in counts]
    found[counts.index(max(counts))] += max(0, budget - sum(found))
    return found
