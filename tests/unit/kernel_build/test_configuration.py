# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fragments, and why a symbol did not come out as asked, on a small Kconfig tree and on the kernel's expressions."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import configuration, fragments
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.kconfig import Kconfig, conjuncts, evaluate

TOP = """\
mainmenu "Small"
source "arch/$(SRCARCH)/Kconfig"

config MODULES
\tbool "modules"

menu "Memory"
\tdepends on MMU

config HOTPLUG
\tbool "hotplug"
\tselect ISOLATION
\tdepends on SPARSE && (HAVE_A || HAVE_B) && \\
\t\t!BROKEN
\thelp
\t  config NOT_ONE
\t  depends on NOTHING

\t  Even after an empty line.

if HOTPLUG
config REMOVE
\tbool "remove" if EXPERT
\tdefault y
endif

endmenu

config ISOLATION
\tbool

config DRIVER
\ttristate "driver"
\tdepends on HOTPLUG=y

choice
\tprompt "which"
config ONE
\tbool "one"
config TWO
\tbool "two"
endchoice
"""


@pytest.fixture
def kconfig(tmp_path):
    (tmp_path / "arch/x86").mkdir(parents=True)
    (tmp_path / "arch/x86/Kconfig").write_text("config MMU\n\tdef_bool y\n\nconfig SPARSE\n\tbool \"sparse # no comment\"\n", encoding="ascii")
    (tmp_path / "Kconfig").write_text(TOP, encoding="ascii")
    return Kconfig(str(tmp_path))


@pytest.mark.parametrize("symbol, wanted, values, reason", [
    ("HOTPLUG", "y", {"MMU": "y"}, ["Kconfig:10: depends on SPARSE (SPARSE=n) && HAVE_A || HAVE_B (HAVE_A=n, HAVE_B=n)"]),
    ("HOTPLUG", "y", {"MMU": "y", "SPARSE": "y", "HAVE_A": "y", "BROKEN": "y"}, ["Kconfig:10: depends on !BROKEN (BROKEN=y)"]),
    ("REMOVE", "n", {"MMU": "y", "HOTPLUG": "y", "REMOVE": "y"}, ["Kconfig:22: depends on EXPERT (EXPERT=n)"]),
    ("REMOVE", "y", {"MMU": "y", "EXPERT": "y"}, ["Kconfig:22: depends on HOTPLUG (HOTPLUG=n)"]),
    ("ISOLATION", "n", {"HOTPLUG": "y", "ISOLATION": "y"}, ["it is selected by HOTPLUG=y"]),
    ("ISOLATION", "y", {}, ["it cannot be asked for: only HOTPLUG select it"]),
    ("MMU", "n", {"MMU": "y"}, ["it cannot be asked for: its value is computed"]),
    ("DRIVER", "m", {"HOTPLUG": "y"}, ["without MODULES nothing can be a module"]),
    ("SPARSE", "m", {"MODULES": "y"}, ["it is of type bool, so it cannot be a module"]),
    ("SPARSE", "3", {}, ["it is of type bool"]),
    ("TWO", "y", {"ONE": "y"}, ["it is one of a choice, of which another was taken"]),
    ("HOTPLUGG", "y", {}, ["there is no such symbol in this source, near it are HOTPLUG"]),
    ("NOT_ONE", "y", {}, ["there is no such symbol in this source"]),
])
def test_why(kconfig, symbol, wanted, values, reason):
    assert kconfig.unmet(symbol, wanted, values) == reason


@pytest.mark.parametrize("text, values, value", [
    ("A && B", {"A": "y", "B": "m"}, 1), ("A || B", {"A": "y"}, 2), ("!A", {"A": "m"}, 1), ("A = B", {}, 2), ("A=y && (B || !C)", {"A": "y"}, 2),
    ("N != 4", {"N": "4"}, 0), ("N > 0x10", {"N": "17"}, 2), ('S = "x y"', {"S": "x y"}, 2), ("$(cc-option,-m64 $(x)) && A", {"A": "y"}, 2), ("", {}, 2),
])
def test_expressions(text, values, value):
    assert evaluate(text, values) == value


@given(st.text(alphabet="AB &|!()=<>ymn\"'$,", max_size=30))
def test_any_expression_has_a_value(text):
    assert evaluate(text, {"A": "y"}) in (0, 1, 2)
    assert conjuncts(text)


def test_values_are_read_and_written_back():
    text = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="a \\"b\\""\nCONFIG_D=0x10\n'
    assert configuration.parse(text, "x") == {"A": "y", "B": "n", "C": '"a \\"b\\""', "D": "0x10"}
    assert configuration.render(configuration.parse(text, "x")) == text


@pytest.mark.parametrize("line", ["CONFIG_A=yes", "A=y", "CONFIG_A = y", "CONFIG_A=\"x", "-CONFIG_A"])
def test_a_bad_line_is_named(line):
    with pytest.raises(TestbedError, match="frag, line 2: "):
        configuration.parse("# fine\n%s\n" % line, "frag")


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True), st.sampled_from(["y", "m", "n", "12", "-1", "0xff", '"text"', '""'])))
def test_what_is_rendered_is_read(values):
    assert configuration.parse(configuration.render(values), "x") == values


def test_a_later_fragment_overrides():
    found = configuration.requested([{"name": "a", "content": "CONFIG_A=y\nCONFIG_B=y"}, {"name": "b", "content": "# CONFIG_A is not set"}])
    assert found == {"A": ("n", "b"), "B": ("y", "a")}


def test_numbers_are_the_same_in_both_ways():
    assert configuration.same("0x10", "16") and not configuration.same("y", "n") and not configuration.same('"1"', "1")


def test_fragments_by_text_path_and_name(tmp_path):
    (tmp_path / "six.config").write_text("CONFIG_A=y\n", encoding="ascii")
    assert fragments.read("CONFIG_B=y", str, "")["content"] == "CONFIG_B=y"
    for name in ("six", str(tmp_path / "six.config")):
        assert fragments.read(name, str, str(tmp_path)) == {"name": "six.config", "content": "CONFIG_A=y\n"}
    with pytest.raises(TestbedError, match="there is no fragment 'seven': shipped are: six"):
        fragments.read("seven", str, str(tmp_path))
