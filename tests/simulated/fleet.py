# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A fleet of simulated hosts below a directory, and ansible-playbook on it."""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

SIMULATED = pathlib.Path(__file__).parent
COLLECTION = SIMULATED.parents[1]


class Fleet:
    """Makes the hosts and their inventory; runs playbooks on them. A variable that is ``None`` is not set."""

    def __init__(self, directory, hosts, racks=1, **variables):
        self.directory = pathlib.Path(directory)
        self.hosts = ["host%04d" % number for number in range(hosts)]
        entries = {}
        for number, name in enumerate(self.hosts):
            (self.directory / "hosts" / name).mkdir(parents=True)
            self.write(name, "machine", {"release": "6.12.1", "parameters": ["quiet"], "blocks": {}, "log": []})
            entries[name] = {"rack": "rack%d" % (number % racks)}
        common = {"ansible_connection": "local", "ansible_user": "root", "ansible_python_interpreter": sys.executable, "rollout_name": "simulated",
                  "rollout_steps_from": str(SIMULATED / "steps"),
                  "simulated_directory": "%s/hosts/{{ inventory_hostname }}" % self.directory,
                  "rollout_claim_path": "%s/hosts/{{ inventory_hostname }}/claim.json" % self.directory}
        self.inventory = self.directory / "inventory.json"
        variables = {key: value for key, value in dict(common, **variables).items() if value is not None}
        self.name = variables.get("rollout_name", self.directory.name)
        self._entries, self._variables = entries, variables
        self._write_inventory()

        self.overrides = {}

    def simulate(self, *modules):
        """From now on these modules of the collection are ``modules/simulated_module.py``: a checkout of links, in which each has that as its action."""
        checkout = self.directory / "collections/ansible_collections/memlab/testbed"
        for directory in ("", "plugins", "plugins/action"):
            (checkout / directory).mkdir(parents=True)
            for entry in (COLLECTION / directory).iterdir():
                if str(entry.relative_to(COLLECTION)) not in ("plugins", "plugins/action"):
                    (checkout / directory / entry.name).symlink_to(entry)
        for name in modules:
            (checkout / "plugins/action" / (name + ".py")).symlink_to(SIMULATED / "modules/simulated_module.py")
        self.overrides["ANSIBLE_COLLECTIONS_PATH"] = str(self.directory / "collections")

    def calls(self, host):
        """(simulated module, entries that it was given) of each call."""
        return [tuple(json.loads(line)) for line in (self.directory / "hosts" / host / "calls.jsonl").read_text().splitlines()]

    def lose(self, host):
        """The host is gone for good: nothing answers where it was."""
        self.write(host, "faults", {"gone": True})
        self._entries[host].update(ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=1, ansible_ssh_retries=0)
        self._write_inventory()

    def forget(self, host):
        """The inventory has it no more."""
        del self._entries[host]
        self._write_inventory()

    def reverse(self):
        """The inventory has its hosts the other way round."""
        self._entries = dict(reversed(self._entries.items()))
        self._write_inventory()

    def give(self, host, **variables):
        """The inventory gives the host variables of its own."""
        self._entries.setdefault(host, {}).update(variables)
        self._write_inventory()

    def _write_inventory(self):
        self.inventory.write_text(json.dumps({"all": {"hosts": self._entries, "vars": self._variables}}))

    def write(self, host, what, content):
        (self.directory / "hosts" / host / (what + ".json")).write_text(json.dumps(content))

    def machine(self, host):
        return json.loads((self.directory / "hosts" / host / "machine.json").read_text())

    def touched(self):
        return [host for host in self.hosts if self.machine(host)["log"]]

    def journal(self, host=None):
        path = self.directory / "cache/rollouts" / self.name / ("rollout.jsonl" if host is None else "hosts/%s.jsonl" % host)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def environment(self):
        own = dict(os.environ, MEMLAB_CACHE=str(self.directory / "cache"), ANSIBLE_CONFIG=str(COLLECTION / "ansible.cfg"), LC_ALL="C.UTF-8",
                   ANSIBLE_INVENTORY_ENABLED="yaml", ANSIBLE_FORCE_COLOR="0", ANSIBLE_NOCOLOR="1", ANSIBLE_LOCAL_TEMP=str(self.directory / "local"),
                   ANSIBLE_ACTION_PLUGINS=str(SIMULATED / "action_plugins"))
        return {**own, **self.overrides}

    def start(self, playbook="rollout", *arguments, **variables):
        """The process of ansible-playbook with one of the collection's playbooks; its output is a pipe."""
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", str(self.inventory), "memlab.testbed." + playbook, *arguments]
        if variables:
            command += ["-e", json.dumps(variables)]
        return subprocess.Popen(command, env=self.environment(), cwd=str(COLLECTION), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def play(self, playbook="rollout", *arguments, **variables):
        """(exit code, output) of one of the collection's playbooks."""
        run = self.start(playbook, *arguments, **variables)
        output = run.communicate()[0]
        return run.returncode, re.sub(r"\x1b\[[0-9;]*m", "", output)
