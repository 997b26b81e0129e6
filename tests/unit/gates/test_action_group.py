# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``module_defaults`` for group/memlab.testbed.all reaches every module, and every module says so."""
from __future__ import annotations

import ast

import yaml


def modules(collection):
    return sorted(path.stem for path in (collection / "plugins/modules").glob("*.py") if path.stem != "__init__")


def test_action_group_lists_every_module(collection):
    runtime = yaml.safe_load((collection / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == modules(collection)


def documentation(path):
    """A module's DOCUMENTATION, without importing the module."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "DOCUMENTATION":
            return yaml.safe_load(ast.literal_eval(statement.value))
    return {}


def test_every_module_documents_the_group(collection):
    wanted = {"memlab.testbed.attributes", "memlab.testbed.attributes.actiongroup_all"}
    for name in modules(collection):
        documented = documentation(collection / "plugins/modules" / (name + ".py"))
        assert wanted <= set(documented.get("extends_documentation_fragment", [])), name
