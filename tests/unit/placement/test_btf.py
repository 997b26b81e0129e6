# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's type information."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import btf

INT, PTR, STRUCT, ENUM64 = 1, 2, 4, 19


def image(*types, strings=b"\0page\0page_counter\0int\0"):
    """BTF of types, each (string's offset, kind, members, size, what follows)."""
    body = b"".join(struct.pack("<III", name, kind << 24 | members, size) + rest for name, kind, members, size, rest in types)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(strings)) + body + strings


MEMBERS = bytes(24)
INT_TYPE = (19, INT, 0, 4, bytes(4))
COUNTER = (6, STRUCT, 2, 192, MEMBERS)
PAGE = (1, STRUCT, 2, 64, MEMBERS)


@pytest.mark.parametrize("types, size", [
    ([PAGE], 64), ([INT_TYPE, COUNTER, (0, PTR, 0, 1, b""), PAGE], 64), ([COUNTER], None), ([(1, PTR, 0, 8, b""), PAGE], 64),
    ([(0, ENUM64, 2, 8, MEMBERS), PAGE], 64), ([(0, 20, 0, 0, b""), PAGE], None), ([], None)])
def test_size_of_struct_page(types, size):
    assert btf.struct_size(image(*types), "page") == size


def test_no_such_name():
    assert btf.struct_size(image(PAGE), "folio") is None


@given(strategies.binary(max_size=120))
def test_any_bytes_are_read_without_a_fault(data):
    assert btf.struct_size(data, "page") is None


@given(strategies.integers(0, 200))
def test_a_file_cut_off(length):
    whole = image(INT_TYPE, COUNTER, PAGE)
    assert btf.struct_size(whole[:length], "page") in (None, 64)


def test_no_file(tmp_path):
    assert btf.struct_page(Host(str(tmp_path))) is None
