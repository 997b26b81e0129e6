# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import copy
import dataclasses
import json

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import qemu_arguments, testbed_file
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MINIMAL = "plugin: memlab.testbed.qemu\ntestbed: t\nguests: {a: }\n"


def refusal(load, data, **options):
    with pytest.raises(TestbedError) as caught:
        load(data, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_the_file_of_the_first_command(example):
    testbed = testbed_file.load(str(example))
    assert (testbed.name, testbed.path, list(testbed.guests)) == ("emulated", str(example), ["cxlhost"])
    guest = testbed.guests["cxlhost"]
    assert guest.name == "cxlhost"
    assert [(device.serial, device.volatile) for device in guest.cxl.memory_devices] == [(1, 1 << 30), (2, 1 << 30)]
    assert [(window.targets, window.size, window.granularity) for window in guest.cxl.windows] == [(["hb0"], 4 << 30, 4096), (["hb1"], 4 << 30, 4096)]
    assert [port.name for where, bridge, port in guest.cxl.memory_ports() if port.device is None] == ["rp1", "rp3"]


def test_what_is_not_said_is_filled_in(load):
    guest = load(MINIMAL).guests["a"]
    assert (guest.memory, guest.cpus, guest.max_memory, guest.slots) == (2 << 30, 2, 2 << 30, 0)
    assert [(node.memory, node.cpus) for node in guest.numa.nodes] == [(2 << 30, [0, 1])]


def test_nvdimms_get_slots_and_room_with_their_labels(load):
    guest = load(MINIMAL.replace("a: ", "a: {nvdimms: [{name: n, size: 1G}, {name: m, size: 16M, label_area: 0}]}")).guests["a"]
    assert guest.slots == 2
    assert guest.max_memory == (2 << 30) + (1 << 30) + (2 << 20) + (16 << 20)


def test_persistent_memory_gets_a_label_area(load, complete):
    devices = {device.name: device.label_area for device in load(complete).guests["host"].cxl.memory_devices}
    assert devices == {"mem_a": None, "mem_b": 512 << 10, "mem_c": 256 << 10, "mem_d": 256 << 10}


def test_a_guest_s_keys_win_over_the_defaults(load, complete):
    complete["defaults"] = {"memory": "1G", "cpus": 4}
    complete["guests"]["other"] = None
    guests = load(complete).guests
    assert (guests["host"].memory, guests["host"].cpus) == (3 << 30, 4)
    assert (guests["other"].memory, guests["other"].cpus) == (1 << 30, 4)


def test_a_definition_is_plain_data(load, complete):
    definition = dataclasses.asdict(load(complete).guests["host"])
    assert json.loads(json.dumps(definition)) == definition
    assert definition["cxl"]["memory_devices"][0] == {"name": "mem_a", "serial": 1, "volatile": 256 << 20, "persistent": 0, "label_area": None}


@pytest.mark.parametrize("text, message", [
    ("", "lab.qemu.yml: None is not a mapping"),
    ("- a\n", "lab.qemu.yml: ['a'] is not a mapping"),
    ("a: 1\na: 2\n", "lab.qemu.yml: line 2: the key 'a' stands twice"),
    ("testbed: t\nguests: {a: }\n", "lab.qemu.yml: plugin: is missing"),
    (MINIMAL.replace("memlab.testbed.qemu", "memlab.testbed.qemo"), "lab.qemu.yml: plugin: 'memlab.testbed.qemo' is not memlab.testbed.qemu"),
    (MINIMAL.replace("guests", "guest"), "lab.qemu.yml: guest: unknown key; did you mean guests?"),
    (MINIMAL.replace("{a: }", "{}"), "lab.qemu.yml: guests: none is declared"),
    (MINIMAL.replace("a:", "localhost:"), "lab.qemu.yml: guests.localhost: localhost is a name that Ansible or the testbed uses itself"),
    (MINIMAL.replace("a:", "Host:"),
     "lab.qemu.yml: guests.Host: 'Host' is not a guest's name: a small letter, then small letters, digits, _, - or single dots"),
    (MINIMAL.replace("a:", "1:"), "lab.qemu.yml: guests.1: 1 is not a guest's name: a small letter, then small letters, digits, _, - or single dots"),
    (MINIMAL.replace("a: ", "a..b: "), "lab.qemu.yml: guests.'a..b': 'a..b' is not a guest's name"),
    (MINIMAL.replace("a: ", "a: 3"), "lab.qemu.yml: guests.a: 3 is not a mapping"),
    (MINIMAL.replace("a: ", "a: {vars: &v {x: *v}}"), "lab.qemu.yml: guest a: nested too deeply, or within itself"),
    (MINIMAL.replace("a: ", "a: {vars: {x: 2026-01-01}}"),
     "lab.qemu.yml: guest a: vars.x: datetime.date(2026, 1, 1) is not plain text, a number, a list or a mapping: put it in quotes"),
    (MINIMAL.replace("a: ", "a: {vars: {no-name: 1}}"), "lab.qemu.yml: guest a: vars.no-name: 'no-name' is not a variable name"),
    (MINIMAL.replace("a: ", 'a: {"two\\nlines": 1}'), "lab.qemu.yml: guest a: 'two\\nlines': unknown key; known: cpus, cxl, groups, "),
])
def test_mistakes_in_the_frame(load, text, message):
    assert refusal(load, text).startswith(message)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(TestbedError, match=r"absent\.qemu\.yml \(ENOENT\)$"):
        testbed_file.load(str(tmp_path / "absent.qemu.yml"))


# every place of the complete testbed, and what may be put there

def places(data, path=()):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in items:
        yield path + (name,)
        yield from places(value, path + (name,))


ODD = st.sampled_from([None, True, 0, -1, 1, 2, 5, 300, 1 << 64, 1 << 70, 0.5, float("nan"), "", "1G", "256M", "1", "16T", "1e9",
                       "hb0", "hb1", "mem_a", "mem_d", "rp1", "no such", "a\nb", [], [[]], ["hb0", "hb0"], [0], {}, {"name": "x"}, {1: 2},
                       {"name": "x", "device": "mem_d"}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(changes=st.data())
def test_a_changed_testbed_is_valid_or_refused_in_one_line(load, complete, changes):
    data = copy.deepcopy(complete)
    for change in range(changes.draw(st.integers(1, 3))):
        path = changes.draw(st.sampled_from(list(places(data)) or [("guests",)]))
        holder = data
        for step in path[:-1]:
            holder = holder[step]
        action = changes.draw(st.sampled_from(["replace", "remove", "rename", "repeat"]))
        if action == "replace" or path[-1] not in (holder if isinstance(holder, dict) else range(len(holder))):
            holder[path[-1]] = changes.draw(ODD)
        elif action == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            value = holder.pop(path[-1])
            if action == "rename" and isinstance(holder, dict):
                holder[changes.draw(st.sampled_from(["names", "memroy", "x", 7, None, "size"]))] = value
    try:
        testbed = load(data)
    except TestbedError as exc:
        assert str(exc).startswith("lab.qemu.yml: ")
        assert len(str(exc).splitlines()) == 1
        return
    for guest in testbed.guests.values():
        qemu_arguments.machine_arguments(guest, "/state")
        json.dumps(dataclasses.asdict(guest))


def test_a_guest_can_have_the_name_of_a_host(load):
    assert list(load(MINIMAL.replace("a:", "node-1.lab.example.org:")).guests) == ["node-1.lab.example.org"]
