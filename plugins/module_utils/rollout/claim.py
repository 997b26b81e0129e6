# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file on a host that says which rollout it belongs to. It outlives reboots, and it stays when a rollout stops halfway."""
from __future__ import annotations

import json
import os
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import once


def look(host, path):
    """The claim, a dictionary with ``rollout``, ``id``, ``controller`` and ``since``, or ``None``. Raises :class:`TestbedError` for a damaged one."""
    text = host.read_optional(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
        if set(found) != {"rollout", "id", "controller", "since"}:
            raise ValueError("not a claim")
    except (ValueError, TypeError):
        raise TestbedError("%s does not hold a claim: %.60r" % (path, text), remedy="remove it, if no rollout is at work on this host")
    return found


def take(host, path, rollout, ident, controller, check_mode=False):
    """Claim the host; whether that changed something. Raises :class:`TestbedError` where another rollout has it."""
    for unused in range(2):
        found = look(host, path)
        if found is not None:
            _refuse_other(found, path, ident)
            return False
        if check_mode:
            return True
        try:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            once.create(host.path(path), {"rollout": rollout, "id": ident, "controller": controller, "since": now})
            return True
        except FileExistsError:
            continue
        except OSError as exc:
            raise TestbedError("cannot write %s (%s)" % (path, errno_name(exc.errno)), remedy="run as root (become: true)")
    raise TestbedError("another rollout is claiming this host now", remedy="see which one: %s" % path)


def release(host, path, ident, check_mode=False):
    """Give the host back; whether that changed something. Another rollout's claim stays."""
    found = look(host, path)
    if found is None or found["id"] != ident:
        return False
    if not check_mode:
        try:
            os.unlink(host.path(path))
        except OSError as exc:
            raise TestbedError("cannot remove %s (%s)" % (path, errno_name(exc.errno)))
    return True


def _refuse_other(found, path, ident):
    if found["id"] != ident:
        raise TestbedError("the host belongs to the rollout %s, which %s began to work on at %s" % (found["rollout"], found["controller"], found["since"]),
                           remedy="let that one end (resume it, or roll it back, there), or remove %s if it never will" % path)
