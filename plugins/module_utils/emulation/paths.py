# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a testbed keeps what it makes: below the user's cache directory, never in the working tree."""
from __future__ import annotations

import os


def cache_directory():
    """``$MEMLAB_CACHE``, or ``memlab`` below ``$XDG_CACHE_HOME`` (``~/.cache``)."""
    chosen = os.environ.get("MEMLAB_CACHE")
    if chosen:
        return os.path.abspath(chosen)
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "memlab")


def images_directory():
    """Guest images, one directory per digest of their inputs."""
    return os.path.join(cache_directory(), "images")


def testbed_directory(testbed):
    """Keys, known hosts and guests of one testbed."""
    return os.path.join(cache_directory(), "testbeds", testbed)


testbed_directory.__test__ = False  # pytest collects functions called test*


def guest_directory(testbed, guest):
    """Disk overlay, sockets, logs and backing files of one guest."""
    return os.path.join(testbed_directory(testbed), guest)
