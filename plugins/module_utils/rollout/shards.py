# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A wave cut into shards that other controllers work on, by ansible-runner.

Each shard is a private data directory with its hosts, their variables and their journals so far. What the worker writes in its own journal comes back as the
events of its tasks, one by one, so nothing is lost with a worker but what it did not get to say. The journal on the controller stays the only one that counts.
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.keys import write_atomically
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import lock

PLAYBOOK = """- name: Shard
  hosts: all
  gather_facts: false
  become: "{{ ansible_user | default('root') != 'root' }}"
  tasks:
    - name: Roll out
      ansible.builtin.import_role:
        name: memlab.testbed.rollout
"""
# Values of a play's own, which the worker's play has anew.
_NOT_SENT = {"play_hosts", "inventory_hostname", "inventory_hostname_short", "inventory_dir", "inventory_file", "group_names", "groups", "hostvars", "omit",
             "playbook_dir", "role_name", "role_path", "role_names", "role_uuid", "vars", "environment",
             "rollout_opened", "rollout_survey", "rollout_claimed", "rollout_accepted"}
_NOT_SENT_PREFIXES = ("ansible_play", "ansible_version", "ansible_facts", "ansible_run_tags", "ansible_skip_tags", "ansible_check_mode", "ansible_diff_mode",
                      "ansible_forks", "ansible_inventory_sources", "ansible_verbosity", "ansible_config_file", "ansible_role", "ansible_parent",
                      "ansible_dependent", "ansible_collection", "ansible_search_path", "__")
PROCESSES = "processes.json"


def cut(hosts, workers, reboots=0):
    """Worker's number -> hosts, in turn. :arg reboots: how many hosts may reboot at once, over all of them; 0 for no limit."""
    number = min(workers, len(hosts), reboots or workers)
    return [hosts[first::number] for first in range(number)]


def check(commands):
    """Refuse workers' commands that cannot be started, before the first of them is. Raises :class:`TestbedError`."""
    _runner()
    for command in commands:
        if not command or not all(command):
            raise TestbedError("workers: %.80r is no command" % (command,), remedy="give its words, such as [ssh, worker1, ansible-runner, worker]")
        if shutil.which(command[0]) is None:
            raise TestbedError("cannot start %s (ENOENT)" % command[0], remedy="install it on this controller, or correct the worker's command")


def variables(values):
    """Of a host's variables those that a worker has to be given."""
    return {key: value for key, value in values.items() if key not in _NOT_SENT and not key.startswith(_NOT_SENT_PREFIXES)}


def prepare(directory, hosts, values, journal, extra, environment):
    """Make a shard's private data directory anew.

    :arg values: host -> variables. :arg extra: variables for all of them. :arg environment: for the worker's ansible-playbook.
    Raises :class:`TestbedError`: what an earlier worker sent, left in ``result``, would be taken for this one's.
    """
    directories.remove(directory)
    try:
        _fill(directory, hosts, values, journal, extra, environment)
    except OSError as exc:
        raise TestbedError("cannot write a shard's directory %s (%s)" % (directory, errno_name(exc.errno)))


def _fill(directory, hosts, values, journal, extra, environment):
    os.makedirs(os.path.join(directory, "data", "journal", "hosts"), mode=0o700)
    data = os.path.join(directory, "data")
    _write(data, "inventory/hosts.json", json.dumps({"all": {"hosts": {host: values[host] for host in hosts}}}))
    _write(data, "project/shard.yml", PLAYBOOK)
    _write(data, "env/extravars", json.dumps(dict(extra, rollout_directory="{{ playbook_dir }}/../journal")))
    _write(data, "env/envvars", json.dumps(dict({"ANSIBLE_GATHERING": "explicit", "ANSIBLE_INVENTORY_ENABLED": "yaml"}, **environment)))
    for host in hosts:
        if os.path.exists(journal.path(host)):
            shutil.copyfile(journal.path(host), os.path.join(data, "journal", "hosts", os.path.basename(journal.path(host))))


