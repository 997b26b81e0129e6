# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's tasks are as many whatever it has of memory blocks and devices: a task costs seconds, and modules take lists.

Each loop of a role or playbook stands here, with what it goes over. tests/fleet/test_provision.py counts the tasks of a whole play.
"""
from __future__ import annotations

import pytest
import yaml

ALLOWED = {
    # Waves, on the controller.
    ("roles/rollout/tasks/gates.yml", "{{ rollout_opened.gates }}"),
    # The steps of a rollout, and looks at a host while it soaks: what its operator chose.
    ("roles/rollout/tasks/main.yml", "{{ rollout_steps }}"),
    ("roles/rollout/tasks/steps/soak.yml",
     "{{ range(0, (rollout_soak | float / rollout_soak_interval | float) | round(0, 'ceil') | int) | list }}"),
    # A kernel's packages, and kernels that came since.
    ("roles/kernel_install/tasks/try.yml", "{{ __kernel_install_chosen }}"),
    ("roles/kernel_install/tasks/drop.yml", "{{ __kernel_install_chosen }}"),
    ("roles/kernel_install/tasks/rollback.yml", "{{ __kernel_install_since or [''] }}"),
}


def loops(node):
    """What each loop in a YAML document goes over, wherever it stands: in blocks, rescues, handlers."""
    if isinstance(node, dict):
        found = [value for key, value in node.items() if key == "loop" or str(key).startswith("with_")]
        return found + [entry for value in node.values() for entry in loops(value)]
    return [entry for value in node for entry in loops(value)] if isinstance(node, list) else []


def documents(collection):
    paths = [path for directory in ("tasks", "handlers") for path in (collection / "roles").glob("*/%s/**/*.yml" % directory)]
    for path in sorted(paths + list((collection / "playbooks").glob("**/*.yml"))):
        yield path, yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_are_no_other_loops(collection):
    found = {(str(path.relative_to(collection)), str(over)) for path, document in documents(collection) for over in loops(document)}
    assert found == ALLOWED


@pytest.mark.parametrize("text, over", [
    ("- block:\n    - debug:\n      loop: [1]\n", [[1]]), ("- debug:\n  with_items: x\n", ["x"]), ("- debug:\n", []),
    ("- block: []\n  rescue:\n    - debug:\n      loop: y\n", ["y"])])
def test_a_loop_is_seen_wherever_it_stands(text, over):
    assert loops(yaml.safe_load(text)) == over
