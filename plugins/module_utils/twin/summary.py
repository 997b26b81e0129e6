# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a rehearsal proved, and what it could not."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.rollout import states


def summary(hosts, playbook, failure, left_out, journal=None):
    """``{playbook, failure, hosts: [{host, guest, proved, not_proved}], text}``.

    :arg hosts: as testbed_twin answers. :arg failure: empty for none. :arg left_out: host -> what :func:`carry_vars.left_out` found.
    :arg journal: guest -> its journal's entries, where a rollout was rehearsed: one that bears bad hosts ends well with them.
    """
    found = []
    for host in hosts:
        count = len(host["memory_devices"])
        entries = (journal or {}).get(host["guest"], [])
        bad = failure or journal and states.state(entries) != states.DONE
        proved = [] if bad else ["%s ran to its end on %s" % (playbook, host["has"])]
        if count and not bad:
            proved.append("%d declared memory device%s (%s) %s accepted" % (
                count, "" if count == 1 else "s", host["declared_from"], "was" if count == 1 else "were"))
        not_proved = ["%s: the twin is %s at its end (%s)" % (
            playbook, states.state(entries).replace("_", " "), states.reason(entries) or "no reason given")] if bad and not failure else []
        not_proved += ["%s: %s, rehearsed with %s" % (entry["what"], entry["host"], entry["twin"]) for entry in host["scaled"]]
        not_proved += ["%s: %s" % (entry["what"], entry["consequence"]) for entry in host["not_expressed"]]
        not_proved += ["%s (%s): not run, because a twin has its host's name; rehearse_extra_vars may give one that is for twins" % (what, key)
                       for key, what in left_out.get(host["host"], ())]
        found.append({"host": host["host"], "guest": host["guest"], "proved": proved, "not_proved": not_proved})
    return {"playbook": playbook, "failure": failure, "hosts": found, "text": _text(found, playbook, failure)}


def _text(hosts, playbook, failure):
    lines = ["Rehearsal of %s on %d twin%s: %s" % (playbook, len(hosts), "" if len(hosts) == 1 else "s",
                                                   "FAILED (%s)" % failure if failure else "went well")]
    for host in hosts:
        lines += ["", host["host"]]
        lines += ["  proved      %s" % line for line in host["proved"]]
        lines += ["  not proved  %s" % line for line in host["not_proved"] or ["times, and what only load or failing hardware shows"]]
    return "\n".join(lines)
