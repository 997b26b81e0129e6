# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""rollout_host as a host runs it, and rollout_gate and rollout_shards as the controller does: by Ansible's own task, judged by the files they leave."""
from __future__ import annotations

import importlib
import json
import os
import pathlib
import sys

import pytest
from ansible.errors import AnsibleActionSkip, AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.connection.local import Connection
from ansible.template import Templar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import lock
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal

ACTIONS = "ansible_collections.memlab.testbed.plugins.action."
RELEASE = os.uname().release
PATH = "/var/lib/memlab/rollout.json"


def files(directory):
    """Path to content of every file."""
    return {str(path): path.read_bytes() for path in pathlib.Path(directory).rglob("*") if path.is_file()}


# rollout_host

@pytest.fixture(name="host")
def small_host(tmp_path):
    (tmp_path / "boot").mkdir()
    for name, size in (("vmlinuz-", 3000), ("initrd.img-", 5000), ("config-", 7)):
        (tmp_path / "boot" / (name + RELEASE)).write_bytes(b"x" * size)
    (tmp_path / "boot/vmlinuz-5.4").write_bytes(b"x" * 999)
    return Host(str(tmp_path))


ONE = {"rollout": "spring", "id": "one", "controller": "here"}


def test_a_host_is_looked_at(host, call):
    before = files(host.root)
    for check_mode in (True, False):
        code, answer = call("rollout_host", host, {}, check_mode)
        assert (code, answer["changed"], answer["claim"], answer["claimed"], answer["release"]) == (0, False, None, False, RELEASE)
    assert files(host.root) == before


@pytest.mark.parametrize("path", [PATH, "/srv/elsewhere/claim"])
def test_a_host_is_claimed_and_given_back(host, call, four_steps, path):
    before = files(host.root)
    planned, done = four_steps("rollout_host", host, dict(ONE, state="claimed", path=path), lambda: files(host.root))
    assert (planned["claimed"], done["claimed"]) == (False, True)
    written = json.loads(host.read(path))
    assert {key: written[key] for key in ONE} == ONE and set(files(host.root)) - set(before) == {host.path(path)}
    assert call("rollout_host", host, {"path": path, "id": "one"})[1]["claimed"] is True
    four_steps("rollout_host", host, {"state": "released", "id": "one", "path": path}, lambda: files(host.root))
    assert files(host.root) == before


def test_a_host_of_another_rollout_stays_it_s(host, call, refused):
    call("rollout_host", host, dict(ONE, state="claimed"))
    before = files(host.root)
    said = refused("rollout_host", host, dict(ONE, state="claimed", id="two", rollout="summer", controller="there"))
    assert said.startswith("the host belongs to the rollout spring, which here began to work on at ") and "remove %s if it never will" % PATH in said
    for check_mode in (True, False):
        code, answer = call("rollout_host", host, {"state": "released", "id": "two"}, check_mode)
        assert (code, answer["changed"], answer["claimed"], answer["claim"]["id"]) == (0, False, False, "one")
    assert files(host.root) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"text"', '{"id": "one"}', '{"rollout": 1, "id": 2, "controller": 3, "since": 4, "more": 5}'])
def test_a_damaged_claim_is_no_claim_and_stays(host, refused, text):
    pathlib.Path(host.path(PATH)).parent.mkdir(parents=True)
    pathlib.Path(host.path(PATH)).write_text(text, encoding="ascii")
    for parameters in ({}, dict(ONE, state="claimed"), {"state": "released", "id": "one"}):
        assert refused("rollout_host", host, parameters) == "%s does not hold a claim: %.60r: remove it, if no rollout is at work on this host" % (PATH, text)
    assert host.read(PATH) == text


@pytest.mark.parametrize("parameters, said", [
    ({"state": "claimed"}, "state is claimed but all of the following are missing: rollout, id, controller"),
    ({"state": "released"}, "state is released but all of the following are missing: id"),
    ({"state": "taken"}, "value of state must be one of: looked, claimed, released, got: taken"), ({"host": "a"}, "Unsupported parameters"),
])
def test_a_host_is_not_asked(host, refused, parameters, said):
    before = files(host.root)
    assert said in refused("rollout_host", host, parameters) and files(host.root) == before


