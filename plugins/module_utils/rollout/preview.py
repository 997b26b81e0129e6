# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan as text: waves, and for each host what would change and what forbids it."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.rollout.waves import shown

# A survey's keys, in the order in which they are told.
WORDS = ("kernel", "parameters", "regions", "namespaces", "devices", "blocks")


def text(plan, surveys, limit):
    """Lines. :arg surveys: host -> its survey, ``None`` where it did not answer; hosts that are done have none."""
    hosts = [host for wave in plan["waves"] for host in wave]
    lines = ["Rollout %s: %d hosts in %d waves, at most %d bad" % (plan["name"], len(hosts), len(plan["waves"]), limit)]
    if plan["repair"]:
        lines.append("repaired first: %s" % shown(plan["repair"]))
    lines += ["wave %d, %d hosts: %s" % (number, len(wave), shown(wave)) for number, wave in enumerate(plan["waves"], 1)]
    return lines + ["%s: %s" % (host, _host(plan["states"][host], host, surveys)) for host in hosts]


def forbidden(surveys):
    """Host -> why it cannot be rolled out to, for those that cannot."""
    found = {}
    for host, survey in surveys.items():
        reasons = ["it did not answer"] if survey is None else list(survey.get("forbids") or ())
        if reasons:
            found[host] = reasons
    return found


def _host(state, host, surveys):
    if host not in surveys:
        return "%s, will be verified" % state
    if surveys[host] is None:
        return "did not answer"
    survey = surveys[host]
    said = ["%s %s" % (word, survey[word]) for word in WORDS if survey.get(word)]
    reboots = survey.get("reboots") or 0
    if reboots:
        said.append("%d reboot%s" % (reboots, "" if reboots == 1 else "s"))
    said += ["FORBIDDEN: %s" % reason for reason in survey.get("forbids") or ()]
    return "; ".join(said) or "nothing changes"
