# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The service at boot, on a recorded machine: all of a declaration or nothing of it, and what it is installed from."""
from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import bundle, declared_file, hold, install, service, units
from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, declaration, holds, session
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

ONE, TWO = {"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram", "zone": "kernel", "amount": 2}
STATE = "/sys/devices/system/memory/memory%d/state"


def declared(*entries, **settings):
    return declared_file.Declared(list(entries), **dict({"offline": True, "wait": 0.01, "block_timeout": 60}, **settings))


@pytest.fixture(name="early")
def hold_early(fresh):
    """A host as the hold's unit leaves it."""
    fresh.put(hold.MARK, "1")
    fresh.put(holds.AUTOPROBE, "0")
    return fresh


@pytest.fixture(name="run")
def run_service(monkeypatch, capsys):
    """Runs the service's program on a host. Returns its exit code and what it says."""
    def run(host, arguments=()):
        monkeypatch.setattr(service, "Host", lambda: host)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return service.main(arguments), capsys.readouterr().err.splitlines()
    return run


def test_all_that_is_declared(early, run):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, TWO)))
    assert run(early) == (0, ["<6>0x1: 8 of 8 memory blocks online", "<6>0x2: 2 of 8 memory blocks online"])
    assert sorted(early.online().values()) == ["Movable"] * 8 + ["Normal"] * 2
    assert sorted(early.dax_state().values()) == [("kmem", "0"), ("kmem", "1")]
    assert early.policies() == ("1", "online")
    assert not early.exists(hold.MARK) and not early.exists(holds.NOTES)
    assert run(early)[0] == 0


@pytest.mark.parametrize("text, words", [
    (None, "cannot read /etc/memlab/memory.json"),
    ("{", "/etc/memlab/memory.json is not JSON"),
    ("[]", "version None"),
    ('{"version": 2}', "version 2, and this service knows version 1"),
    ('{"version": 1}', "does not hold what it should: block_timeout, memory_devices, offline, wait"),
    (json.dumps(dict(declared(ONE)._asdict(), version=1, wait="long")), "wait is 'long'"),
    (json.dumps(dict(declared(dict(ONE, memmap="slow"))._asdict(), version=1)), "memmap is 'slow'"),
    (json.dumps(dict(declared(ONE, {"serial": "0x99", "memmap": "dram"})._asdict(), version=1)), "no CXL memory device with serial 0x99"),
    (json.dumps(dict(declared(ONE, dict(TWO, amount=99))._asdict(), version=1)), "99"),
    (json.dumps(dict(declared(ONE, dict(TWO, size="300M"))._asdict(), version=1)), "300M is not a multiple"),
])
def test_a_declaration_that_does_not_hold(early, run, text, words):
    if text is not None:
        early.put(declared_file.PATH, text)
    code, said = run(early)
    assert code == 1
    assert said[0].startswith("<3>nothing was brought online: ") and words in said[0]
    assert early.online() == {}
    assert [state for state in early.dax_state().values() if state[0]] == []
    # dax devices stay without a driver until a module puts it right
    assert early.read(holds.AUTOPROBE) == "0"
    assert holds.restore_leftovers(early) != []
    assert early.policies() == ("1", "online")


@pytest.mark.parametrize("block", [1, 6, 9])
def test_a_block_that_refuses_takes_the_others_with_it(early, run, block):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, TWO)))
    assert run(early)[0] == 0
    blocks = list(early.online())
    for number in blocks:
        early.write(STATE % number, "offline")
    early.faults[STATE % blocks[block]] = [12]
    code, said = run(early)
    assert code == 1 and "ENOMEM" in said[0]
    assert early.online() == {}
    assert [line.startswith("<4>undone, in this order: ") for line in said].count(True) == (1 if block else 0)


def test_a_block_that_cannot_be_taken_back_is_said(early, run):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE)))
    early.faults[STATE % 339] = [12]
    early.faults[STATE % 338] = [0, 16, 16, 16, 16]
    code, said = run(early)
    assert (code, said[0].partition(": ")[0]) == (1, "<3>not every memory block is again as it was")
    assert list(early.online()) == [338]