@pytest.mark.parametrize("place", ["/var", "/var/lib/memlab"])
def test_a_claim_that_cannot_be_written_is_said(host, call, place):
    pathlib.Path(host.path(place)).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(host.path(place)).write_text("", encoding="ascii")
    code, answer = call("rollout_host", host, dict(ONE, state="claimed"))
    assert (code, answer["msg"]) == (1, "cannot write %s (ENOTDIR): run as root (become: true)" % PATH)


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(st.dictionaries(st.sampled_from(["state", "rollout", "id", "controller"]),
                       st.one_of(st.text(max_size=5), st.sampled_from(["looked", "claimed", "released"]), st.integers(), st.none(),
                                 st.lists(st.text(max_size=2)))))
def test_any_claim_gets_a_clean_answer(host, call, parameters):
    before = files(host.root)
    code, answer = call("rollout_host", host, parameters, check_mode=True)
    assert "Traceback" not in json.dumps(answer) and files(host.root) == before and (code == 0 or answer["msg"])


# on the controller

@pytest.fixture(name="act")
def run_action():
    """``act(name, arguments, **variables)``: what the task returns, or what it fails with, as the task executor has it."""
    def act(name, arguments, check_mode=False, **variables):
        task, loader = Task(), DataLoader()
        task.action, task.args = "memlab.testbed." + name, dict(arguments)
        task.check_mode = check_mode
        action = importlib.import_module(ACTIONS + name).ActionModule(task=task, connection=Connection(PlayContext()), play_context=PlayContext(),
                                                                      loader=loader, templar=Templar(loader=loader), shared_loader_obj=None)
        try:
            return action.run(task_vars=variables)
        except AnsibleActionSkip as exc:
            return exc.result
        except AnsibleError as exc:
            return {"failed": True, "changed": False, "msg": str(exc)}
    return act


@pytest.fixture(name="journal")
def own_journal(tmp_path):
    """A run of two waves: a is done, b failed, c was rolled back, nobody heard of d."""
    journal = Journal(str(tmp_path / "rollout"))
    for host, events in (("a", ("begun", "done")), ("b", ("begun", "failed", "rollback_begun", "rollback_failed")), ("c", ("begun", "failed", "rolled_back"))):
        for event in events:
            journal.append(event, host, run=1, **({"step": "kernel"} if event == "begun" else {"reason": "no luck"} if event == "failed" else {}))
    return journal


def asked(journal, what, **more):
    return dict({"state": what, "directory": journal.directory, "run": 1, "wave": 1, "hosts": ["a"]}, **more)


def test_a_wave_starts_when_those_before_have_passed(journal, act):
    assert act("rollout_gate", asked(journal, "opened"))["changed"] is True
    before = files(journal.directory)
    answer = act("rollout_gate", asked(journal, "opened", wave="2"))
    assert (answer["failed"], answer["changed"], answer["msg"]) == (True, False, "wave 2 does not start: wave 1 did not pass its gate")
    assert files(journal.directory) == before
    assert act("rollout_gate", asked(journal, "closed"))["passed"] is True
    assert act("rollout_gate", asked(journal, "opened", wave=2, hosts=["b", "c"]))["hosts"] == ["b", "c"]
    # of another run it says nothing
    assert act("rollout_gate", asked(journal, "opened", wave=2, run=2))["msg"] == "wave 2 does not start: wave 1 did not pass its gate"
    assert [(entry["event"], entry["run"], entry["wave"]) for entry in journal.read()] == [("wave_begun", 1, 1), ("wave_closed", 1, 1), ("wave_begun", 1, 2)]


@pytest.mark.parametrize("hosts, limit, passed, message", [
    (["a"], None, True, "1 good"), (["a", "b"], 1, True, "1 good; failed: b (b: no luck)"),
    (["a", "b"], None, False, "1 good; failed: b (b: no luck); 1 bad hosts, at most 0 are allowed: no further wave starts"),
    (["a", "b", "c", "d"], "2", False, "1 good; failed: b; unreachable: d; rolled back: c (b: no luck; c: no luck); 3 bad hosts, at most 2 are allowed: "
     "no further wave starts"), (["d"], 1, True, "0 good; unreachable: d"), ([], 0, True, "0 good"),
])
def test_what_became_of_a_wave_s_hosts(journal, act, hosts, limit, passed, message):
    answer = act("rollout_gate", asked(journal, "closed", hosts=hosts, **({} if limit is None else {"limit": limit})))
    assert (answer.get("failed"), answer["changed"], answer["passed"], answer["message"]) == (None, True, passed, message)
    (entry,) = journal.read()
    assert (entry["event"], entry["passed"], entry["bad"]) == ("wave_closed", passed, answer["verdict"]["bad"])
    assert {word: entry[word] for word in ("failed", "unreachable", "rolled_back")} == {
        "failed": [host for host in hosts if host == "b"], "unreachable": [host for host in hosts if host == "d"],
        "rolled_back": [host for host in hosts if host == "c"]}


