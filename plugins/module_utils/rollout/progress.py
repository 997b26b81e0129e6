# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a rollout is, from what the callback sees."""
from __future__ import annotations

EVENTS = {"done": "good", "verified": "good", "drifted": "failed", "rolled_back": "rolled back", "rollback_failed": "failed", "undone": "brought back"}


class Progress:
    """Counts hosts and waves. :arg clock: returns seconds."""

    def __init__(self, clock):
        self._clock = clock
        self._begun = None
        self._began = {}
        self.total = 0
        self.waves = []
        self.outcomes = {}
        self.name = None
        self._back = False

    def opened(self, plan, back=False):
        """What the run has to do is known. :arg plan: as rollout_plan returns it. :arg back: whether hosts that are brought back have ended."""
        self._back = back
        self.name = plan["name"]
        self.total = sum(len(wave) for wave in plan["waves"])
        self._begun = self._clock()

    def event(self, host, event, now=None):
        """A host's journal got an entry. Returns a line, or ``None`` for one that is not its end.

        :arg now: when that was, on the clock of who wrote it; by default it is now.
        """
        now = self._clock() if now is None else now
        began = self._began.setdefault(host, now)
        if event not in EVENTS:
            return None
        self.outcomes[host] = EVENTS[event]
        if event == "undone":
            self._began.pop(host)
        return "%s: %s, %s; %d of %d hosts%s" % (host, EVENTS[event], _time(now - began), self._ended(), self.total, self._eta())

    def closed(self, wave, verdict, wanted="done"):
        """A wave's gate has counted, hosts of other controllers among them. Returns a line. :arg wanted: as rollout_gate was asked."""
        self.waves.append({"wave": wave, "passed": verdict["passed"], "good": len(verdict["good"]), "failed": verdict["failed"],
                           "unreachable": verdict["unreachable"], "rolled_back": verdict["rolled_back"]})
        for word, outcome in (("good", "brought back" if wanted == "undone" else "good"), ("failed", "failed"), ("unreachable", "unreachable"),
                              ("rolled_back", "rolled back")):
            self.outcomes.update(dict.fromkeys(verdict[word], outcome))
        return "wave %d %s: %s%s" % (wave, "passed" if verdict["passed"] else "did not pass", verdict["message"], self._eta() if verdict["passed"] else "")

    def summary(self):
        """The whole as a dictionary, or ``None`` where there was no rollout."""
        if self.name is None:
            return None
        counts = {}
        for outcome in self.outcomes.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        return {"name": self.name, "hosts": self.total, "outcomes": dict(sorted(counts.items())), "untouched": self.total - len(self.outcomes),
                "waves": self.waves, "bad": {host: outcome for host, outcome in sorted(self.outcomes.items()) if outcome not in ("good", "brought back")},
                "seconds": round(self._clock() - self._begun, 1)}

    def _ended(self):
        """How many hosts have ended. One that is brought back before its wave has not."""
        return sum(outcome != "brought back" or self._back for outcome in self.outcomes.values())

    def _eta(self):
        """As the hosts took so far, so will the others."""
        ended, spent = self._ended(), self._clock() - self._begun
        left = self.total - ended
        return ", about %s to go" % _time(spent / ended * left) if left > 0 and ended else ""


def _time(seconds):
    seconds = int(round(seconds))
    return "%d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
