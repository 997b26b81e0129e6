# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each role is complete, and what it documents is what it takes."""
from __future__ import annotations

import shutil

import pytest
import yaml

from ansible_collections.memlab.testbed.plugins.module_utils.devices import declaration
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def roles(collection):
    return sorted(path for path in (collection / "roles").glob("*") if path.is_dir())


def load(path):
    return yaml.safe_load(path.read_text()) or {}


def test_roles_have_the_same_files(collection):
    for role in roles(collection):
        for name in ("README.md", "defaults/main.yml", "tasks/main.yml", "meta/main.yml", "meta/argument_specs.yml"):
            assert (role / name).is_file(), "%s: no %s" % (role.name, name)


def test_defaults_and_argument_specs_agree(collection):
    for role in roles(collection):
        defaults = load(role / "defaults/main.yml")
        options = {}
        for entry_point in load(role / "meta/argument_specs.yml")["argument_specs"].values():
            options.update(entry_point.get("options", {}))
        # What has to be given has no default; everything else is in both places, with one value.
        assert set(defaults) == {name for name, option in options.items() if not option.get("required")}, role.name
        for name, option in options.items():
            if "default" in option:
                assert option["default"] == defaults[name], "%s: default of %s" % (role.name, name)


def test_role_variables_carry_the_role_name(collection):
    for role in roles(collection):
        for name in load(role / "defaults/main.yml"):
            assert name.startswith(role.name + "_"), "%s: %s" % (role.name, name)


# Roles that take the host's declared memory devices, and by which option of which entry point.
DECLARED = {"memory_devices": "memory_devices_declared", "memmap_policy": "memmap_policy_devices", "memory_hotadd": "memory_hotadd_devices",
            "verify": "verify_devices", "memory_at_boot": "memory_at_boot_devices"}


def test_a_declared_memory_device_is_the_same_to_all_roles(collection):
    """Ansible cannot share a part of a specification between roles: they are compared, with each other and with what reads them."""
    found = {}
    for role, option in DECLARED.items():
        for name, entry_point in load(collection / "roles" / role / "meta/argument_specs.yml")["argument_specs"].items():
            found[role, name] = entry_point["options"][option]["options"]
    first = found["memory_devices", "main"]
    assert [where for where, spec in found.items() if spec != first] == []
    assert tuple(first) == declaration.KEYS
    assert tuple(first["namespace"]["options"]) == declaration.NAMESPACE_KEYS
    assert {key: tuple(option["choices"]) for key, option in first.items() if "choices" in option} == declaration.CHOICES
    assert {key: tuple(option["choices"]) for key, option in first["namespace"]["options"].items() if "choices" in option} == declaration.NAMESPACE_CHOICES
    assert {key: option["default"] for key, option in first.items() if "default" in option} == declaration.DEFAULTS


@pytest.mark.parametrize("systemctl, udevadm, back", [
    ("echo Job=17", "exit 0", False), ("echo Job=", "exit 1", False), ("echo Job=", "exit 0", True),
    # neither systemd nor udev
    (None, None, True),
])
def test_a_host_is_back_when_udev_is_done(collection, tmp_path, systemctl, udevadm, back):
    """What host_reboot asks it, by the host's own shell."""
    (task,) = [task for task in load(collection / "roles/host_reboot/tasks/main.yml") if "ansible.builtin.reboot" in task]
    (tmp_path / "grep").symlink_to(shutil.which("grep"))
    for name, script in (("systemctl", systemctl), ("udevadm", udevadm)):
        if script:
            (tmp_path / name).write_text("#!/bin/sh\n%s\n" % script)
            (tmp_path / name).chmod(0o755)
    argv = ["env", "PATH=%s" % tmp_path, "/bin/sh", "-c", task["ansible.builtin.reboot"]["test_command"]]
    if back:
        Host().run(argv)
    else:
        with pytest.raises(TestbedError):
            Host().run(argv)