def test_bad_hosts_of_earlier_waves_count(journal, act):
    assert act("rollout_gate", asked(journal, "closed", hosts=["b"], limit=1))["passed"] is True
    assert act("rollout_gate", asked(journal, "closed", hosts=["c"], limit=1, wave=2))["passed"] is False


def test_whether_all_hosts_were_brought_back(journal, act):
    before = files(journal.directory)
    answer = act("rollout_gate", asked(journal, "ended", hosts=["c", "a"], wanted="undone"))
    assert answer["failed"] and answer["msg"].startswith("2 of 2 hosts were not brought back: ") and files(journal.directory) == before
    for host in ("c", "a"):
        journal.append("undone", host, run=1)
    before = files(journal.directory)
    answer = act("rollout_gate", asked(journal, "ended", hosts=["c", "a"], wanted="undone"))
    assert (answer["passed"], answer["changed"], answer["message"]) == (True, False, "2 good") and files(journal.directory) == before


def test_in_check_mode_nothing_is_written(journal, act, shards):
    before = files(journal.directory)
    for name, arguments in (("rollout_gate", asked(journal, "opened")), ("rollout_gate", asked(journal, "closed")), ("rollout_shards", shards(["true"])),
                            ("rollout_journal", {"directory": journal.directory, "event": "done", "host": "a", "run": 1})):
        assert act(name, arguments, check_mode=True, hostvars=HOSTVARS)["skipped"] is True
    assert files(journal.directory) == before


def test_an_entry_of_the_journal_is_checked(journal, act):
    before = files(journal.directory)
    for more, said in (({"event": "done"}, "an entry of the journal needs the number of its run"), ({"event": "done", "run": "x"}, "run"),
                       ({"data": "x y"}, "data"), ({"directory": None}, "missing required arguments: directory")):
        answer = act("rollout_journal", {key: value for key, value in dict({"directory": journal.directory}, **more).items() if value is not None})
        assert answer["failed"] and said in answer["msg"] and files(journal.directory) == before
    assert act("rollout_journal", {"directory": journal.directory, "host": "b"})["state"] == "interrupted"
    assert act("rollout_journal", {"directory": journal.directory, "host": "b", "event": "undone", "run": "1"})["changed"] is True
    assert (journal.read("b")[-1]["event"], journal.read("b")[-1]["run"]) == ("undone", 1)


def test_a_damaged_journal_opens_no_gate(journal, act):
    with open(journal.path("a"), "r+b") as stream:
        stream.write(b"x")
    before = files(journal.directory)
    for state in ("closed", "ended"):
        assert act("rollout_gate", asked(journal, state))["msg"].startswith("line 1 of the journal %s is damaged" % journal.path("a"))
    assert files(journal.directory) == before


@pytest.mark.parametrize("changed, said", [
    ({"state": "ajar"}, "value of state must be one of: opened, closed, ended, got: ajar"), ({"state": None}, "missing required arguments: state"),
    ({"directory": None}, "missing required arguments: directory"), ({"run": None}, "missing required arguments: run"), ({"run": "first"}, "run"),
    ({"wave": "first"}, "wave"), ({"hosts": None}, "missing required arguments: hosts"), ({"hosts": {"a": 1}}, "hosts"), ({"limit": "many"}, "limit"),
    ({"wanted": "gone"}, "value of wanted must be one of: done, undone, got: gone"), ({"host": "a"}, "Unsupported parameters"),
])
def test_a_gate_is_not_asked(journal, act, changed, said):
    before = files(journal.directory)
    arguments = {key: value for key, value in asked(journal, "closed", **changed).items() if value is not None}
    answer = act("rollout_gate", arguments)
    assert answer["failed"] and said in answer["msg"] and "Traceback" not in answer["msg"] and files(journal.directory) == before


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(st.dictionaries(st.sampled_from(["state", "run", "wave", "hosts", "limit", "wanted"]),
                       st.one_of(st.text(max_size=5), st.integers(), st.none(), st.booleans(), st.floats(), st.lists(st.text(max_size=3), max_size=2))))