@pytest.mark.parametrize("block", [338, 377])
def test_a_policy_that_somebody_else_sets_between_blocks(early, run, block):
    """Nothing goes online by it any more, so it is theirs to set: what is said is what is."""
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, dict(TWO, amount="all"))))
    early.hooks[STATE % block] = lambda: early.put(holds.AUTO_ONLINE, "online_movable")
    assert run(early)[0] == 0
    assert len(early.online()) == 16
    assert early.policies() == ("1", "online_movable")


def test_a_policy_that_somebody_else_sets_before_the_blocks(early, run):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, TWO)))
    early.hooks["/sys/bus/dax/drivers/kmem/bind"] = lambda: early.put(holds.AUTO_ONLINE, "online_movable")
    code, said = run(early)
    assert code == 1 and said[0].startswith("<3>nothing was brought online: ")
    assert early.online() == {}
    assert [state for state in early.dax_state().values() if state[0]] == []
    assert early.policies()[1] == "online_movable"


def test_a_hold_that_cannot_be_ended(early, run):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE)))
    early.faults[holds.AUTOPROBE] = [5]
    code, said = run(early)
    assert code == 1 and said[0].startswith("<3>all is as declared, but dax devices stay without a driver: cannot set %s" % holds.AUTOPROBE)
    assert "<4>0x1: 8 of 8 memory blocks online" in said
    assert not early.exists(hold.MARK) and early.exists(holds.NOTES)


def test_what_was_online_before_stays(bound, run):
    """An earlier start had put these online; a failure of this one is not theirs."""
    before = bound.online()
    bound.put(declared_file.PATH, declared_file.dump(declared(ONE, TWO)))
    bound.faults[STATE % (max(before) + 2)] = [16]
    assert run(bound)[0] == 1
    assert bound.online() == before
    assert bound.read(holds.AUTOPROBE) == "0"
    assert run(bound)[0] == 0
    assert bound.policies() == ("1", "online")


def test_an_error_of_its_own(early, run, monkeypatch):
    early.put(declared_file.PATH, declared_file.dump(declared(ONE)))
    monkeypatch.setattr(service.regions, "apply", lambda *unused, **unused_too: 1 // 0)
    code, said = run(early)
    assert (code, said[0]) == (1, "<3>nothing was brought online: an error of this service itself: ZeroDivisionError: integer division or modulo by zero")


@pytest.mark.parametrize("module, key, defaults", [("cxl_region", "regions", service.REGION), ("pmem_namespace", "namespaces", service.NAMESPACE),
                                                   ("dax_device", "devices", service.DEVICE), ("memory_blocks", "devices", service.BLOCKS)])
def test_entries_are_what_the_modules_would_be_given(collection, module, key, defaults):
    for statement in ast.parse((collection / "plugins/modules" / (module + ".py")).read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "DOCUMENTATION":
            options = yaml.safe_load(ast.literal_eval(statement.value))["options"][key]["suboptions"]
    for name, option in options.items():
        assert option.get("required") or name in defaults and defaults[name] == option.get("default"), name


KEY = st.sampled_from(["version", "wait", "memory_devices"]) | st.text(max_size=3)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner)))
def test_any_text_is_a_declaration_or_an_error(value):
    for text in (json.dumps(value), json.dumps(value)[:-1], json.dumps(dict(declared(ONE)._asdict(), version=1, memory_devices=value))):
        try:
            declared_file.load(text)
        except TestbedError as exc:
            assert "\n" not in exc.summary


# what it is installed from