def start(directory, command, ident):
    """The processes of one shard, the last of which ends when the worker has. Raises :class:`TestbedError` where a program is missing."""
    runner = _runner()
    os.makedirs(os.path.join(directory, "result"), mode=0o700, exist_ok=True)
    try:
        with open(os.path.join(directory, "log"), "ab") as log:
            sent = subprocess.Popen([runner, "transmit", os.path.join(directory, "data"), "-p", "shard.yml", "--ident", ident],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
            worker = subprocess.Popen(command, stdin=sent.stdout, stdout=subprocess.PIPE, stderr=log)
            taken = subprocess.Popen([runner, "process", os.path.join(directory, "result"), "--ident", ident],
                                     stdin=worker.stdout, stdout=log, stderr=log)
    except OSError as exc:
        raise TestbedError("cannot start %s (%s)" % (exc.filename, errno_name(exc.errno)))
    sent.stdout.close()
    worker.stdout.close()
    return [sent, worker, taken]


def note(directory, pids):
    """Write down which processes work on a shard, so that a run after the loss of this one does not work on its hosts beside them."""
    write_atomically(os.path.join(directory, PROCESSES), json.dumps([lock.holder(pid) for pid in pids]))


def ended(directory):
    """All of a shard's processes have ended. Its hosts' variables, secrets among them, are not kept."""
    directories.remove(os.path.join(directory, "data"))
    _remove(os.path.join(directory, PROCESSES))


def alive(journal):
    """Ids of the processes of earlier runs that still work on shards. Raises :class:`TestbedError` for notes that cannot be read.

    Those of another controller cannot be seen: its lock stands for them.
    """
    found = []
    for directory in _all(journal):
        path = os.path.join(directory, PROCESSES)
        try:
            with open(path, encoding="ascii") as stream:
                found += [holder["pid"] for holder in json.load(stream)
                          if holder["controller"] == socket.gethostname() and not lock.is_gone(holder)]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            raise TestbedError("cannot read %s" % path, remedy="remove it, if no ansible-runner of an earlier run is at work on the hosts")
    return found


def entries(directory):
    """The journal entries among the events that have come back so far, in their order."""
    found = []
    for parent, unused, names in os.walk(os.path.join(directory, "result", "artifacts")):
        if os.path.basename(parent) != "job_events":
            continue
        whole = [name for name in names if name.endswith(".json") and name.partition("-")[0].isdigit()]
        for name in sorted(whole, key=lambda name: int(name.partition("-")[0])):
            try:
                with open(os.path.join(parent, name), encoding="utf-8") as stream:
                    event = json.load(stream)
            except ValueError:
                continue  # still being written
            entry = event.get("event_data", {}).get("res", {}).get("entry") if event.get("event") == "runner_on_ok" else None
            if entry and entry.get("host"):
                found.append(entry)
    return found


def merge(directory, journal):
    """Take over what the journal does not have yet. Returns those entries."""
    known, new = {}, []
    for entry in entries(directory):
        host = entry["host"]
        if host not in known:
            known[host] = {(old["time"], old["event"]) for old in journal.read(host)}
        if (entry["time"], entry["event"]) not in known[host]:
            new.append(journal.append(entry["event"], host, **{key: value for key, value in entry.items() if key not in ("event", "host")}))
            known[host].add((entry["time"], entry["event"]))
    return new


def take_over(journal):
    """What an interrupted run's workers had sent and nobody had taken over. Raises :class:`TestbedError` while they still work."""
    working = alive(journal)
    if working:
        raise TestbedError("workers of an earlier run are still at work on its hosts (process%s %s)" % (
            "es" if len(working) > 1 else "", ", ".join(map(str, working))), remedy="wait until they have ended, or end them, and run again")
    for directory in _all(journal):
        merge(directory, journal)
        ended(directory)


def _all(journal):
    top = os.path.join(journal.directory, "shards")
    return [os.path.join(top, name) for name in sorted(os.listdir(top))] if os.path.isdir(top) else []


def _remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _runner():
    beside = os.path.join(os.path.dirname(sys.executable), "ansible-runner")
    found = beside if os.path.exists(beside) else shutil.which("ansible-runner")
    if found is None:
        raise TestbedError("ansible-runner is not installed on this controller", remedy="install it for the Python that runs Ansible")
    return found


def _write(top, name, text):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
