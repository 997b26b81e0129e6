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
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY, Block

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


def plan(blocks, amount, zone=None, descending=False):
    """Steps that leave exactly ``amount`` of ``blocks`` online, all in ``zone`` (``movable``, ``kernel``, ``None``: any).

    :arg blocks: :class:`memory.blocks.Block` in address order.
    :arg descending: from the highest address downwards instead of from the lowest upwards.

    What is online counts; surplus goes from the end; what is missing comes from the start. A block in another zone is
    taken offline and put online again, which is the only way there is.
    """
    order = list(reversed(blocks)) if descending else list(blocks)
    online = [block for block in order if block.online]
    kept, surplus = online[:amount], online[amount:]
    steps = [Step(block.id, "offline") for block in reversed(surplus)]
    misplaced = {block.id for block in kept if zone is not None and zone_kind(block.zone) != zone}
    missing = [block.id for block in order if not block.online][:amount - len(kept)]
    for block in sorted(misplaced.union(missing), reverse=descending):
        if block in misplaced:
            steps.append(Step(block, "offline"))
        steps.append(Step(block, "online" if zone is None else "online_%s" % zone))
    return steps


def plan_offline(blocks, amount, descending=True):
    """Steps that leave at least ``amount`` of ``blocks`` offline; none goes online for it.

    :arg blocks: :class:`memory.blocks.Block` in address order.
    """
    awake = [block for block in (reversed(blocks) if descending else blocks) if block.online]
    return [Step(block.id, "offline") for block in awake[:max(0, amount - (len(blocks) - len(awake)))]]


def look(host, ids):
    """List of :class:`memory.blocks.Block` in the order of ``ids``; ``state`` is ``None`` where there is no such block.

    Half of what :func:`memory.blocks.read_blocks` reads: zones of online blocks only, no nodes.
    """
    states = [None if state is None else state.decode("ascii", "replace") for state in host.read_each(MEMORY, ["memory%d/state" % number for number in ids])]
    awake = [number for number, state in zip(ids, states) if state not in (None, "offline")]
    zones = dict(zip(awake, _zones(host, awake)))
    return [Block(number, state, zones.get(number, ()), ()) for number, state in zip(ids, states)]


def _zones(host, ids):
    found = host.read_each(MEMORY, ["memory%d/valid_zones" % number for number in ids])
    return [tuple((zones or b"").decode("ascii", "replace").split()) for zones in found]


def take(host, steps, timeout=60.0, between=None, results=None):
    """Take the steps in order; returns one dict for each: ``id``, ``action``, ``errno`` (``None``: fine), ``milliseconds``, ``state``, ``zone``.

    :arg timeout: seconds that one block may last.
    :arg between: called after each block that is done, with its result and whether another follows; a :class:`TestbedError` from it ends this.
    :arg results: a list to put them in, for who wants to know them whatever happens.
    Raises :class:`StoppedAtBlock` at the first block that refuses or is not afterwards what was asked for, and when a signal asks for the end.
    """
    results, stopped = [] if results is None else results, None
    final = len(steps) - 1
    try:
        with signals.Alarm(timeout) as alarm:
            for position, step in enumerate(steps):
                # noted before it is begun: a signal must not lose it
                result = {"id": step.block, "action": step.word, "errno": None, "milliseconds": None}
                results.append(result)
                alarm.began = began = time.monotonic()
                number = _write(host, step, alarm)
                result["milliseconds"] = round((time.monotonic() - began) * 1000, 3)
                # somebody else may have been faster: what counts is the state
                if number is not None and not _matches(step, look(host, [step.block])[0]):
                    result["errno"] = errno_name(number)
                    stopped = StoppedAtBlock("memory block %d could not be put %s (%s)" % (step.block, _words(step), errno_name(number)),
                                             results, _REMEDIES.get(number))
                    break
                # a block on its way from zone to zone is not done yet
                if between is not None and (position == final or steps[position + 1].block != step.block):
                    between(result, position < final)
    except (TestbedError, signals.Interrupt) as exc:
        stopped = StoppedAtBlock(exc.summary, results, exc.remedy)
        _settle(host, steps, results)
    astray = _read_back(host, steps, results)
    if stopped is not None or astray is not None:
        raise stopped or astray
    return results


def undo(host, before, results, timeout=60.0):
    """Put blocks back as they were, the last one changed first; one that refuses does not keep the others from it.

    :arg before: ``{id: Block}`` as they were. :arg results: of :func:`take`, or of a :class:`StoppedAtBlock`.
    Returns results like :func:`take`, of what was done here.
    """
    done = []
    for number in reversed(list(dict.fromkeys(result["id"] for result in results))):
        was, now = before[number], look(host, [number])[0]
        words = []
        if now.online and (not was.online or was.zone != now.zone):
            words.append("offline")
        if was.online and (words or not now.online):
            kind = zone_kind(was.zone)
            words.append("online_%s" % kind if kind in ("movable", "kernel") else "online")
        try:
            done += take(host, [Step(number, word) for word in words], timeout)
        except StoppedAtBlock as exc:
            done += exc.results
    return done


def _settle(host, steps, results):
    """A step that a signal ended: was it done?"""
    if results and results[-1]["milliseconds"] is None:
        step = steps[len(results) - 1]
        results[-1]["errno"] = None if _matches(step, look(host, [step.block])[0]) else "EINTR"


def _write(host, step, alarm):
    """One write(2); the errno, or ``None``."""
    try:
        host.write("%s/memory%d/state" % (MEMORY, step.block), step.word)
        alarm.began = None
    except signals.TimedOut:
        return errno.ETIMEDOUT
    except OSError as exc:
        alarm.began = None
        return exc.errno
    return None


def _read_back(host, steps, results):
    """Add ``state`` and ``zone`` to the results; the first block that is not as its last step should have left it, as an error."""
    last = {result["id"]: step for result, step in zip(results, steps)}
    # an online block's valid_zones is its one zone, an offline one's both that it may join (drivers/base/memory.c:valid_zones_show, 6.1 to 7.3)
    asked = [number for number, step in last.items() if step.word != "offline"]
    found = {number: Block(number, "online", zones, ()) for number, zones in zip(asked, _zones(host, asked)) if len(zones) == 1}
    rest = [number for number in last if number not in found]
    found.update(zip(rest, look(host, rest)))
    for result in results:
        block = found[result["id"]]
        result.update(state=block.state, zone=zone_kind(block.zone))
    for result in results:
        step = last[result["id"]]
        if result["errno"] is None and not _matches(step, found[step.block]):
            return StoppedAtBlock("memory block %d was put %s without an error, and reads back %s %s"
                                  % (step.block, _words(step), result["state"], result["zone"] or ""), results, "something else changes memory blocks here")
    return None


def _matches(step, block):
    if step.word == "offline":
        return not block.online
    return block.online and (step.word == "online" or zone_kind(block.zone) == step.word[len("online_"):])


def _words(step):
    return {"offline": "offline", "online": "online"}.get(step.word) or "online in the %s zone" % step.word[len("online_"):]
