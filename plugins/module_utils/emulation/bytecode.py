# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On a tuned guest: Python keeps what it has compiled of a module's archive.

Ansible sends a module as a zip archive of its sources, and Python compiles all of them each time. Under TCG that is a third of what a module costs, or more.
So what was compiled is kept, by a hash of the source, and by the interpreter. This file is put on the image as it is, with a line that has every interpreter
call :func:`keep`.
"""
from __future__ import annotations

import _imp
import marshal
import os
import sys
import types
import zipimport

PLACE = "/var/cache/memlab/bytecode"

# on the image: this file, and what site.py reads of it (Debian's Python 3.9 to 3.14)
FILES = ("usr/lib/python3/dist-packages/memlab_bytecode.py", "usr/lib/python3/dist-packages/memlab_bytecode.pth")
START = "import memlab_bytecode; memlab_bytecode.keep()\n"


def keep(place=PLACE):
    """From now on in this process, sources out of zip archives are compiled once. :arg place: directory for what was compiled, root's own.

    The function that is replaced is zipimport's own (Lib/zipimport.py:_compile_source, 3.8 to 3.14); where there is none, all stays as it is.
    """
    compiling = getattr(zipimport, "_compile_source", None)
    if compiling is None:
        return

    def compiled(pathname, source):
        name = "%s/%s-%s" % (place, _imp.source_hash(0, source).hex(), sys.implementation.cache_tag)
        code = _kept(name)
        if code is None:
            code = compiling(pathname, source)
            _put(name, code)
        _imp._fix_co_filename(code, pathname)  # each archive has a path of its own
        return code

    zipimport._compile_source = compiled


def _kept(name):
    """``None`` where there is nothing, or what a loss of power has left of it."""
    try:
        with open(name, "rb") as stream:
            code = marshal.loads(stream.read())
    except (OSError, EOFError, ValueError, TypeError):
        return None
    return code if isinstance(code, types.CodeType) else None


def _put(name, code):
    """As it can: another user than root goes without, and so does a full disk."""
    unfinished = "%s.%d" % (name, os.getpid())
    try:
        os.makedirs(os.path.dirname(name), mode=0o700, exist_ok=True)
        with open(unfinished, "wb") as stream:
            stream.write(marshal.dumps(code))
        os.rename(unfinished, name)
    except OSError:
        pass
