# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How far a build is: objects done, of how many, and the time it took. Whoever wants to know reads one small file."""
from __future__ import annotations

import contextlib
import json
import os
import re
import time

# What make(1) says of one compiled object: "  CC      mm/memory_hotplug.o", "  AS [M]  crypto/sha.o".
# The kernel's own tools have absolute names, and are not counted.
_OBJECT = re.compile(r"  (?:CC|AS)(?: \[M\])? +([^/\s]\S*\.o)$")

# Seconds between two writes of the file.
_INTERVAL = 0.5


class Progress(object):
    """Counts a build's objects.

    :arg path: the file to write, ``None`` for no file.
    :arg known: names of the objects that earlier runs compiled here: an interrupted build goes on where it was.
    :arg total: how many there are, about, or ``exact``: from an earlier whole build, of which not all need be compiled again.
    """

    def __init__(self, path, known=(), total=0, exact=False):
        self._path = path
        self._began = time.monotonic()
        self._written = 0.0
        self.done = set(known)
        self.compiled = 0
        self.total = total
        self.exact = exact
        self.stage = "preparing"
        self.now = ""

    def step(self, stage):
        """Another stage has begun."""
        self.stage, self.now = stage, ""
        self._write(True)

    def line(self, text):
        """A line of make's output. Returns whether it named an object."""
        found = _OBJECT.match(text)
        if found is None:
            return False
        self.now = found.group(1)
        self.done.add(self.now)
        self.compiled += 1
        self._write(False)
        return True

    def state(self):
        return {"stage": self.stage, "done": len(self.done), "of": max(self.total, len(self.done)), "exact": self.exact, "compiled": self.compiled,
                "seconds": int(time.monotonic() - self._began), "now": self.now}

    def _write(self, always):
        if self._path is None or not (always or time.monotonic() - self._written >= _INTERVAL):
            return
        self._written = time.monotonic()
        with contextlib.suppress(OSError):
            with open(self._path + ".new", "w", encoding="utf-8") as stream:
                json.dump(self.state(), stream)
            os.replace(self._path + ".new", self._path)


def sentence(state):
    """``compiling: 310 of about 1240 objects, 2:05, mm/memory_hotplug.o``; after a whole build ``3 of at most 1237``."""
    parts = [state["stage"]]
    if state["stage"] == "compiling":
        parts[0] += ": %d of %s%d objects" % (state["done"], "at most " if state["exact"] else "about ", state["of"])
    parts.append("%d:%02d" % divmod(state["seconds"], 60))
    return ", ".join(parts + ([state["now"]] if state["now"] else []))
