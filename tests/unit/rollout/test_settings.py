# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a user says of a rollout."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import settings

STEPS = list(settings.STEPS)


@pytest.mark.parametrize("variable, value", [
    ("rollout_soak_interval", 0), ("rollout_soak_interval", "-1"), ("rollout_soak_interval", True), ("rollout_soak", -1), ("rollout_soak", "1h"),
    ("rollout_reboots", -1), ("rollout_reboots", 1.5), ("rollout_reboots", None), ("rollout_reboot_timeout", 0),
])
def test_numbers_are_whole_and_large_enough(variable, value):
    settings.numbers({"rollout_soak": 0, "rollout_soak_interval": "30", "rollout_reboots": 0, "rollout_reboot_timeout": 600})
    with pytest.raises(TestbedError, match="%s: .* is not a whole number from [01] up" % variable):
        settings.numbers({variable: value})


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
    settings.check("name", STEPS, {}, [], [str(tmp_path)])
    with pytest.raises(TestbedError, match="rollout_steps: "):
        settings.check("name", steps, {}, [], [str(tmp_path)])
