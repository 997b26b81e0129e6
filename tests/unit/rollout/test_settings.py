# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user says of a rollout."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report import query
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import settings

STEPS = list(settings.STEPS)


@pytest.mark.parametrize("variable, value", [
    ("rollout_soak_interval", 0), ("rollout_soak_interval", "-1"), ("rollout_soak_interval", True), ("rollout_soak", -1), ("rollout_soak", "1h"),
    ("rollout_reboots", -1), ("rollout_reboots", 1.5), ("rollout_reboots", None), ("rollout_reboot_timeout", 0),
])
def test_numbers_are_whole_and_large_enough(variable, value):
    settings.check_hosts(variable, [(1, ["a"]), ("30", ["b"])])
    with pytest.raises(TestbedError, match="%s: .* is not a whole number from [01] up\nIt is so for b, c." % variable):
        settings.check_hosts(variable, [(1, ["a"]), (value, ["b", "c"])])


@pytest.mark.parametrize("path", ["/nowhere.yml", "relative.yml", ["/nowhere.yml"], {"a": 1}, 3])
def test_hooks_are_files(tmp_path, path):
    (tmp_path / "drain.yml").write_text("[]")
    settings.check_hosts("rollout_drain", [("", ["a"]), (None, ["c"]), (str(tmp_path / "drain.yml"), ["d"])])
    with pytest.raises(TestbedError, match="rollout_drain: there is no hook file .*: give the absolute path of a task file on the controller\nIt is so for b."):
        settings.check_hosts("rollout_drain", [("", ["a"]), (path, ["b"])])


@pytest.mark.parametrize("gates, told", [
    ("devices", "rollout_gates: 'devices' is not a list"), (["devices"], r"rollout_gates\[1\]: a gate is a dictionary with expression and message: 'devices'"),
    ([{"message": "m"}], r"rollout_gates\[1\]: a gate is a dictionary"), ([{"expression": "a", "mesage": "m"}], r"rollout_gates\[1\]: a gate is a dictionary"),
    ([{"expression": "a"}, {"expression": "devices[?"}], r"rollout_gates\[2\]: not a JMESPath expression: devices\[\? "),
    ([{"expression": 3}], r"rollout_gates\[1\]: 3 is not a JMESPath expression"),
    ([{"expression": "a.no_such(devices)"}], r"rollout_gates\[1\]: not a JMESPath expression: a.no_such\(devices\) \(there is no function no_such\)"),
    ([{"expression": "a[?length(@, b) == `1`]"}], r"rollout_gates\[1\]: .* \(the function length takes 1 argument, here 2\)"),
    ([{"expression": "sort_by(a, &not_null())"}], r"rollout_gates\[1\]: .* \(the function not_null takes 1 argument or more, here 0\)"),
    ([{"expression": "contains(a)"}], r"rollout_gates\[1\]: .* \(the function contains takes 2 arguments, here 1\)"),
])
def test_gates_are_expressions_that_can_be_evaluated(gates, told):
    good = [{"expression": "sort_by(devices[?length(blocks) > `1`], &serial)[0].not_null(a, b, c)", "message": "m"}, {"expression": "merge(a)"}]
    settings.check_hosts("rollout_gates", [([], ["a"]), (good, ["b"])])
    with pytest.raises(TestbedError, match=told):
        settings.check_hosts("rollout_gates", [(good, ["a"]), (gates, ["b"])])


def test_gates_need_their_library(monkeypatch):
    monkeypatch.setattr(query, "jmespath", None)
    with pytest.raises(TestbedError, match=r"rollout_gates\[1\]: the Python library jmespath is not installed on the controller: install it"):
        settings.check_hosts("rollout_gates", [([{"expression": "a"}], ["a"])])


def test_domains():
    assert settings.domains("rack", {"a": "x", "b": 2, "c": None, "d": ""}) == {"a": "x", "b": "2"}
    assert settings.domains("rack", {}) == {}
    with pytest.raises(TestbedError, match="rollout_domain: no host has the variable rakc"):
        settings.domains("rakc", {"a": None, "b": None})
    for domain in (["x"], {"row": 1}):
        with pytest.raises(TestbedError, match="rollout_domain: rack of b is .*, not a name"):
            settings.domains("rack", {"a": "x", "b": domain})


@pytest.mark.parametrize("steps", ["snapshot", 3, None, [], ["snapshot", "drain"], ["snapshot", "drain", "drain", "record"]])
def test_steps(tmp_path, steps):
    for step in STEPS:
        (tmp_path / (step + ".yml")).write_text("[]")
    settings.check("name", STEPS, [str(tmp_path)])
    with pytest.raises(TestbedError, match="rollout_steps: "):
        settings.check("name", steps, [str(tmp_path)])


@pytest.mark.parametrize("name", ["nowhere", "snapshot.yml", "../steps"])
def test_a_directory_of_steps_is_there(tmp_path, monkeypatch, name):
    """The role's own steps would stand in for those of a directory that is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps").mkdir()
    for step in STEPS:
        (tmp_path / (step + ".yml")).write_text("[]")
    given = name if name.startswith("..") else str(tmp_path / name)
    with pytest.raises(TestbedError, match="rollout_steps_from: there is no directory .*: give the absolute path of one on the controller"):
        settings.check("name", STEPS, [given, str(tmp_path)])
