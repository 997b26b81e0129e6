# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of tasks, parsed before they are included: what the parser refuses ends Ansible there and then, and no rescue catches it."""
from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.playbook.block import Block
from ansible.playbook.helpers import load_list_of_blocks
from ansible.playbook.task_include import TaskInclude

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def check(what, path, task, loader):
    """Parse the file as Ansible does where ``task``'s play and role include it, and the files it includes by a name that is no template.

    :arg what: the setting that names it.
    Raises :class:`TestbedError` with what the parser answers.
    """
    ahead, known = [path], set()
    while ahead:
        file = ahead.pop()
        if file in known:
            continue
        known.add(file)
        try:
            ahead += _includes(_parse(file, task, loader), file, loader)
        except (AnsibleError, RecursionError) as exc:
            raise TestbedError("%s: %s is no file of tasks" % (what, file), details=str(exc).splitlines(),
                               remedy="try ansible-playbook --syntax-check on a playbook that imports it")


def _parse(path, task, loader):
    tasks = loader.load_from_file(path, trusted_as_template=True)
    if tasks is None:
        return []
    if not isinstance(tasks, list):
        raise AnsibleError("included task files must contain a list of tasks")
    common = {"role": task._role, "variable_manager": task.get_variable_manager(), "loader": loader}
    include = TaskInclude.load({"ansible.builtin.include_tasks": path}, block=task._parent, **common)
    return load_list_of_blocks(tasks, play=task.get_play(), parent_block=include, **common)


def _includes(tasks, path, loader):
    """Files that are there: one that is not there fails its host only, which is then brought back."""
    found = []
    for task in tasks:
        if isinstance(task, Block):
            found += _includes(task.block + task.rescue + task.always, path, loader)
        elif isinstance(task, TaskInclude) and task.action.endswith("include_tasks") and "{{" not in task.args["_raw_params"]:
            found.append(loader.path_dwim_relative(os.path.dirname(path), "tasks", task.args["_raw_params"]))
    return [name for name in found if os.path.isfile(name)]
