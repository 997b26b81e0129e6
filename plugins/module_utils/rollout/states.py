# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's journal says of it."""
from __future__ import annotations

PLANNED = "planned"          # nothing has been done to it, or all of that was undone
DONE = "done"                # rolled out and proven
INTERRUPTED = "interrupted"  # somewhere between; has to be repaired first
ROLLED_BACK = "rolled_back"  # failed, and is as it was before, which was proven

# What a host's last event has to be in a wave, and where a host is brought back.
GOOD = ("done", "verified")
UNDONE = ("undone",)

# Event -> state. Events that are not here say more of a state and do not change it.
_LEADS_TO = {"begun": INTERRUPTED, "failed": INTERRUPTED, "rollback_begun": INTERRUPTED, "rollback_failed": INTERRUPTED, "done": DONE,
             "rolled_back": ROLLED_BACK, "undone": ROLLED_BACK}


def state(entries):
    """One of the four words."""
    found = PLANNED
    for entry in entries:
        found = _LEADS_TO.get(entry["event"], found)
    return found


def step(entries):
    """The step that was begun last, or ``None``."""
    return next((entry["step"] for entry in reversed(entries) if entry["event"] == "begun"), None)


def before(entries):
    """What the snapshot of the latest attempt found, or ``None`` where it had not come that far: then nothing was changed either.

    A snapshot taken while the host was done or half done is not of the state before: steps begin again only after a rollback.
    """
    for entry in reversed(entries):
        if entry["event"] == "snapshot":
            return entry["before"]
        if entry["event"] in ("rolled_back", "undone"):
            return None
    return None


def done(entries):
    """The entry that says the host is done, with what it was rolled out with, or ``None`` where it is not done."""
    return next(entry for entry in reversed(entries) if entry["event"] == "done") if state(entries) == DONE else None


def in_service(entries):
    """Whether the host may be in service: then it is drained before it is brought back. From the moment its drain begins, it counts as drained."""
    found = True
    for entry in entries:
        if entry["event"] == "drained" or entry["event"] == "begun" and entry["step"] == "drain":
            found = False
        elif entry["event"] in ("done", "rolled_back", "undone") or entry["event"] == "begun" and entry["step"] == "undrain":
            found = True
    return found


def verdict(entries, run, wanted=GOOD):
    """What came of the host in one run of the rollout: ``good``, or what is wrong, in a word.

    :arg wanted: the events that are good. A host that vanished has none of them at its end, whatever it was that made it vanish.
    """
    told = [entry["event"] for entry in entries if entry.get("run") == run and (entry["event"] in _LEADS_TO or entry["event"] in ("verified", "drifted"))]
    last = told[-1] if told else None
    if last in wanted:
        return "good"
    return {"rolled_back": "rolled_back", "undone": "rolled_back", "rollback_failed": "failed", "drifted": "failed"}.get(last, "unreachable")


def reason(entries):
    """Why it failed, or ``None``."""
    return next((entry.get("reason") for entry in reversed(entries) if entry.get("reason")), None)
