# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filters as Jinja calls them."""
from __future__ import annotations

import ast
import importlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies

from ansible_collections.memlab.testbed.plugins.module_utils.report import query as query_module
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain


def load(name):
    module = importlib.import_module("ansible_collections.memlab.testbed.plugins.filter." + name)
    return module.FilterModule().filters()[name]


def test_each_file_holds_the_filter_of_its_name(collection):
    for path in (collection / "plugins/filter").glob("*.py"):
        (documented,) = [statement.value for statement in ast.parse(path.read_text()).body
                         if isinstance(statement, ast.Assign) and statement.targets[0].id == "DOCUMENTATION"]
        assert yaml.safe_load(ast.literal_eval(documented))["name"] == path.stem
        assert callable(load(path.stem))


def test_query():
    query = load("query")
    assert query({"a": [{"b": 1}, {"b": 2}]}, "a[?b > `1`].b") == [2]
    assert query({}, "a") is None


@pytest.mark.parametrize("expression, words", [
    ("a[", "not a JMESPath expression: a["),
    ("", "'' is not a JMESPath expression"),
    ("  ", "is not a JMESPath"),
    (7, "7 is not a JMESPath expression"),
    ("nope(a)", "not a JMESPath expression: nope(a) (there is no function nope)"),
    ("length(a)", "the JMESPath expression length(a) cannot be evaluated"),
    ("a\n  [", "not a JMESPath expression: a ["),
    ("a ? b", "not a JMESPath expression: a ? b"),
    ("max(`[1, \"a\"]`)", "cannot be evaluated"),
    ("`[1]`[::0]", "cannot be evaluated"),
    ("`0` < `\"x\"`", "cannot be evaluated"),
])
def test_a_wrong_expression_is_named_in_one_line(expression, words):
    with pytest.raises(AnsibleFilterError) as caught:
        load("query")({"a": 1}, expression)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(strategies.text(alphabet="ab.[]()?*@&|`'\"{}:,01<=!- \n", max_size=12))
def test_no_expression_ends_in_another_error(expression):
    try:
        query_module.query({"a": [1, "b", {"a": None}], "b": {"a": 1}}, expression)
    except query_module.TestbedError as exc:
        assert "\n" not in str(exc)


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(query_module, "jmespath", None)
    with pytest.raises(AnsibleFilterError, match="jmespath is not installed on the controller"):
        load("query")({}, "a")


def test_size():
    size = load("size")
    assert size("1.5GiB") == 3 << 29
    assert size(134217728, "text") == "128M"
    assert size("1048576K", form="text") == "1G"
    with pytest.raises(AnsibleFilterError, match="'big' is not a size"):
        size("big")
    with pytest.raises(AnsibleFilterError, match="bytes or text"):
        size(1, "words")


def test_memmap_cost():
    cost = load("memmap_cost")
    assert cost("1G") == 16 << 20
    assert cost(1) == 64
    assert cost(0) == 0
    assert cost("1T", "64K") == 1 << 30
    assert cost("128M", struct_page_size=56) == 32768 * 56
    for wrong in ((1, 3000), (1, 0), (1, 4096, 0), ("x",)):
        with pytest.raises(AnsibleFilterError):
            cost(*wrong)


def test_cache_path(monkeypatch):
    monkeypatch.setenv("MEMLAB_CACHE", "/cache")
    assert load("cache_path")("reports/a.json") == "/cache/reports/a.json"
    for wrong in ("/etc/passwd", "../a", "a/../../b", 7):
        with pytest.raises(AnsibleFilterError):
            load("cache_path")(wrong)


def test_a_table_is_made_of_a_report_only():
    for wrong in (None, [], {"hosts": []}):
        with pytest.raises(AnsibleFilterError, match="not a report"):
            load("memmap_table")(wrong)


def test_plain():
    class Text(str):
        pass

    class Items(list):
        pass

    found = plain({Text("a"): Items([Text("b"), True, None, 1, 1.5, (2,)])})
    assert found == {"a": ["b", True, None, 1, 1.5, [2]]}
    # jmespath goes by the names of types.
    assert [item.__class__.__name__ for item in (*found, found["a"], *found["a"])] == ["str", "list", "str", "bool", "NoneType", "int", "float", "list"]
