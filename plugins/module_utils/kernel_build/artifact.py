# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Built kernels: each a directory of the cache under the digest of its inputs, moved there when it is complete."""
from __future__ import annotations

import hashlib
import json
import os

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import cache_directory

# To be counted up when a kernel made from the same inputs would come out different.
RECIPE = 2


def kernels_directory():
    """Artifacts, one directory per key."""
    return os.path.join(cache_directory(), "kernels")


def build_directory():
    """Sources, trees, objects and ccache."""
    return os.path.join(cache_directory(), "kernel_build")


def key(inputs):
    """The digest of everything that the result depends on, as JSON types."""
    return hashlib.sha256(json.dumps(dict(inputs, recipe=RECIPE), sort_keys=True).encode("utf-8")).hexdigest()[:20]


def directory(name):
    return os.path.join(kernels_directory(), name)


def manifest(name):
    """The manifest of an artifact, ``None`` where there is none or one of its files is not there."""
    try:
        with open(os.path.join(directory(name), "manifest.json"), encoding="utf-8") as stream:
            found = json.load(stream)
        whole = all(os.path.getsize(os.path.join(directory(name), file)) == entry["size"] for file, entry in found["artifacts"].items())
    except (OSError, ValueError, KeyError):
        return None
    return found if whole else None


def described(path):
    """Size and digest of a file, for the manifest."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return {"size": os.path.getsize(path), "sha256": digest.hexdigest()}


def answer(name, found):
    """What roles pass on: the fact ``kernel_build_artifact``."""
    place = directory(name)
    return {"key": name, "release": found["release"], "directory": place, "manifest": os.path.join(place, "manifest.json"),
            "packages": [os.path.join(place, file) for file in sorted(found["artifacts"]) if file.endswith(".deb")]}
