# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A file that only one of many can make."""
from __future__ import annotations

import errno
import json
import os


def create(path, content, mode=0o755):
    """Write a file of JSON that appears whole or not at all, and only where there was none; it is on the disk when this returns.

    :arg mode: of directories that are made for it. Raises ``FileExistsError`` for whoever comes second, and any other ``OSError``.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=mode, exist_ok=True)
    except FileExistsError as exc:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), exc.filename)
    new = "%s.%d" % (path, os.getpid())
    with open(new, "w", encoding="ascii") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(new, path)
    finally:
        os.unlink(new)
