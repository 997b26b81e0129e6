# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From settings, inventory and journal to what this run does: waves, hosts to repair, whether it begins or goes on."""
from __future__ import annotations

import uuid

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown


def begin(journal, name, waves, content):
    """The run's plan.

    :arg waves: as :func:`waves.cut` made them.
    :arg content: what else makes two rollouts the same one (kernel, steps): values that JSON has.
    Raises :class:`TestbedError` where the journal is of another rollout.
    """
    header, runs = _header(journal)
    what = dict(content, waves=waves)
    if header is None:
        header = {"name": name, "id": str(uuid.uuid4()), "what": what}
    _same(journal, header, name, what)
    return _plan(journal, header, runs)


def back(journal, name):
    """The plan of the way back: waves in reverse, of hosts to which something was done."""
    header, runs = _header(journal)
    if header is None:
        raise TestbedError("there is no rollout in the journal %s" % journal.directory, remedy="name the rollout with rollout_name")
    _same(journal, header, name, header["what"])
    found = _plan(journal, header, runs)
    touched = {host for host, state in found["states"].items() if state in (states.DONE, states.INTERRUPTED)}
    found["waves"] = [[host for host in wave if host in touched] for wave in reversed(found["waves"])]
    found["waves"] = [wave for wave in found["waves"] if wave]
    return found


def accept(journal, plan, kind):
    """Write the plan, where it is new, and that a run of it begins."""
    if plan["new"]:
        journal.append("planned", name=plan["name"], id=plan["id"], what=plan["what"])
    journal.append("run", run=plan["run"], kind=kind)


def _plan(journal, header, runs):
    # A worker of a rollout in shards has the journal of its own hosts only.
    entries = journal.read_hosts()
    hosts = [host for wave in header["what"]["waves"] for host in wave]
    strangers = sorted(set(entries) - set(hosts))
    if strangers:
        raise TestbedError("the journal %s speaks of %s, which this rollout does not have" % (journal.directory, shown(strangers)),
                           remedy="give this rollout another rollout_name")
    found = {host: states.state(entries.get(host, [])) for host in hosts}
    return {"name": header["name"], "id": header["id"], "what": header["what"], "new": runs is None, "run": (runs or 0) + 1,
            "waves": [list(wave) for wave in header["what"]["waves"]], "states": found,
            "repair": [host for host in hosts if found[host] == states.INTERRUPTED], "torn": journal.torn()}


def _header(journal):
    """The entry ``planned``, and how many runs there were; both ``None`` where nothing was ever planned."""
    entries = journal.read()
    if not entries:
        # A plan that was cut off while it was written is none: hosts are worked on only after it.
        if journal.read_hosts():
            raise TestbedError("the journal %s has lost its beginning" % journal.path(),
                               remedy="put it back from a copy, or give this rollout another rollout_name")
        return None, None
    if entries[0]["event"] != "planned" or not isinstance(entries[0].get("what"), dict):
        raise TestbedError("the journal %s does not begin with a plan" % journal.path(), remedy="give this rollout another rollout_name")
    return entries[0], max([entry["run"] for entry in entries if entry["event"] == "run"], default=0)


def _same(journal, header, name, what):
    different = sorted(key for key in set(header["what"]) | set(what) if header["what"].get(key) != what.get(key))
    if header["name"] != name:
        different.insert(0, "name (%s)" % header["name"])
    if different:
        raise TestbedError("the journal %s is of another rollout: it differs in %s" % (journal.directory, ", ".join(different)),
                           remedy="give this rollout another rollout_name, or roll that one back first")
