# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration fragments on the controller: a file, one that the collection brings, or a text."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


def read(wanted, absolute, shipped):
    """``name`` and ``content`` of a fragment.

    :arg wanted: a text (``CONFIG_NAME=value`` lines), a path (it has a slash), or a name.
    :arg absolute: a function that makes a path absolute.
    :arg shipped: directory of the fragments that have a name.
    Raises :class:`TestbedError`.
    """
    if wanted.startswith(("CONFIG_", "#")):
        return {"name": wanted.splitlines()[0], "content": wanted}
    if "/" in wanted:
        path = absolute(wanted)
    else:
        path = os.path.join(shipped, wanted + ".config")
        if not os.path.isfile(path):
            known = sorted(name[:-len(".config")] for name in (os.listdir(shipped) if os.path.isdir(shipped) else ()) if name.endswith(".config"))
            raise TestbedError("there is no fragment %r" % wanted,
                               remedy="shipped are: %s; a path of your own needs a slash (./%s)" % (", ".join(known) or "none", wanted))
    try:
        with open(path, encoding="utf-8") as stream:
            return {"name": os.path.basename(path), "content": stream.read()}
    except OSError as exc:
        raise TestbedError("cannot read the fragment %s (%s)" % (path, errno_name(exc.errno)))
    except UnicodeDecodeError:
        raise TestbedError("the fragment %s is not text" % path)
