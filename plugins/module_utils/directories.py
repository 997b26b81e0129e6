# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Directories of our own on the controller: a removal that fails is heard, and what a killed run left is found by its name."""
from __future__ import annotations

import contextlib
import os
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


def remove(path):
    """Remove a directory with all that is in it; one that is not there is removed already. Raises :class:`TestbedError` naming the file that stays."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        if os.path.lexists(path):
            remove(path)
    except OSError as exc:
        raise TestbedError("cannot remove %s (%s)" % (exc.filename or path, errno_name(exc.errno)), remedy="remove %s, and run again" % path)


def remove_after(failure, path):
    """:func:`remove` on the way out of something that failed already: its own error stands, and has what stays in its details."""
    try:
        remove(path)
    except TestbedError as left:
        if isinstance(failure, TestbedError):
            failure.details.append(left.summary)


@contextlib.contextmanager
def fresh(path):
    """An empty directory for the length of a ``with`` block, for whoever holds the lock that its name belongs to.

    The name is the same each time, so that what a killed run has left there is gone before this one begins. Raises :class:`TestbedError` where it cannot be
    removed; where the block failed already, its own error says so.
    """
    remove(path)
    os.makedirs(path, mode=0o700)
    try:
        yield path
    except BaseException as exc:
        remove_after(exc, path)
        raise
    remove(path)
