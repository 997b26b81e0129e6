# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import typing

import pytest
import yaml
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.memlab.testbed.plugins.inventory import qemu
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import schema, testbed_file, topology
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import parse_size


@pytest.fixture(name="cache", autouse=True)
def fixture_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def parse(path):
    inventory = InventoryData()
    qemu.InventoryModule().parse(inventory, DataLoader(), str(path))
    return inventory


def test_the_file_of_the_first_command(example, cache):
    inventory = parse(example)
    assert list(inventory.hosts) == ["cxlhost"]
    groups = inventory.get_groups_dict()
    assert {name for name in groups if groups[name] == ["cxlhost"]} == {"testbed", "testbed_emulated", "cxl_hosts"}
    variables = inventory.hosts["cxlhost"].vars
    state = os.path.join(str(cache), "testbeds", "emulated")
    assert variables["ansible_host"] == "127.0.0.1"
    assert variables["ansible_user"] == "root"
    assert "ansible_port" not in variables
    assert variables["ansible_ssh_private_key_file"] == state + "/id_ed25519"
    assert variables["ansible_ssh_common_args"] == (
        "-o UserKnownHostsFile=%s/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o HostKeyAlias=emulated-cxlhost" % state)
    assert variables["ansible_python_interpreter"] == "/usr/bin/python3"
    assert (variables["memlab_testbed"], variables["memlab_guest"]) == ("emulated", "cxlhost")
    assert variables["memlab_testbed_file"] == str(example)
    assert variables["memlab_guest_definition"] == dataclasses.asdict(testbed_file.load(str(example)).guests["cxlhost"])


@pytest.mark.parametrize("text, port", [('{"ssh_port": 40022}', 40022), ('{"ssh_port": "40022"}', None), ("{}", None), ("[]", None), ("{", None)])
def test_a_running_guest_has_a_port(example, cache, text, port):
    directory = cache / "testbeds" / "emulated" / "cxlhost"
    directory.mkdir(parents=True)
    (directory / "connection.json").write_text(text)
    assert parse(example).hosts["cxlhost"].vars.get("ansible_port") == port


def test_a_guest_s_own_groups_and_variables(load, complete):
    path = load(complete).path
    inventory = parse(path)
    assert inventory.get_groups_dict()["testbed_lab_1"] == ["host"]
    assert inventory.hosts["host"].vars["answer"] == [42, {"deep": 1.5}]


def test_a_mistake_is_a_parser_error_of_one_line(load, complete):
    path = load(complete).path
    with open(path, "a", encoding="utf-8") as stream:
        stream.write("plugin: again\n")
    with pytest.raises(AnsibleParserError) as caught:
        parse(path)
    assert str(caught.value).endswith("the key 'plugin' stands twice")
    assert str(caught.value).startswith("lab.qemu.yml: line ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name, accepted", [("a.qemu.yml", True), ("a.qemu.yaml", True), ("qemu.yml", False), ("a.yml", False), ("a.qemu.json", False)])
def test_which_files_are_testbed_files(tmp_path, name, accepted):
    path = tmp_path / name
    path.write_text("")
    assert bool(qemu.InventoryModule().verify_file(str(path))) is accepted


def test_a_file_that_is_not_there_is_not_ours(tmp_path):
    assert not qemu.InventoryModule().verify_file(str(tmp_path / "absent.qemu.yml"))


def test_readers_of_ansible_inventory_get_plain_text(example):
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-inventory"), "-i", str(example), "--list"]
    environment = dict(os.environ, ANSIBLE_CONFIG=str(example.parents[2] / "ansible.cfg"))
    listed = subprocess.run(command, cwd=example.parents[2], env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    assert json.loads(listed)["_meta"]["hostvars"]["cxlhost"]["ansible_host"] == "127.0.0.1"


# the documentation

def record_of(hint):
    """The dataclass in a type such as ``List[Node]`` or ``Optional[Switch]``, or ``None``."""
    return next((item for item in (hint,) + typing.get_args(hint) if dataclasses.is_dataclass(item)), None)


def documented(options):
    return {name: documented(option["suboptions"]) if "suboptions" in option else None for name, option in options.items()}


def declared(cls):
    hints = typing.get_type_hints(cls)
    inner = {name: record_of(hints[name]) for name in schema.readers(cls)}
    return {name: declared(record) if record else None for name, record in inner.items()}


def check_options(options, cls):
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name not in options:
            continue
        option = options[field.name]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        assert option.get("required", False) is required, field.name
        if isinstance(field.default, (int, bool)) and field.default is not None and not (field.default == 0 and "default" not in option):
            assert (parse_size(option["default"]) if option["type"] == "str" else option["default"]) == field.default, field.name
        if record_of(hints[field.name]):
            check_options(option["suboptions"], record_of(hints[field.name]))


def test_the_documentation_names_the_keys_that_there_are():
    guest = yaml.safe_load(qemu.DOCUMENTATION)["options"]["guests"]["suboptions"]
    assert documented(guest) == declared(topology.Guest)
    check_options(guest, topology.Guest)


def test_the_example_in_the_documentation_is_valid(load):
    assert list(load(qemu.EXAMPLES).guests) == ["cxlhost"]
