# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signals as an error like any other, so that what was held or half done is put right before the process ends."""
from __future__ import annotations

import contextlib
import signal

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(TestbedError):
    """A signal asked us to end."""


@contextlib.contextmanager
def as_errors():
    """Within, the first of SIGTERM, SIGINT, SIGHUP raises :class:`Interrupted`; later ones are ignored while we put things right."""
    def interrupt(number, frame):
        for other in ENDING:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupted("interrupted by %s" % signal.Signals(number).name, remedy="what was held back is restored; run again to finish")

    before = [(number, signal.signal(number, interrupt)) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def deferred():
    """Within, those signals wait: for a few writes that must all be done or the host is left in a state nobody asked for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class TimedOut(Exception):
    """The time given to an :class:`Alarm` has passed."""


class Alarm(object):
    """Bounds system calls that the kernel may loop in for ever (mm/memory_hotplug.c:offline_pages gives up only on a signal). Main thread only.

    Between :meth:`start` and :meth:`stop`, SIGALRM interrupts the call when the time has passed, and :class:`TimedOut` is raised.
    """

    def __init__(self):
        self._running = False

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, self._expire)
        return self

    def __exit__(self, *unused):
        self._running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def start(self, seconds):
        self._running = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def stop(self):
        """The clock may run on: the next start sets it anew, and meanwhile its end means nothing."""
        self._running = False

    def _expire(self, number, frame):
        if self._running:
            self._running = False
            raise TimedOut()
