# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the machine bears what is being done to it: looked at before the first memory block and after each."""
from __future__ import annotations

import math

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size

MEGA = float(1 << 20)
LONGEST = 86400.0


class Conditions(object):
    """What must hold, as declared.

    ``free_memory``: bytes of DRAM that must stay to be had, or ``None``. ``kernel_log``: no new line of trouble in the kernel's log.
    ``block_seconds``: none may last longer, or ``None``.
    """

    def __init__(self, declared=None):
        """:arg declared: a dict with these keys, each may be missing. Raises :class:`TestbedError`."""
        declared = declared or {}
        given = declared.get("free_memory")
        self.free_memory = None if given is None else parse_size(given, "health: free_memory")
        self.kernel_log = bool(declared.get("kernel_log"))
        self.block_seconds = seconds(declared.get("block_seconds"), "health: block_seconds", None)

    @property
    def any(self):
        return self.kernel_log or self.free_memory is not None or self.block_seconds is not None


def seconds(value, what, default, zero=False):
    """A span of time that makes sense, ``default`` for ``None``. Raises :class:`TestbedError`."""
    if value is None:
        return default
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not (0 <= found <= LONGEST) or not found and not zero:
        raise TestbedError("%s: %.60r is not a number of seconds %s" % (what, value, "from 0 to %d" % LONGEST if zero else "above 0, at most %d" % LONGEST))
    return found


class Watch(object):
    """Looks at :class:`Conditions` on a host.

    :arg available: function that returns the bytes of DRAM to be had.
    :arg log: :class:`kernel_log.Log`, begun with the call.
    """

    def __init__(self, conditions, available, log):
        self._conditions = conditions
        self._available = available
        self._log = log

    def look(self, result=None):
        """Raise :class:`TestbedError` saying which condition does not hold.

        :arg result: of the block just changed, as :func:`memory.online.take` makes it; ``None`` before the first.
        """
        when = "before the first memory block" if result is None else "after memory block %d" % result["id"]
        if self._conditions.block_seconds is not None and result and result["milliseconds"] > self._conditions.block_seconds * 1000:
            raise TestbedError("unhealthy %s: it took %.3f s, at most %g s are allowed" % (when, result["milliseconds"] / 1000, self._conditions.block_seconds))
        if self._conditions.free_memory is not None:
            left = self._available()
            if left < self._conditions.free_memory:
                raise TestbedError("unhealthy %s: DRAM can give %.1f MiB, and %.1f MiB must stay" % (when, left / MEGA, self._conditions.free_memory / MEGA),
                                   remedy="free memory, or ask for less to stay")
        if self._conditions.kernel_log:
            said = kernel_log.trouble(self._log.news())
            if said is not None:
                raise TestbedError("unhealthy %s: the kernel's log says: %s" % (when, said), remedy="look into the kernel's log first")
