# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import strict_yaml
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("text, message", [
    ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice"),
    ("x:\n  - {a: 1, 'a': 2}\n", "line 2: the key 'a' stands twice"),
    ("a: [1\nb: 2\n", "line 2: expected ',' or ']', but got ':'"),
    ("a: 2001-99-99\n", "line 1: '2001-99-99' is not a value of its kind"),
    ("a: !!bool perhaps\n", "line 1: 'perhaps' is not a value of its kind"),
    ("a: !vault x\n", "line 1: could not determine a constructor for the tag '!vault'"),
    ("[a]: 1\n? {b: 1}\n: 2\n", "line 1: found unhashable key"),
    ("a: *nowhere\n", "line 1: found undefined alias 'nowhere'"),
    ("a: 1\n---\nb: 2\n", "line 2: but found another document"),
    (b"\xff\xfe\xff", "not YAML: "),
    ("[" * 1000, "nested too deeply"),
])
def test_a_mistake_is_one_line(text, message):
    with pytest.raises(TestbedError) as caught:
        strict_yaml.read(text)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_without_pyyaml_the_error_says_so(monkeypatch):
    monkeypatch.setattr(strict_yaml, "yaml", None)
    with pytest.raises(TestbedError, match="^PyYAML is not installed: install ansible-core"):
        strict_yaml.read("a: 1")


def test_merged_keys_are_no_duplicates():
    text = "base: &b {a: 1, c: 1}\nchild: &k {<<: *b, a: 2}\nlast: {<<: *k, a: 3}\n"
    assert strict_yaml.read(text) == {"base": {"a": 1, "c": 1}, "child": {"a": 2, "c": 1}, "last": {"a": 3, "c": 1}}


@given(st.text(alphabet="ab:-[]{}&*!<'\"? \n#0x_.~|>%@`,2") | st.binary())
def test_any_text_is_data_or_a_testbed_error(text):
    try:
        strict_yaml.read(text)
    except TestbedError as exc:
        assert len(str(exc).splitlines()) == 1
