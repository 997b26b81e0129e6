# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole step of memory_blocks: every block of every entry in turn, under conditions, and what becomes of a failure."""
from __future__ import annotations

import contextlib
import os

from ansible_collections.memlab.testbed.plugins.module_utils.devices import amounts, dax, preflight, signals, unmovable
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory import online
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_size
from ansible_collections.memlab.testbed.plugins.module_utils.memory.health import Conditions, Watch, seconds
from ansible_collections.memlab.testbed.plugins.module_utils.memory.kernel_log import Log
from ansible_collections.memlab.testbed.plugins.module_utils.memory.zones import read_zones

# Lines about blocks in an error; the report has all.
LISTED = 8


class Manner(object):
    """How the blocks are gone through: ``timeout`` and ``pause`` in seconds, ``health``, ``rollback``.

    Raises :class:`TestbedError` for what makes no sense.
    """

    def __init__(self, timeout=None, pause=None, health=None, on_failure="stop"):
        self.timeout = seconds(timeout, "block_timeout", 60.0)
        self.pause = seconds(pause, "pause", 0.0, zero=True)
        self.health = Conditions(health)
        if on_failure not in ("stop", "rollback"):
            raise TestbedError("on_failure: %.60r is neither stop nor rollback" % (on_failure,))
        self.rollback = on_failure == "rollback"


def apply(host, entries, check_mode=False, manner=None):
    """The whole step, every target planned before the first block changes. Returns ``(changed, reports, before)``.

    Raises :class:`TestbedError`; where blocks were touched its ``results`` are one report per target, its ``changed`` says whether one is not as it was.
    """
    return carry_out(host, entries, amounts.places(host, entries, check_mode), check_mode, manner)


def carry_out(host, entries, found, check_mode=False, manner=None):
    """As :func:`apply`, for :func:`amounts.places` found before."""
    manner = manner or Manner()
    wanted = amounts.targets(host, entries, found)
    plans = [_plan(target) for target in wanted]
    amounts.keep_boot_memory(host, wanted, plans)
    before = [report(target) for target in wanted]
    if check_mode:
        planned = [_planned(host, target, steps) for target, steps in zip(wanted, plans)]
        return any(entry["changed"] for entry in planned), planned, before
    results = []
    if any(plans):
        with _log(host, manner.health.kernel_log) as log:
            try:
                _take(host, plans, manner, log, results)
            except (TestbedError, signals.Interrupt) as exc:
                _failed(host, wanted, plans, results, manner, log, exc)
                raise exc
    after = [_done(target, results) for target in wanted]
    return any(plans), after, before


def _plan(target):
    if target.state == "offline":
        return online.plan_offline(target.blocks, target.amount, target.descending)
    return online.plan(target.blocks, target.amount, target.zone, target.descending)


def _take(host, plans, manner, log, results):
    watch = None
    if manner.health.any:
        watch = Watch(manner.health, _available(host) if manner.health.free_memory is not None else None, log)
        watch.look()

    def between(result, more):
        if watch:
            watch.look(result)
        if more and manner.pause:
            host.pause(manner.pause)
    online.take(host, [step for steps in plans for step in steps], manner.timeout, between if watch or manner.pause else None, results)


def _available(host):
    """A function that tells the bytes which DRAM can give."""
    nodes, page = preflight.dram_nodes(host, dax.read_all(host), block_size(host)), os.sysconf("SC_PAGE_SIZE")
    return lambda: preflight.available(read_zones(host), nodes) * page


@contextlib.contextmanager
def _log(host, needed):
    """The kernel's log from now on; ``None`` where it cannot be read and need not be."""
    try:
        log = Log(host)
    except TestbedError:
        if needed:
            raise
        yield None
        return
    with log:
        yield log


