# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From settings, inventory and journal to what this run does: waves, hosts to repair, whether it begins or goes on."""
from __future__ import annotations

import uuid

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown

# What a journal's entries mean. A journal of another number is refused.
FORMAT = 1
ANOTHER = "give this rollout another rollout_name; that one can be gone on with as it was, or rolled back"


def begin(journal, name, waves, content):
    """The run's plan.

    :arg waves: as :func:`waves.cut` made them.
    :arg content: what else makes two rollouts the same one: values that JSON has. ``cut``, the settings that the waves came from, lets a journal's waves
        stand where the same hosts come in another order.
    Raises :class:`TestbedError` where the journal is of another rollout.
    """
    header, runs = _header(journal)
    what = dict(content, waves=waves)
    if header is None:
        header = {"name": name, "id": str(uuid.uuid4()), "what": what}
    if "cut" in what and header["what"].get("cut") == what["cut"] and _hosts(header["what"]["waves"]) == _hosts(waves):
        what["waves"] = header["what"]["waves"]
    _same(journal, header, name, what)
    return _plan(journal, header, runs)


def back(journal, name):
    """The plan of the way back: waves in reverse, of hosts to which something was done."""
    header, runs = known(journal)
    _same(journal, header, name, header["what"])
    found = _plan(journal, header, runs)
    touched = {host for host, state in found["states"].items() if state in (states.DONE, states.INTERRUPTED)}
    found["waves"] = [[host for host in wave if host in touched] for wave in reversed(found["waves"])]
    found["waves"] = [wave for wave in found["waves"] if wave]
    return found


def known(journal):
    """The journal's plan, and how many runs of it there were. Raises :class:`TestbedError` where nothing was ever planned."""
    header, runs = _header(journal)
    if header is None:
        raise TestbedError("there is no rollout in the journal %s" % journal.directory, remedy="name the rollout with rollout_name")
    return header, runs


def accept(journal, plan, kind):
    """Write the plan, where it is new, and that a run of it begins."""
    if plan["new"]:
        journal.append("planned", format=FORMAT, name=plan["name"], id=plan["id"], what=plan["what"])
    journal.append("run", run=plan["run"], kind=kind)


def _plan(journal, header, runs):
    # A worker of a rollout in shards has the journal of its own hosts only.
    entries = journal.read_hosts()
    hosts = [host for wave in header["what"]["waves"] for host in wave]
    strangers = sorted(set(entries) - set(hosts))
    if strangers:
        raise TestbedError("the journal %s speaks of %s, which this rollout does not have" % (journal.directory, shown(strangers)),
                           remedy="give this rollout another rollout_name")
    lost = sorted({host for entry in journal.read() if entry["event"] == "wave_closed" for host in entry.get("good_hosts", ())} - set(entries))
    if lost:
        raise TestbedError("the journal %s has lost what it said of %s" % (journal.directory, shown(lost)),
                           remedy="put it back from a copy; what was done to a host cannot be guessed")
    found = {host: states.state(entries.get(host, [])) for host in hosts}
    return {"name": header["name"], "id": header["id"], "what": header["what"], "new": runs is None, "run": (runs or 0) + 1,
            "waves": [list(wave) for wave in header["what"]["waves"]], "states": found,
            "repair": [host for host in hosts if found[host] == states.INTERRUPTED], "torn": journal.torn(),
            "kernels": {host: done.get("kernel") for host, done in ((host, states.done(found)) for host, found in entries.items()) if done}}


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
    if entries[0].get("format") != FORMAT:
        raise TestbedError("the journal %s is of format %.20r, this version of the collection writes and reads format %d" % (
            journal.path(), entries[0].get("format"), FORMAT), remedy="go on with the version of the collection that began it")
    return entries[0], max([entry["run"] for entry in entries if entry["event"] == "run"], default=0)


def _same(journal, header, name, what):
    # Other settings that make the same waves make the same rollout.
    different = sorted(key for key in (set(header["what"]) | set(what)) - {"cut"} if header["what"].get(key) != what.get(key))
    if header["name"] != name:
        different.insert(0, "name (%s)" % header["name"])
    if different:
        raise TestbedError("the journal %s is of another rollout: it differs in %s" % (journal.directory, ", ".join(different)),
                           remedy=ANOTHER)


def _hosts(waves):
    return sorted(host for wave in waves for host in wave)