def test_the_program_is_the_same_each_time_and_runs_alone(tmp_path):
    content = bundle.program()
    assert content == bundle.program()
    names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    assert names == sorted(names) and "__main__.py" in names
    assert [name for name in names if "/emulation/" in name or "/report/" in name] == []
    path = tmp_path / "program.pyz"
    path.write_bytes(content)
    # isolated and without site-packages, as the unit runs it; nothing here is a host of its own, so it stops before any change
    done = subprocess.run([sys.executable, "-I", "-S", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("<3>nothing was brought online: cannot read /etc/memlab/memory.json"), done.stderr


@pytest.fixture(name="systemd")
def run_systemd(fresh):
    """A host whose systemctl makes and removes the links that it should."""
    os.makedirs(fresh.path("/run/systemd/system"))
    fresh.put("/usr/bin/python3", "")
    plain = fresh.run

    def run(argv, timeout=120):
        if argv[:2] in (["systemctl", "enable"], ["systemctl", "disable"]):
            for unit in argv[2:]:
                if unit in units.WANTED:
                    place = fresh.path("%s/%s.wants/%s" % (units.SYSTEM, units.WANTED[unit], unit))
                    os.makedirs(os.path.dirname(place), exist_ok=True)
                    if argv[1] == "enable":
                        os.symlink("../" + unit, place)
                    elif os.path.lexists(place):
                        os.unlink(place)
        return plain(argv, timeout)
    fresh.run = run
    return fresh


def settings(*entries, **others):
    return install.Settings(declared(*(entries or (ONE, TWO)), wait=30), **dict({"python": "/usr/bin/python3", "timeout": 180}, **others))


def test_four_steps(systemd):
    for present in (True, False):
        assert install.apply(systemd, settings(), present, check_mode=True)[0] is True
        assert [systemd.exists(path) for path in install.PATHS] == [not present] * len(install.PATHS)
        assert install.apply(systemd, settings(), present)[0] is True
        assert [systemd.exists(path) for path in install.PATHS] == [present] * len(install.PATHS)
        assert install.apply(systemd, settings(), present)[0] is False
        assert install.apply(systemd, settings(), present, check_mode=True)[0] is False
    assert not systemd.exists("/etc/memlab") and not systemd.exists("/usr/local/lib/memlab")


def test_what_changed_is_put_right(systemd):
    install.apply(systemd, settings(), True)
    for path in install.PATHS:
        systemd.put(path, "something else")
        changed, before, after = install.apply(systemd, settings(), True)
        assert changed is True
        assert [name for name in after if before.get(name) != after[name]] == [path]
        assert install.apply(systemd, settings(), True)[0] is False
    assert install.apply(systemd, settings(ONE), True)[0] is True


def test_to_remove_it_ends_what_it_holds(systemd):
    install.apply(systemd, settings(), True)
    systemd.put(hold.MARK, "1")
    systemd.put(holds.AUTOPROBE, "0")
    install.apply(systemd, None, False)
    assert systemd.read(holds.AUTOPROBE) == "1" and not systemd.exists(hold.MARK)


@pytest.mark.parametrize("change, words", [
    ({"python": "python3"}, "not an absolute path"), ({"python": "/usr/bin/python9"}, "this host has no /usr/bin/python9"),
    ({"python": "/usr/bin/python3 -c x"}, "not an absolute path"), ({"timeout": 30}, "not more than the 30 s"), ({"timeout": 10 ** 6}, "timeout")])
def test_settings_that_cannot_work(systemd, change, words):
    with pytest.raises(TestbedError, match=words):
        install.apply(systemd, settings(**change), True)
    assert [path for path in install.PATHS if systemd.exists(path)] == []


@pytest.mark.parametrize("key", ["wait", "block_timeout"])
@pytest.mark.parametrize("value", [0, -1, 1e5, float("nan"), float("inf")])
def test_a_time_that_no_step_takes_is_never_installed(key, value):
    with pytest.raises(TestbedError, match="^%s: .* is not a number of seconds above 0, at most 86400" % key):
        declared_file.dump(declared(ONE, **{key: value}))


def test_a_mistake_is_never_installed(systemd):
    with pytest.raises(TestbedError, match="memmap is missing"):
        install.apply(systemd, settings({"serial": "0x1"}), True)
    assert not systemd.exists(declared_file.PATH)


def test_what_may_be_lost_stands_in_each_entry(systemd, call):
    store = {"nvdimms": ["0x2"], "namespace": {"name": "ram", "mode": "devdax"}, "mode": "system-ram", "memmap": "dram"}
    asked = {"memory_devices": [store, dict(store, namespace={"name": "kept", "mode": "devdax"}, allow_data_loss=False)]}
    for allowed, found in ((True, [True, False]), (False, [None, False])):
        assert call("memory_boot_service", systemd, dict(asked, allow_data_loss=allowed))[0] == 0
        entries = json.loads(systemd.read(declared_file.PATH))["memory_devices"]
        assert [entry.get("allow_data_loss") for entry in entries] == found
        assert [device.get("allow_data_loss", False) for device in declaration.plan(entries).devices] == [allowed, False]


def test_without_systemd(fresh):
    fresh.put("/usr/bin/python3", "")
    assert install.apply(fresh, None, False)[0] is False
    with pytest.raises(TestbedError, match="not run by systemd"):
        install.apply(fresh, settings(), True)


def test_namespaces_go_to_their_driver_and_memory_does_not(mixed):
    """The hold is for kmem: device_dax makes no memory of a namespace, and nobody's program misses it."""
    before = mixed.dax_state()
    (ram,) = [name for name, state in before.items() if state[0] == "device_dax"]
    os.unlink(mixed.path("/sys/bus/dax/devices/%s/driver" % ram))
    hold.pass_on(mixed)
    assert mixed.dax_state()[ram][0] is None
    mixed.put(hold.MARK, "1")
    hold.pass_on(mixed)
    assert mixed.dax_state() == before


# what no waiting helps against, and what nobody is left to say


@pytest.fixture(name="clock")
def count_waiting(monkeypatch):
    """Looks that the service takes at the host while it waits."""
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        assert len(looks) < 20, "it waits"

    monkeypatch.setattr("time.sleep", sleep)
    return looks


@pytest.mark.parametrize("parameter, entries, words", [
    ("N", [ONE], "memory_hotplug.memmap_on_memory is off"),
    ("N", [ONE, {"serial": "0x99", "memmap": "dram"}], "memory_hotplug.memmap_on_memory is off"),
    ("Y", [dict(ONE, size="300M")], "300M is not a multiple"),
    ("Y", [dict(ONE, amount="100M")], "100M is not a multiple")])
def test_what_cannot_come_is_not_waited_for(early, run, clock, parameter, entries, words):
    early.put(dax.BOOT_PARAMETER, parameter)
    early.put(declared_file.PATH, declared_file.dump(declared(*entries, wait=1000)))
    code, said = run(early)
    assert (code, clock) == (1, [])
    assert words in said[0]


def test_a_kernel_without_the_knob_is_not_waited_for(mixed):
    """What a dax device lacks now, as on 6.1, it will lack."""
    (ram,) = [name for name, state in mixed.dax_state().items() if state[0] == "device_dax"]
    os.unlink(mixed.path("/sys/bus/dax/devices/%s/memmap_on_memory" % ram))
    with pytest.raises(TestbedError, match="no knob memmap_on_memory") as caught:
        service.system_ram.apply(mixed, [dict(service.DEVICE, namespace="ram", memmap="device", allow_data_loss=True)], check_mode=True)
    assert caught.value.lasting


def test_a_device_may_come_late(early, run, monkeypatch):
    """What is missing now may be there at the next look."""
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, {"serial": "0x99", "memmap": "dram"}, wait=5)))
    looks = []
    real = service.regions.apply
    monkeypatch.setattr(service.regions, "apply", lambda *given, **more: looks.append(1) or real(*given, **more))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("time.monotonic", lambda: len(looks))
    assert run(early)[0] == 1
    assert len(looks) > 3