def _failed(host, wanted, plans, results, manner, log, exc):
    """Say what stays, or undo it; all of it goes into the error."""
    with contextlib.suppress(signals.Interrupt), signals.deferred():  # one that comes meanwhile: the failure ends the run, too
        before = {block.id: block for target in wanted for block in target.blocks}
        # what a signal left without its state
        for result, block in zip(results, online.look(host, [result["id"] for result in results])):
            result.update(state=block.state, zone=online.zone_kind(block.zone))
        details, pages, unscanned = _why(host, plans, results, log)
        undone = []
        if manner.rollback:
            undone = online.undo(host, before, results, manner.timeout)
            details += _undoing(undone)
        touched = list(dict.fromkeys(result["id"] for result in results))
        different = [block.id for block in online.look(host, touched) if (block.state, block.zone) != (before[block.id].state, before[block.id].zone)]
        exc.results = []
        for target in wanted:
            entry = _done(target, results + undone, results, different)
            own = {block.id for block in target.blocks}
            entry["unmovable"] = [page for page in pages if page["id"] in own]
            entry["unscanned"] = len(own.intersection(unscanned))
            if manner.rollback:
                entry["undone"] = [result for result in undone if result["id"] in own]
            exc.results.append(entry)
        exc.changed = bool(different)
        # the entry that failed is the one to read about; before the first block there is none
        last = results[-1]["id"] if results else None
        for target, entry in zip(wanted, exc.results):
            if last in {block.id for block in target.blocks}:
                exc.summary = "%s: %s" % (target.place.who, exc.summary)
                details.insert(0, "%s has %d of %d blocks online now; %s" % (
                    target.place.who, entry["online"], entry["blocks"],
                    "what this call did was undone as far as is said here" if manner.rollback else "blocks done before stay as they are"))
        exc.details = list(exc.details) + details


def _why(host, plans, results, log):
    """Lines and :func:`unmovable.report` about a block that would not go offline, ``([], [], [])`` where the failure was another."""
    last = results[-1] if results else None
    if last is None or last["action"] != "offline" or last["errno"] not in ("EBUSY", "ETIMEDOUT", "EAGAIN"):
        return [], [], []
    done = {result["id"] for result in results}
    others = [step.block for steps in plans for step in steps if step.word == "offline" and step.block not in done]
    if log is not None:
        log.news()
    pages, unscanned = unmovable.report(host, last["id"], others, log.seen if log else [])
    lines = [unmovable.sentence(entry) for entry in pages[:LISTED]]
    lines += ["and %d more memory blocks, see unmovable" % (len(pages) - LISTED)] if len(pages) > LISTED else []
    lines += ["the pages of %d of the memory blocks were not looked at" % len(unscanned)] if unscanned else []
    return lines, pages, unscanned


def _undoing(undone):
    good = [result["id"] for result in undone if result["errno"] is None]
    lines = ["undone, in this order: memory block %s" % ", ".join(map(str, dict.fromkeys(good)))] if good else []
    return lines + ["could not undo: memory block %d does not go %s (%s), it stays %s" % (result["id"], result["action"], result["errno"], result["state"])
                    for result in undone if result["errno"] is not None]


def _done(target, results, listed=None, different=None):
    """:func:`report` after ``results``. :arg listed: those to show. :arg different: ids of blocks that are not as they were, where not all changed are."""
    own = {block.id for block in target.blocks}
    mine = [result for result in results if result["id"] in own]
    changed = bool(mine) if different is None else bool(own.intersection(different))
    return dict(report(target, mine), changed=changed, results=[result for result in (results if listed is None else listed) if result["id"] in own])


def _planned(host, target, steps):
    """The report as it would be, with what would keep blocks from going offline as far as that shows beforehand."""
    zones = {"offline": None, "online": "online"}
    would = [{"id": step.block, "state": "offline" if step.word == "offline" else "online", "zone": zones.get(step.word, step.word[len("online_"):])}
             for step in steps]
    entry = dict(report(target, would), changed=bool(steps) or target.missing, results=[{"id": step.block, "action": step.word} for step in steps])
    if target.missing:
        # amounts count the blocks that will be there
        entry.update(online=target.amount, bytes_online=target.amount * target.place.unit, zones={target.zone: target.amount} if target.amount else {})
    leaving = [step.block for step in steps if step.word == "offline"]
    if leaving:
        entry["unmovable"], unscanned = unmovable.report(host, None, leaving, [])
        entry["unscanned"] = len(unscanned)
    return entry


def report(target, results=()):
    """One target's state, in numbers that do not grow with it.

    :arg results: of :func:`online.take`, whose blocks were read since the target was.
    """
    kinds = {block.id: online.zone_kind(block.zone) if block.online else None for block in target.blocks}
    kinds.update((result["id"], result["zone"] if result["state"] == "online" else None) for result in results)
    zones = {}
    for kind in kinds.values():
        if kind is not None:
            zones[kind] = zones.get(kind, 0) + 1
    awake = sum(zones.values())
    return dict(target.place.named, blocks=len(kinds), online=awake, bytes_online=awake * target.place.unit, zones=zones, nodes=target.place.nodes)


def outline(entry):
    """The part of a report that is declared, for a diff."""
    return {key: entry[key] for key in ("memory_devices", "namespace", "soft_reserved", "node", "start", "size", "online", "zones") if key in entry}