def test_any_gate_gets_a_clean_answer(tmp_path_factory, act, changed):
    journal = Journal(str(tmp_path_factory.getbasetemp() / "any"))
    answer = act("rollout_gate", asked(journal, "closed", **changed))
    assert isinstance(answer["changed"], bool) and "Traceback" not in answer.get("msg", "")


@pytest.fixture(name="shards")
def arguments_for_shards(journal):
    def make(*commands, **more):
        workers = [{"command": list(words)} for words in commands]
        return dict({"directory": journal.directory, "run": 1, "wave": 1, "hosts": ["a", "e", "f"], "workers": workers}, **more)
    return make


HOSTVARS = {name: {"ansible_host": name, "answer": [42], "groups": {"not": "sent"}, "role_path": "/no"} for name in "aef"}


def test_each_worker_is_sent_its_hosts(journal, act, shards, tmp_path):
    """The workers end at once: nothing comes back, which is no failure here, because the gate counts. What was sent is not kept, so a worker copies it."""
    top = pathlib.Path(journal.directory) / "shards"
    copies = ["sh", "-c", "cat > /dev/null; cp -r \"$0\" \"$1\"", str(top / "1-1-0/data"), str(tmp_path / "sent")]
    answer = act("rollout_shards", shards(copies, ["sh", "-c", "cat > /dev/null; exit 3"], environment={"A": "b"}), hostvars=HOSTVARS)
    assert (answer.get("failed"), answer["changed"]) == (None, True)
    assert [(shard["hosts"], shard["codes"][1], shard["entries"]) for shard in answer["shards"]] == [(["a", "f"], 0, 0), (["e"], 3, 0)]
    assert sorted(os.listdir(top)) == ["1-1-0", "1-1-1"]
    log = str(top / "1-1-1/log")
    assert [line for line in answer["warnings"] if "cat > /dev/null; exit 3" in line] == [
        "the worker sh -c cat > /dev/null; exit 3 for e ended with exit code 3 (transmit 0, process %d): see %s" % (answer["shards"][1]["codes"][2], log)]
    assert [shard["log"] for shard in answer["shards"]] == [str(top / name / "log") for name in ("1-1-0", "1-1-1")]
    sent = json.loads((tmp_path / "sent/inventory/hosts.json").read_text(encoding="utf-8"))["all"]["hosts"]
    assert sent == {name: {"ansible_host": name, "answer": [42]} for name in "af"}
    assert json.loads((tmp_path / "sent/env/envvars").read_text(encoding="utf-8"))["A"] == "b"
    # a's journal goes along, so that the worker knows how far a is
    assert (tmp_path / "sent/journal/hosts/a.jsonl").read_bytes() == pathlib.Path(journal.path("a")).read_bytes()
    assert [sorted(os.listdir(top / name)) for name in ("1-1-0", "1-1-1")] == [["log", "result"]] * 2


def test_what_a_worker_sends_back_is_in_the_journal(journal, act, shards, tmp_path):
    """The stream is ansible-runner's own: a file for each event, and its end."""
    event = {"uuid": "1-2", "counter": 1, "stdout": "", "start_line": 0, "end_line": 0, "event": "runner_on_ok",
             "event_data": {"res": {"entry": {"event": "done", "host": "e", "run": 1, "time": 5.0}}}}
    lines = [{"status": "starting", "command": [], "env": {}, "cwd": "/"}, {"status": "running"}, event, {"status": "successful"}, {"eof": True}]
    (tmp_path / "worker.py").write_text("import sys\nsys.stdin.buffer.read()\nsys.stdout.write(%r)\n" % "".join(json.dumps(line) + "\n" for line in lines),
                                        encoding="ascii")
    arguments = shards([sys.executable, str(tmp_path / "worker.py")], hosts=["e"])
    answer = act("rollout_shards", arguments, hostvars=HOSTVARS)
    assert [entry["event"] for entry in answer["journal"]] == ["done"] and answer["warnings"] == []
    assert [(shard["codes"], shard["entries"]) for shard in answer["shards"]] == [([0, 0, 0], 1)], pathlib.Path(answer["shards"][0]["log"]).read_text()
    assert [(entry["event"], entry["time"], entry["run"]) for entry in journal.read("e")] == [("done", 5.0, 1)]
    # sent again, it is known
    assert act("rollout_shards", arguments, hostvars=HOSTVARS)["shards"][0]["entries"] == 0 and len(journal.read("e")) == 1


