# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The declaration that a host keeps for its next boot: a JSON file, written by the module and read by the service."""
from __future__ import annotations

import collections
import json

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.health import seconds

PATH = "/etc/memlab/memory.json"
# Of the file's form. A service that meets another one does nothing: what it does not know it cannot apply.
VERSION = 1

# memory_devices: the declared list; offline: whether blocks may be taken offline where a memmap has to move; wait: seconds for the devices to appear;
# block_timeout: seconds that one memory block may last
Declared = collections.namedtuple("Declared", "memory_devices offline wait block_timeout")
_KINDS = {"memory_devices": list, "offline": bool, "wait": (int, float), "block_timeout": (int, float)}


def dump(declared):
    """The file's text: the same for the same declaration. Raises :class:`TestbedError` for a mistake in it."""
    check(declared)
    return json.dumps(dict(declared._asdict(), version=VERSION), indent=2, sort_keys=True) + "\n"


def allowing(entries):
    """``entries``, each of which says that data may be lost unless it says something of its own. Raises :class:`TestbedError` for a mistake in them."""
    return [dict({"allow_data_loss": True}, **entry.asked) for entry in declaration.parse(entries)]


def load(text):
    """:class:`Declared`. Raises :class:`TestbedError` for whatever is not exactly what :func:`dump` writes."""
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise TestbedError("%s is not JSON (%s)" % (PATH, exc), remedy="have the role memory_at_boot write it again")
    if not isinstance(found, dict) or found.get("version") != VERSION:
        version = found.get("version") if isinstance(found, dict) else None
        raise TestbedError("%s is of version %.60r, and this service knows version %d only" % (PATH, version, VERSION),
                           remedy="have the role memory_at_boot write both again")
    keys = set(found) - {"version"}
    if keys != set(_KINDS):
        raise TestbedError("%s does not hold what it should: %s" % (PATH, ", ".join(sorted(keys ^ set(_KINDS)))))
    for key, kind in _KINDS.items():
        if not isinstance(found[key], kind) or isinstance(found[key], bool) != (kind is bool):
            raise TestbedError("%s: %s is %.60r" % (PATH, key, found[key]))
    declared = Declared(**{key: found[key] for key in _KINDS})
    check(declared)
    return declared


def check(declared):
    """Refuse what no host could meet. Raises :class:`TestbedError`."""
    declaration.parse(declared.memory_devices)
    for key in ("wait", "block_timeout"):
        seconds(getattr(declared, key), key, None)
