# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which kernel a rollout brings, told from another one of the same name."""
from __future__ import annotations

import functools
import hashlib
import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


def identity(packages, key):
    """A sorted list of words: the key of an artifact, or the packages by name and digest.

    :arg packages: paths on this controller. One that is not here is its name alone: that it cannot be installed is for the step to say.
    :arg key: of what the role ``kernel_build`` has built, or empty.
    Raises :class:`TestbedError` for a file that cannot be read.
    """
    if not packages:
        return [str(key)] if key else []
    return sorted(_of_file(path) for path in packages)


def _of_file(path):
    try:
        found = os.stat(path)
        return "%s %s" % (os.path.basename(path), _digest(path, found.st_size, found.st_mtime_ns))
    except FileNotFoundError:
        return os.path.basename(path)
    except OSError as exc:
        raise TestbedError("cannot read the kernel package %s (%s)" % (path, errno_name(exc.errno)))


@functools.lru_cache(maxsize=64)
def _digest(path, size, changed):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