def test_all_waiting_has_one_end(early, run, monkeypatch):
    """What is still missing once the regions are made has what the wait for those has left."""
    early.put(declared_file.PATH, declared_file.dump(declared(ONE, wait=30)))
    now, begun = [0.0], []
    real_region, real_device = service.regions.apply, service.system_ram.apply

    def region(host, entries, check_mode=False):
        if now[0] < 20:
            raise TestbedError("not yet")
        begun.append(now[0])
        return real_region(host, entries, check_mode)

    def device(host, entries, check_mode=False, **more):
        if check_mode and host.dax_state():
            raise TestbedError("never")
        return real_device(host, entries, check_mode, **more)

    monkeypatch.setattr(service.regions, "apply", region)
    monkeypatch.setattr(service.system_ram, "apply", device)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    code, said = run(early)
    assert code == 1 and said[0] == "<3>nothing was brought online: never"
    assert begun and now[0] <= 31


def test_killed_before_it_spoke(early, run, monkeypatch):
    """The hold goes into the care of the next module, as after any other failure; and nothing is done after a run that spoke."""
    monkeypatch.setenv("EXIT_STATUS", "KILL")
    code, said = run(early, [units.ENDED])
    assert code == 0 and said[0].startswith("<3>killed before it could say what there is (KILL)")
    assert not early.exists(hold.MARK)
    assert holds.restore_leftovers(early) != [] and early.read(holds.AUTOPROBE) == "1"
    assert run(early, [units.ENDED]) == (0, [])
    assert "ExecStopPost=/usr/bin/python3 -I -S %s %s\n" % (units.PROGRAM, units.ENDED) in units.service_unit("/usr/bin/python3", 10)


