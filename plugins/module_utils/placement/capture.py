# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a capture holds besides copies of files: the parts of kernel memory that the proofs read, already without any kernel virtual address.

``/memlab/capture.json`` in the recorded tree. Neither page tables nor their addresses are stored, only what the walk found: which physical pages
stand behind which offsets of the memmap. Offsets do not depend on KASLR, and physical page numbers of struct pages do not tell where the
kernel is mapped. Of /proc/kpageflags the first pages of each online block are stored as (word, how often, next word).
"""
from __future__ import annotations

import json

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement import page_flags, page_tables

RECORD = "/memlab/capture.json"
FORMAT = 1

# Bytes of a struct page: 64 on distribution kernels, debugging options make it larger.
STRUCT_PAGES = range(32, 1025)


def load(host):
    """The record of a captured tree, or ``None`` on a live machine and in a tree without one. Raises :class:`TestbedError` for a damaged one."""
    if host.live or not host.exists(RECORD):
        return None
    try:
        record = json.loads(host.read(RECORD))
        if record["format"] != FORMAT:
            raise TestbedError("%s has format %r" % (RECORD, record["format"]), remedy="this collection reads format %d" % FORMAT)
        return Record(record)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as exc:
        raise TestbedError("%s is damaged (%s)" % (RECORD, exc))


class Record(object):
    """A record: what it holds of each proof, or the reason that the recording machine gave for not having it.

    Raises ``ValueError`` for other kinds of values.
    """

    def __init__(self, content):
        self.struct_page = content["struct_page"]
        if self.struct_page is not None and _number(self.struct_page) not in STRUCT_PAGES:
            raise ValueError("struct_page is %d" % self.struct_page)
        self._refused = {name: content[name]["why_not"] for name in (page_tables.NAME, page_flags.NAME)}
        for reason in self._refused.values():
            if reason is not None and not isinstance(reason, str):
                raise ValueError("why_not is %.60r" % (reason,))
        self._leaves = [(_number(offset), _number(size), _number(physical)) for offset, size, physical in content[page_tables.NAME]["leaves"]]
        self._flags = {_number(number): page_flags.Flags(int(first, 16), _number(run), None if following is None else int(following, 16))
                       for number, first, run, following in content[page_flags.NAME]["blocks"]}

    def leaves(self):
        """As :func:`page_tables.read_leaves`, including its error."""
        self._refuse(page_tables.NAME)
        return page_tables.Walk(self.struct_page, self._leaves)

    def flags(self):
        """As :func:`page_flags.read_flags`, including its error."""
        self._refuse(page_flags.NAME)
        return self._flags

    def _refuse(self, name):
        if self._refused[name] is not None:
            raise TestbedError(self._refused[name])


def _number(value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("%.60r is not a number" % (value,))
    return value


def dump(struct_page, walk, flags):
    """Text of a record. :arg walk: :class:`Walk`, or the :class:`TestbedError` it ended in; :arg flags: ``{id: Flags}``, likewise."""
    leaves, no_leaves = ([], str(walk)) if isinstance(walk, TestbedError) else (walk.leaves, None)
    blocks, no_flags = ([], str(flags)) if isinstance(flags, TestbedError) else (
        [[number, "%x" % entry.first, entry.run, None if entry.following is None else "%x" % entry.following] for number, entry in flags.items()], None)
    return json.dumps({"format": FORMAT, "struct_page": struct_page, page_tables.NAME: {"why_not": no_leaves, "leaves": leaves},
                       page_flags.NAME: {"why_not": no_flags, "blocks": blocks}}) + "\n"
