# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes in, sizes out."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size, parse_size


@pytest.mark.parametrize("text, count", [
    ("0", 0), ("1", 1), (" 512M ", 512 << 20), ("1G", 1 << 30), ("1GiB", 1 << 30), ("1gb", 1 << 30), ("1.5G", 3 << 29), ("2T", 2 << 40), (4096, 4096),
    ("3 K", 3072)])
def test_what_people_write(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["9" * 4301, "9" * 4301 + "M", "1." + "9" * 4301, "1\u212a", "\u00b2", "\u0663M",
                                  "", "G", "-1", "1X", "1.G", "1e3", "0x10", "1.3K", "1 G G", None, True, -1, 1.5, []])
def test_what_is_no_size_names_the_value(text):
    with pytest.raises(TestbedError, match="^length ") as caught:
        parse_size(text, "length")
    assert len(str(caught.value)) < 160


@given(strategies.integers(min_value=0, max_value=1 << 62))
def test_there_and_back(count):
    assert parse_size(format_size(count)) == count


@given(strategies.integers(1, 999), strategies.sampled_from("KMGTP"), strategies.sampled_from(["", "B", "iB"]))
def test_units_are_powers_of_1024(count, letter, ending):
    expected = count * 1024 ** ("KMGTP".index(letter) + 1)
    assert parse_size("%d%s%s" % (count, letter, ending)) == parse_size("%d%s%s" % (count, letter.lower(), ending)) == expected


def test_what_has_no_name_is_named_by_itself():
    with pytest.raises(TestbedError, match="^'lots' is not a size: write bytes"):
        parse_size("lots")


@given(strategies.text(max_size=12) | strategies.floats() | strategies.binary())
def test_anything_is_a_size_or_an_error(value):
    try:
        assert parse_size(value) >= 0
    except TestbedError:
        pass
