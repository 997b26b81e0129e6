# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a rollout may go on after a wave."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.rollout import states
from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown

BAD = ("failed", "unreachable", "rolled_back")


def judge(hosts, entries, run, limit=0, earlier=0, wanted=states.GOOD):
    """What became of a wave's hosts.

    :arg hosts: the wave's, as planned: one that Ansible has lost is among them.
    :arg entries: host -> its journal.
    :arg limit: how many bad hosts the rollout may have.
    :arg earlier: bad hosts of the waves before, in this run.
    :arg wanted: the events that are good.
    Returns ``passed``, ``good``, the names for each of :data:`BAD`, ``bad`` (how many) and ``message``.
    """
    found = {"good": [], **{word: [] for word in BAD}}
    for host in hosts:
        found[states.verdict(entries.get(host, []), run, wanted)].append(host)
    bad = sum(len(found[word]) for word in BAD)
    passed = bad == 0 or earlier + bad <= limit
    return dict(found, passed=passed, bad=bad, message=_message(found, entries, bad, earlier, limit, passed))


def refuse_last_of_a_domain(hosts, domains, lost, wave):
    """Raises :class:`TestbedError` where a wave would take the last hosts of a failure domain that are in service.

    :arg domains: host -> its failure domain, of all hosts that have one. :arg lost: hosts of earlier waves that are not in service.
    """
    members = {}
    for host, domain in domains.items():
        members.setdefault(domain, set()).add(host)
    for domain, those in sorted(members.items()):
        if those & set(lost) and those & set(hosts) and those <= set(lost).union(hosts):
            raise TestbedError("wave %d does not start: all of the failure domain %s would be out, as %s %s not in service" % (
                wave, domain, shown(sorted(those & set(lost))), "is" if len(those & set(lost)) == 1 else "are"),
                remedy="see to what is lost and run again")


def _message(found, entries, bad, earlier, limit, passed):
    if bad == 0:
        return "%d good" % len(found["good"])
    parts = ["%d good" % len(found["good"])] + ["%s: %s" % (word.replace("_", " "), shown(found[word])) for word in BAD if found[word]]
    reasons = ["%s: %s" % (host, states.reason(entries.get(host, []))) for word in BAD for host in found[word] if states.reason(entries.get(host, []))]
    text = "; ".join(parts)
    if reasons:
        text += " (%s)" % "; ".join(reasons[:3])
    return text if passed else "%s; %d bad hosts, at most %d are allowed: no further wave starts" % (text, bad + earlier, limit)
