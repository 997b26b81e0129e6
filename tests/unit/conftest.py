# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shared by all unit tests."""
from __future__ import annotations

import importlib
import json
import os
import pathlib

import pytest
from ansible.module_utils.testing import patch_module_args
from hypothesis import settings

MODULES = "ansible_collections.memlab.testbed.plugins.modules."

# A slow or shared machine must not turn a right answer into a failure, nor chance a change that has nothing to do with it:
# everybody gets the same examples, and `make explore` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("explore" if os.environ.get("EXPLORE") else "same")


@pytest.fixture(scope="session")
def collection():
    """The checkout's top directory."""
    return pathlib.Path(__file__).parents[2]


@pytest.fixture(name="call")
def fixture_call(monkeypatch, capsys):
    """Runs a module as Ansible does, on a host or, with ``None``, where we are; returns its exit code and its answer, which is all that it may print."""
    def call(name, host, parameters, check_mode=False, diff=False):
        module = importlib.import_module(MODULES + name)
        with monkeypatch.context() as patched, patch_module_args(dict(parameters, _ansible_check_mode=check_mode, _ansible_diff=diff)):
            if host is not None:
                patched.setattr(module, "Host", lambda: host)
            with pytest.raises(SystemExit) as ended:
                module.main()
        printed = capsys.readouterr()
        assert printed.err == ""
        return ended.value.code, json.loads(printed.out)
    return call


@pytest.fixture(name="refused")
def fixture_refused(call):
    """Runs a module that has to fail, in check mode and without; returns the one error that it gives both times."""
    def refused(name, host, parameters):
        code, answer = call(name, host, parameters, check_mode=True)
        assert code == 1 and answer["failed"] and answer["msg"].strip() and "Traceback" not in json.dumps(answer), answer
        code, again = call(name, host, parameters)
        assert code == 1 and not answer.get("changed") and again["msg"] == answer["msg"], again
        return answer["msg"]
    return refused


@pytest.fixture(name="four_steps")
def fixture_four_steps(call):
    """Check mode, run, run again, check mode again, each judged by what ``state()`` finds; the answers of the first and the second."""
    def four_steps(name, host, parameters, state):
        before, answers, after = state(), [], []
        for check_mode in (True, False, False, True):
            code, answer = call(name, host, parameters, check_mode, diff=True)
            assert code == 0, answer
            answers.append(answer)
            after.append(state())
        assert [answer["changed"] for answer in answers] == [True, True, False, False]
        assert after[0] == before != after[1] == after[2] == after[3]
        return answers[:2]
    return four_steps
