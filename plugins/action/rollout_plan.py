# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action: rollout_plan, on the controller."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import kernel, lock, plan, preview, settings, shards, states, waves
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.journal import Journal
from ansible_collections.memlab.testbed.plugins.modules import rollout_plan
from ansible_collections.memlab.testbed.plugins.plugin_utils import task_file
from ansible_collections.memlab.testbed.plugins.plugin_utils.controller_action import ControllerAction
from ansible_collections.memlab.testbed.plugins.plugin_utils.host_values import host_values


SILENT = "see to the hosts that do not answer, or let rollout_limit bear them: they count as bad hosts"


class ActionModule(ControllerAction):
    """See the module of this name for what it takes and returns."""

    DOCUMENTATION = rollout_plan.DOCUMENTATION

    def act(self, asked, task_vars):
        asked["preview"] = asked["preview"] or self._task.check_mode
        try:
            return getattr(self, "_" + asked["state"])(Journal(asked["directory"]), asked, task_vars)
        except TestbedError:
            lock.release(asked["directory"], os.getppid())
            raise

    def _opened(self, journal, asked, task_vars):
        """Everything that can be known without asking a host."""
        limit = settings.limit(asked["limit"])
        settings.check(asked["name"], asked["steps"], asked["steps_from"])
        hosts = asked["hosts"]
        self._check_hosts(settings.OF_HOSTS, hosts, task_vars)
        self._check_steps(["survey", "rollback", *settings.STEPS, *asked["steps"]], asked["steps_from"])
        if asked["workers"]:
            shards.check([worker["command"] for worker in asked["workers"]])
        domains = {}
        if asked["domain"]:
            domains = settings.domains(asked["domain"], {host: plain(task_vars["hostvars"][host].get(asked["domain"])) for host in hosts})
        cut = waves.cut(hosts, asked["canaries"], asked["waves"], task_vars["groups"], domains, asked["domain_limit"])
        settled = {name: plain(asked[name]) for name in ("canaries", "waves", "domain", "domain_limit")}
        self._lock(journal, asked)
        found = plan.begin(journal, asked["name"], cut, {"steps": asked["steps"], "cut": settled})
        self._same_kernels(journal, asked, found, task_vars["hostvars"])
        return dict(self._taken(asked, found, limit, task_vars["hostvars"]), domains=domains)

    def _same_kernels(self, journal, asked, found, hostvars):
        """Hosts that are done were given the kernel that is asked for now. One that failed with a bad kernel may be given another."""
        for host, done in found.pop("kernels").items():
            own = hostvars[host] if host in hostvars else {}
            wanted = kernel.identity(plain(own.get("rollout_kernel_packages", asked["kernel_packages"])),
                                     plain(own.get("rollout_kernel_artifact", {"key": asked["kernel_key"]})).get("key"))
            if wanted != done:
                raise TestbedError("the journal %s is of another rollout: it differs in kernel, which %s has from it already" % (journal.directory, host),
                                   details=["rolled out: %s" % (", ".join(done) or "none"), "asked for: %s" % (", ".join(wanted) or "none")],
                                   remedy=plan.ANOTHER)

    def _check_hosts(self, variables, hosts, task_vars):
        """What may differ from host to host."""
        for variable, values in host_values(variables, hosts, task_vars, self._templar).items():
            settings.check_hosts(variable, values)
            for hook, unused in values if variable in settings.HOOKS else ():
                if hook:
                    task_file.check(variable, hook, self._task, self._loader)

    def _check_steps(self, steps, directories):
        for step in dict.fromkeys(steps):
            task_file.check("rollout_steps: %s" % step, settings.step_file(step, directories), self._task, self._loader)

    def _back(self, journal, asked, task_vars):
        limit = settings.limit(asked["limit"])
        plan.known(journal)
        self._lock(journal, asked)
        found = plan.back(journal, asked["name"])
        del found["kernels"]
        gone = [host for wave in found["waves"] for host in wave if host not in task_vars["hostvars"]]
        found["waves"] = [wave for wave in ([host for host in hosts if host not in gone] for hosts in found["waves"]) if wave]
        self._check_hosts(settings.HOOKS, [host for wave in found["waves"] for host in wave], task_vars)
        self._check_steps(["drain", "rollback", "undrain"], asked["steps_from"])
        return dict(self._taken(asked, found, limit, task_vars["hostvars"]), gone=gone)

    def _lock(self, journal, asked):
        if not asked["preview"]:
            lock.take(journal.directory, os.getppid(), "rollout %s" % asked["name"])
            shards.take_over(journal)

    def _taken(self, asked, found, limit, hostvars):
        order, serial = [], []
        for number, hosts in enumerate(found["waves"], 1):
            order += [gate_name(number), *hosts]
            serial.append(len(hosts) + 1)
        gates = [gate_name(number) for number in range(0 if found["repair"] else 1, len(serial) + 1)]
        todo = [host for host, state in found["states"].items() if state != states.DONE]
        if asked["preview"]:
            order, serial, found["repair"] = [], [], []
        hosts = [] if asked["preview"] else [host for wave in found["waves"] for host in wave]
        # Claims of hosts to which nothing was done yet are given back, too.
        claimed = [] if asked["preview"] else [host for wave in found["what"]["waves"] for host in wave if host in hostvars]
        # A play all of whose hosts are lost ends the playbook, so one that may be headed by the controller's own.
        return {"plan": found, "name": asked["name"], "directory": asked["directory"], "hosts": hosts, "order": order, "serial": serial or [1],
                "gates": gates, "todo": todo, "ask": gates[:1] + todo, "claim": gates[:1] + hosts if hosts else [], "release": gates[:1] + claimed,
                "repair": [gate_name(0), *found["repair"]] if found["repair"] else [], "limit": limit,
                "warnings": ["the last line of the journal was cut off and is left out: %s" % ", ".join(found["torn"])] if found["torn"] else []}

    def _accepted(self, journal, asked, task_vars):
        """Now that the hosts were asked."""
        opened = asked["plan"]
        hostvars = task_vars["hostvars"]
        surveys = {host: plain(hostvars[host].get("rollout_survey")) for host in opened["todo"]}
        lines = preview.text(opened["plan"], surveys, opened["limit"])
        # What an interrupted run has left is repaired before it counts.
        refused = preview.forbidden({host: survey for host, survey in surveys.items()
                                     if opened["plan"]["states"][host] != states.INTERRUPTED or survey is None})
        silent = [host for host, survey in surveys.items() if survey is None]
        if refused and not asked["preview"] and (len(refused) > len(silent) or len(silent) > opened["limit"]):
            raise TestbedError("%d of %d hosts cannot be rolled out to, nothing was changed" % (len(refused), len(surveys)),
                               details=["%s: %s" % (host, "; ".join(reasons)) for host, reasons in sorted(refused.items())],
                               remedy=SILENT if silent else None)
        if not asked["preview"]:
            plan.accept(journal, opened["plan"], "rollout")
        return {"text": lines, "refused": refused, "changed": not asked["preview"]}

    def _claimed(self, journal, asked, task_vars):
        """Every host has said that it is this rollout's. Those that did not answer are bad, and on the way back keep no other from it."""
        opened, hostvars = asked["plan"], task_vars["hostvars"]
        answers = {host: (hostvars[host].get("rollout_claimed") or {}) for host in opened["hosts"]}
        others = {host: answer["msg"] for host, answer in answers.items() if not answer.get("claimed") and answer.get("msg") and not answer.get("unreachable")}
        silent = [host for host, answer in answers.items() if not answer.get("claimed") and host not in others]
        bearable = len(opened["hosts"]) if asked.get("back") else opened["limit"]
        if others or len(silent) > bearable:
            reasons = dict({host: "it did not answer" for host in silent}, **others)
            raise TestbedError("%d of %d hosts are not this rollout's, none was changed" % (len(reasons), len(answers)),
                               details=["%s: %s" % (host, str(reason).split("\n", maxsplit=1)[0]) for host, reason in sorted(reasons.items())],
                               remedy=SILENT if silent and not asked.get("back") else None)
        return {"silent": silent}

    def _going_back(self, journal, asked, task_vars):
        if not asked["preview"]:
            plan.accept(journal, asked["plan"]["plan"], "rollback")
        gone = asked["plan"]["gone"]
        return {"text": ["wave %d: %s" % (number, waves.shown(hosts)) for number, hosts in enumerate(asked["plan"]["plan"]["waves"], 1)] +
                (["not in the inventory, and left as they are: %s" % waves.shown(gone)] if gone else []), "changed": not asked["preview"]}


def gate_name(number):
    """The host of the controller's own that stands at the head of a wave. It is always there, whatever becomes of the others."""
    return "rollout-wave-%d" % number if number else "rollout-repair"
