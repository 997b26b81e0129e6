# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""QMP, QEMU's control protocol, for code that is not asynchronous. The protocol itself is the library qemu.qmp's work."""
from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

try:
    from qemu.qmp import ExecuteError, QMPClient, QMPError
    MISSING = None
except ImportError as exc:
    MISSING = str(exc)

# What the library logs, our errors say.
logging.getLogger("qemu.qmp").addHandler(logging.NullHandler())

# Seconds for one command. Saving or loading a guest's memory runs in the background of QEMU and is asked for.
PATIENCE = 30.0


class Unreachable(TestbedError):
    """Nobody answers on a socket, or not in QMP: QEMU has ended, or is not that far yet."""


class Monitor(object):
    """One QMP connection, made through the directory that holds the socket (a socket's own path may be 107 bytes at most).

    It stands once QEMU has made all that its arguments ask for; the socket is there earlier. Raises :class:`Unreachable`.
    """

    def __init__(self, directory, socket="qmp.sock"):
        if MISSING is not None:
            raise TestbedError("the Python library qemu.qmp is missing on the controller (%s)" % MISSING, remedy="pip install qemu.qmp")
        with signals.postponed():
            self._loop = asyncio.new_event_loop()
            self._client = QMPClient("memlab")
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._wait(self._client.connect("/proc/self/fd/%d/%s" % (descriptor, socket)))
            except BaseException:
                self.close()
                raise
            finally:
                os.close(descriptor)

    def execute(self, command, arguments=None):
        """The command's answer. Raises :class:`TestbedError` with what QEMU said."""
        return self._wait(self._client.execute(command, arguments), command)

    def close(self):
        with signals.postponed():
            with contextlib.suppress(QMPError, OSError, EOFError, asyncio.TimeoutError):
                self._loop.run_until_complete(asyncio.wait_for(self._client.disconnect(), PATIENCE))
            self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _wait(self, awaitable, command="connecting"):
        # An exception out of a signal handler would become that of whatever task runs just then, and the library would take it for a lost connection.
        with signals.postponed():
            return self._answer(awaitable, command)

    def _answer(self, awaitable, command):
        try:
            return self._loop.run_until_complete(asyncio.wait_for(awaitable, PATIENCE))
        except ExecuteError as exc:
            raise TestbedError("QEMU refused %s: %s" % (command, exc))
        except asyncio.TimeoutError:
            raise TestbedError("QEMU did not answer %s within %d s" % (command, PATIENCE))
        except (QMPError, OSError, EOFError) as exc:
            raise Unreachable("QEMU cannot be talked to (%s): %s" % (command, exc))
