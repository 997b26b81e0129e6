# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Memory blocks put online and offline one by one, each with its own result.

Planning is apart from doing, so that a plan can be shown without touching anything. Blocks are written through
``memoryN/state``: unlike ``online`` it takes the zone, and unlike 7.3's ``daxX.Y/state`` it works on one block
(Documentation/admin-guide/mm/memory-hotplug.rst; drivers/base/memory.c:state_store, 6.1 to 7.3).
"""
from __future__ import annotations

import collections
import errno
import time

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY

KERNEL_ZONES = ("DMA", "DMA32", "Normal", "HighMem")

# block id and the word written to its state file
Step = collections.namedtuple("Step", "block word")

_REMEDIES = {
    errno.EBUSY: "it holds pages that cannot be moved away",
    errno.ENOMEM: "there is no memory to move its pages to",
    errno.EINVAL: "the kernel does not allow this for this block: it has holes or spans zones, or cannot join the wanted zone",
    errno.EPERM: "root only",
    errno.ETIMEDOUT: "its pages stay busy: end what uses them, or allow more time",
}


class StoppedAtBlock(TestbedError):
    """A block refused. ``results`` are those of the steps taken so far, the refused one last; what was done stays."""

    def __init__(self, summary, results, remedy=None):
        super(StoppedAtBlock, self).__init__(summary, remedy=remedy)
        self.results = results


def zone_kind(zone):
    """A zone's name -> ``movable``, ``kernel``, ``mixed`` for a block in several zones, ``None`` for none."""
    if zone is None:
        return None
    return "kernel" if zone in KERNEL_ZONES else {"Movable": "movable", "none": "mixed"}.get(zone, zone.lower())


def plan(blocks, amount, zone=None):
    """Steps that leave exactly ``amount`` of ``blocks`` online, all in ``zone`` (``movable``, ``kernel``, ``None``: any).

    :arg blocks: :class:`memory.blocks.Block` in address order.

    What is online counts; surplus goes from the end; what is missing comes from the start. A block in another zone is
    taken offline and put online again, which is the only way there is.
    """
    online = [block for block in blocks if block.online]
    kept, surplus = online[:amount], online[amount:]
    steps = [Step(block.id, "offline") for block in reversed(surplus)]
    misplaced = {block.id for block in kept if zone is not None and zone_kind(block.zone) != zone}
    missing = [block.id for block in blocks if not block.online][:amount - len(kept)]
    for block in sorted(misplaced.union(missing)):
        if block in misplaced:
            steps.append(Step(block, "offline"))
        steps.append(Step(block, "online" if zone is None else "online_%s" % zone))
    return steps


def take(host, steps, timeout=60.0):
    """Take the steps in order; returns one dict for each: ``id``, ``action``, ``errno`` (``None``: fine), ``milliseconds``, ``state``, ``zone``.

    :arg timeout: seconds that one block may last.
    Raises :class:`StoppedAtBlock` at the first block that refuses or is not afterwards what was asked for.
    """
    results = []
    for step in steps:
        began = time.monotonic()
        number = _write_state(host, step, timeout)
        elapsed = time.monotonic() - began
        results.append({"id": step.block, "action": step.word, "errno": None, "milliseconds": round(elapsed * 1000, 3)})
        if number is not None and not _is_done(host, step):
            results[-1]["errno"] = errno_name(number)
            _look(host, results)
            raise StoppedAtBlock("memory block %d could not be put %s (%s)" % (step.block, _words(step), errno_name(number)), results, _REMEDIES.get(number))
    _look(host, results)
    last = {step.block: index for index, step in enumerate(steps)}
    for index, (step, result) in enumerate(zip(steps, results)):
        if last[step.block] == index and not _matches(step, result["state"] == "online", result["zone"]):
            raise StoppedAtBlock("memory block %d was put %s without an error, and reads back %s %s"
                                 % (step.block, _words(step), result["state"], result["zone"] or ""), results, "something else changes memory blocks here")
    return results


def _write_state(host, step, timeout):
    """One write(2); the errno, or ``None``."""
    try:
        with signals.at_most(timeout):
            host.write("%s/memory%d/state" % (MEMORY, step.block), step.word)
    except signals.TimedOut:
        return errno.ETIMEDOUT
    except OSError as exc:
        return exc.errno
    return None


def _state(host, block):
    """``(online, zone kind)`` of one block now; a block that is gone counts as offline."""
    base = "%s/memory%d" % (MEMORY, block)
    if host.read_optional(base + "/state") in (None, "offline"):
        return False, None
    zones = (host.read_optional(base + "/valid_zones") or "none").split()
    return True, zone_kind(zones[0]) if len(zones) == 1 else "mixed"


def _is_done(host, step):
    """Somebody else may have been faster: what counts is the state."""
    return _matches(step, *_state(host, step.block))


def _matches(step, online, zone):
    if step.word == "offline":
        return not online
    return online and (step.word == "online" or zone == step.word[len("online_"):])


def _look(host, results):
    for result in results:
        online, zone = _state(host, result["id"])
        result["state"] = "online" if online else "offline"
        result["zone"] = zone


def _words(step):
    return {"offline": "offline", "online": "online"}.get(step.word) or "online in the %s zone" % step.word[len("online_"):]
