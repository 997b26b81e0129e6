# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.sizes import format_size, parse_size
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 10 ** 17))
def test_what_is_formatted_is_read_back(count):
    assert parse_size(format_size(count)) == count


@given(st.integers(1, 999), st.sampled_from("KMGT"), st.sampled_from(["", "B", "iB"]))
def test_units_are_powers_of_1024(count, letter, ending):
    expected = count * 1024 ** ("KMGT".index(letter) + 1)
    assert parse_size("%d%s%s" % (count, letter, ending)) == expected
    assert parse_size("%d%s%s" % (count, letter.lower(), ending)) == expected


@pytest.mark.parametrize("value, count", [(0, 0), (4096, 4096), ("4096", 4096), ("2G", 2147483648), ("0", 0)])
def test_examples(value, count):
    assert parse_size(value) == count


@pytest.mark.parametrize("value", ["", "G", "1.5G", "-1", -1, "1 G", "1E", "2iB", "0x10", "1G ", "1G\n", "\u0661G", True, None, 1.0, [], {}])
def test_everything_else_is_refused(value):
    with pytest.raises(ValueError):
        parse_size(value)


@given(st.text() | st.floats() | st.binary())
def test_a_value_is_a_size_or_a_value_error(value):
    try:
        assert parse_size(value) >= 0
    except ValueError:
        pass
