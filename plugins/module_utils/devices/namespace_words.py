# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be said of a namespace at all, whatever the machine is: the same for a declaration, for who makes it, and for who looks for it."""
from __future__ import annotations

import re
import uuid as uuids

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

NAME_BYTES = 63  # drivers/nvdimm/nd.h:NSLABEL_NAME_LEN, and its end
# What the kernel takes off both ends of a name (drivers/nvdimm/namespace_devs.c:__alt_name_store), byte by byte: lib/ctype.c calls 0xa0 a space, too.
_SPACES = b" \t\n\v\f\r\xa0"
_KERNEL_NAME = re.compile(r"(namespace|dax|pmem|region|nmem)[0-9.]+")


def is_kernel_name(word):
    return _KERNEL_NAME.fullmatch(word) is not None


def check_name(name):
    """Refuse a name by which the namespace could not be made, or not be found again. Raises :class:`TestbedError`."""
    # what is not printable need not be text that can be encoded
    if not name.isprintable() or not 0 < len(name.encode("utf-8")) <= NAME_BYTES:
        raise TestbedError("a namespace's name has 1 to %d bytes and is printable, this is not: %.80r" % (NAME_BYTES, name))
    if is_kernel_name(name) or _is_uuid(name):
        raise TestbedError("%s is no name for a namespace: %s" % (name, "it is a uuid" if _is_uuid(name) else "it is the kernel's own numbering"))
    if name.encode("utf-8").strip(_SPACES) != name.encode("utf-8"):
        raise TestbedError("%r is no name for a namespace: the kernel takes spaces, and the byte 0xa0, off its ends" % name)


def check_mode(mode, said):
    """Refuse what a namespace in this mode does not have. :arg said: keys that something is said of. Raises :class:`TestbedError`."""
    for key in ("map", "align"):
        if key in said and mode not in ("fsdax", "devdax"):
            raise TestbedError("a %s namespace has no %s" % (mode, key), remedy="only fsdax and devdax have one")
    if "sector_size" in said and mode == "devdax":
        raise TestbedError("a devdax namespace has no sectors", remedy="leave sector_size out")


def _is_uuid(text):
    try:
        return bool(uuids.UUID(text))
    except ValueError:
        return False