def unit(host, state, job=""):
    """Has systemd answer as ``systemctl show`` of version 252 does."""
    real = host.run

    def run(argv, timeout=120):
        if argv[0] != "systemctl":
            return real(argv, timeout)
        assert argv == ["systemctl", "show", "--property=ActiveState,Job", units.SERVICE]
        return "Job=%s\nActiveState=%s\n" % (job, state)
    host.run = run


@pytest.mark.parametrize("state", ["inactive", "failed", "active"])
def test_a_hold_whose_service_does_not_run_any_more_ends_with_the_next_module(early, state):
    """Masked, or without an interpreter: nobody else would end it."""
    unit(early, state)
    with session.changing(early, check_mode=True) as repaired:
        assert repaired == [] and early.policies()[0] == "0"
    with session.changing(early) as repaired:
        assert repaired == ["the hold on %s since early boot is ended, as memlab-memory.service had not" % holds.AUTOPROBE]
    assert early.policies()[0] == "1" and not early.exists(hold.MARK)
    with session.changing(early) as repaired:
        assert repaired == []


@pytest.mark.parametrize("state, job", [("inactive", "123"), ("failed", "7"), ("activating", "123"), ("activating", ""), ("deactivating", ""), ("", "")])
def test_a_hold_whose_service_is_still_to_come_or_at_work_stays(early, state, job):
    unit(early, state, job)
    with session.changing(early) as repaired:
        assert repaired == [] and early.policies()[0] == "0" and early.exists(hold.MARK)


def test_namespaces_of_an_abandoned_hold_go_to_their_driver(mixed):
    mixed.unlink("/sys/bus/dax/devices/dax2.0/driver")
    mixed.put(hold.MARK, "1")
    mixed.put(holds.AUTOPROBE, "0")
    unit(mixed, "inactive")
    with session.changing(mixed):
        assert mixed.link_name("/sys/bus/dax/devices/dax2.0/driver") == "device_dax" and mixed.policies()[0] == "1"


def test_a_hold_stays_where_systemd_does_not_answer(early):
    early.faults["systemctl show"] = [5]
    with pytest.raises(TestbedError, match="systemctl show .* failed"), session.changing(early):
        pytest.fail("went on")
    assert early.policies()[0] == "0" and early.exists(hold.MARK)
