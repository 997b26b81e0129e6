# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Unified kernel images: what the sections of the PE file say of the system and the kernel in it.

Source: the UAPI Group's Unified Kernel Image specification, the PE format's headers, and what systemd-boot 252 and 257 take title, version and sort key from
(config_entry_add_unified, bootspec_pick_name_version_sort_key).
"""
from __future__ import annotations

import collections
import shlex
import struct

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

# title; version and sort_key: as the menu is ordered by; release: of the kernel, None where the image does not say
Image = collections.namedtuple("Image", "title version sort_key release")

# Bytes of a section that are read; os-release has hundreds.
_MOST = 64 << 10
_SECTIONS = 96


def describe(host, path):
    """:class:`Image` of a file, ``None`` for one that the loader does not show. Raises :class:`TestbedError` where it cannot be read."""
    try:
        with host.open_binary(path) as stream:
            found = _sections(stream)
    except OSError as exc:
        raise TestbedError("cannot read %s (%s)" % (path, errno_name(exc.errno)))
    values = {}
    for line in found.get(".osrel", "").splitlines():
        name, equals, value = line.partition("=")
        try:
            values[name.strip()] = "".join(shlex.split(value))
        except ValueError:
            pass  # a quotation without end
    title, version, sort_key = (next((values[name] for name in names if values.get(name)), None) for names in (
        ("PRETTY_NAME", "IMAGE_ID", "NAME", "ID"), ("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"), ("IMAGE_ID", "ID")))
    return Image(title, version or "", sort_key, found.get(".uname", "").strip() or None) if title else None


def _sections(stream):
    """Name -> text of the sections that say something; empty for what is no PE file."""
    start = stream.read_at(0, 64)
    if len(start) < 64 or start[:2] != b"MZ":
        return {}
    place = struct.unpack_from("<I", start, 60)[0]
    header = stream.read_at(place, 24)
    if len(header) < 24 or header[:4] != b"PE\0\0":
        return {}
    count, optional = struct.unpack_from("<H", header, 6)[0], struct.unpack_from("<H", header, 20)[0]
    table = stream.read_at(place + 24 + optional, 40 * min(count, _SECTIONS))
    found = {}
    for offset in range(0, len(table) - 39, 40):
        name, size, unused, stored, where = struct.unpack_from("<8sIIII", table, offset)
        if name.rstrip(b"\0") in (b".osrel", b".uname"):
            text = stream.read_at(where, min(size, stored, _MOST)).rstrip(b"\0").decode("utf-8", "replace")
            # where an image has several profiles, the first is the base
            found.setdefault(name.rstrip(b"\0").decode("ascii"), text)
    return found
