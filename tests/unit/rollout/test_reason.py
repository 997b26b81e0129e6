# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a host failed, in a line."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.rollout.reason import reason


NONE = "no reason given, as where a file cannot be included: see what Ansible says"


@pytest.mark.parametrize("result, line", [
    ({"msg": "the kernel 5.4 is not supported"}, "the kernel 5.4 is not supported"), ({"msg": "summary: remedy\nline of a log\n"}, "summary: remedy"),
    ({"msg": "2 of 17 statements do not hold:\n\n  block 7 is offline\nblock 8 is offline"}, "2 of 17 statements do not hold: block 7 is offline"),
    ({"msg": "a heading alone:\n"}, "a heading alone:"),
    ({"msg": "One or more items failed", "results": [{"failed": False, "msg": "All assertions passed"}, {"failed": True, "msg": "no"}]}, "no"),
    ({"msg": "All items completed", "results": []}, "All items completed"), ({"msg": ["a", "b"]}, "['a', 'b']"),
    ({"msg": ""}, NONE), ({"msg": None}, NONE), ({}, NONE), ({"msg": " \n"}, NONE),
])
def test_reason(result, line):
    assert reason(result) == line
