# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signals as an error like any other, so that what was held or half done is put right before the process ends."""
from __future__ import annotations

import contextlib
import signal
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(TestbedError):
    """A signal asked us to end: what leaves :func:`as_errors`."""


class Interrupt(BaseException):
    """The same within it. No :class:`TestbedError`: who can go on without what a tool or a file would have said must not go on after this.

    Who undoes something on an error catches it by name, and adds to it as to that one.
    """

    def __init__(self, summary, remedy):
        super(Interrupt, self).__init__(summary)
        self.summary, self.details, self.remedy, self.changed = summary, [], remedy, False


@contextlib.contextmanager
def as_errors():
    """Within, the first of SIGTERM, SIGINT, SIGHUP raises :class:`Interrupt`; later ones are ignored while we put things right. :class:`Interrupted` leaves."""
    def interrupt(number, frame):
        for other in ENDING:
            signal.signal(other, signal.SIG_IGN)
        raise Interrupt("interrupted by %s" % signal.Signals(number).name, remedy="what was held back is restored; run again to finish")

    before = [(number, signal.getsignal(number)) for number in ENDING]
    try:
        try:
            for number in ENDING:
                signal.signal(number, interrupt)
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)
    except Interrupt as exc:
        failure = Interrupted(exc.summary)
        vars(failure).update(vars(exc))
        raise failure from None


@contextlib.contextmanager
def deferred():
    """Within, those signals wait: for a few writes that must all be done or the host is left in a state nobody asked for."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def postponed():
    """Within, those signals are noted, and act at its end. A process started within inherits no blocked signal, as it would from :func:`deferred`."""
    noted = []
    before = [(number, signal.signal(number, lambda number, frame: noted.append(number))) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        if noted:
            signal.raise_signal(noted[0])


class TimedOut(Exception):
    """The time given to an :class:`Alarm` has passed."""


class Alarm(object):
    """Bounds system calls that the kernel may loop in for ever (mm/memory_hotplug.c:offline_pages gives up only on a signal). Main thread only.

    A call is begun by setting ``began`` (time.monotonic) and ended by setting it to ``None``; one that lasts ``seconds`` is interrupted, and
    :class:`TimedOut` raised. One clock runs for all calls: a timer set for each would cost as much as the calls do.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.began = None

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        return self

    def __exit__(self, *unused):
        self.began = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)

    def _look(self, number, frame):
        left = self.seconds if self.began is None else self.seconds - (time.monotonic() - self.began)
        # a call interrupted too early is made again by Python; never 0, which would stop the clock
        signal.setitimer(signal.ITIMER_REAL, max(left, 0.001) if left > 0 else self.seconds)
        if left <= 0:
            self.began = None
            raise TimedOut()