class Unresolved(dict):
    """Variables of a host one of which names what is not there."""

    def __getitem__(self, name):
        if name == "unused":
            raise AnsibleUndefinedVariable("'not_defined_anywhere' is undefined")
        return super().__getitem__(name)


def test_a_variable_that_does_not_resolve_is_left_out_and_said(journal, act, shards, tmp_path):
    sent = pathlib.Path(journal.directory) / "shards/1-1-0/data/inventory/hosts.json"
    copies = ["sh", "-c", "cat > /dev/null; cp \"$0\" \"$1\"", str(sent), str(tmp_path / "sent")]
    answer = act("rollout_shards", shards(copies, hosts=["e"]), hostvars={"e": Unresolved(HOSTVARS["e"], unused="{{ not_defined_anywhere }}")})
    assert answer["warnings"][0] == "variables that do not resolve are not sent to workers: unused of e"
    assert json.loads((tmp_path / "sent").read_text(encoding="utf-8"))["all"]["hosts"] == {"e": {"ansible_host": "e", "answer": [42]}}


def test_the_lock_goes_where_shards_cannot_be(journal, act, shards):
    lock.take(journal.directory, os.getppid(), "rollout")
    assert act("rollout_shards", shards(["no-such-program"]), hostvars=HOSTVARS)["failed"]
    assert not os.path.exists(os.path.join(journal.directory, "lock.json"))


def test_no_hosts_need_no_workers(journal, act, shards):
    answer = act("rollout_shards", shards(hosts=[]), hostvars={})
    assert (answer.get("failed"), answer["changed"], answer["shards"]) == (None, False, [])


@pytest.mark.parametrize("reboots, hosts, each", [(0, [["a", "f"], ["e"]], 0), (1, [["a", "e", "f"]], 1), (5, [["a", "f"], ["e"]], 2)])
def test_how_many_hosts_may_reboot_at_once(journal, act, shards, tmp_path, reboots, hosts, each):
    sent = pathlib.Path(journal.directory) / "shards/1-1-0/data/env/extravars"
    copies = ["sh", "-c", "cat > /dev/null; cp \"$0\" \"$1\"", str(sent), str(tmp_path / "sent")]
    answer = act("rollout_shards", shards(copies, ["true"], reboots=reboots), hostvars=HOSTVARS)
    assert [shard["hosts"] for shard in answer["shards"]] == hosts
    extra = json.loads((tmp_path / "sent").read_text(encoding="utf-8"))
    assert (extra["rollout_reboots"], extra["rollout_run"]) == (each, 1)


@pytest.mark.parametrize("commands, more, said", [
    ([], {}, "workers: there is none"), ([["true"], ["no-such-program", "a"]], {}, "cannot start no-such-program (ENOENT)"),
    ([[]], {}, "workers: [] is no command"),
    ([["true", ""]], {}, "workers: ['true', ''] is no command"), ([["true"]], {"workers": "there"}, "dictionary requested"),
    ([["true"]], {"workers": [{}]}, "command"),
    ([["true"]], {"workers": [{"command": ["true"], "host": "b"}]}, "host"), ([["true"]], {"run": "first"}, "run"), ([["true"]], {"wave": None}, "wave"),
    ([["true"]], {"hosts": None}, "missing required arguments: hosts"), ([["true"]], {"reboots": "few"}, "reboots"),
    ([["true"]], {"environment": "A=b c"}, "environment"), ([["true"]], {"state": "x"}, "Unsupported parameters"),
    ([["true"]], {"reboots": -1}, "reboots: -1 is not a number of hosts"),
])
def test_shards_that_cannot_be(journal, act, shards, commands, more, said):
    """Nothing is started, not even for the workers that could be."""
    before = files(journal.directory)
    answer = act("rollout_shards", {key: value for key, value in shards(*commands, **more).items() if value is not None}, hostvars=HOSTVARS)
    assert answer["failed"] and said in answer["msg"] and "Traceback" not in answer["msg"] and files(journal.directory) == before


def test_a_controller_without_ansible_runner(journal, act, shards, monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    answer = act("rollout_shards", shards(["true"]), hostvars=HOSTVARS)
    assert answer["failed"] and answer["msg"].startswith("ansible-runner is not installed on this controller: install it")
