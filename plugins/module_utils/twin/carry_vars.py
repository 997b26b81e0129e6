# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of a host's variables its twin gets, and which of the controller's the rehearsed playbook gets."""
from __future__ import annotations

import re

# Variables of this collection's roles, by how they begin.
CARRIED = re.compile(r"(memory_(devices|hotadd|at_boot)|memmap_policy|verify|report|kernel_build|kernel_install|rollout|provision)(_|$)")
# These say where something is kept: a rehearsal keeps it elsewhere. And a rehearsal that only plans would prove nothing.
KEPT = ("report_path", "rollout_directory", "rollout_name", "rollout_plan")
# These run the site's own tasks or other controllers. A twin has its host's name, so a hook that a cluster is told by would take the host out of service.
SITE = {"rollout_drain": "drain hook", "rollout_undrain": "undrain hook", "rollout_steps_from": "the site's own steps", "rollout_workers": "other controllers",
        "rollout_worker_environment": "the environment of other controllers"}
LEFT = KEPT + tuple(SITE)
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def twin_hosts(names, hostvars, directory, further=()):
    """The list ``hosts`` of the module testbed_twin. ``rollout_domain`` names a variable, which the twin gets, too."""
    found = []
    for name in names:
        known = hostvars[name]
        further_ones = set(further) | {known[key] for key in ("rollout_domain",) if isinstance(known.get(key), str) and known.get(key)}
        wanted = sorted(key for key in known if (CARRIED.match(key) or key in further_ones) and key not in LEFT)
        groups = [group for group in known.get("group_names", ()) if _GROUP.fullmatch(group) and group != "ungrouped" and not group.startswith("testbed")]
        found.append({"name": name, "capture": "%s/%s.tgz" % (directory, name), "vars": {key: known[key] for key in wanted}, "groups": groups})
    return found


def left_out(name, hostvars, extra):
    """What of the site the rehearsal of a host does without, a list of ``(variable, what it is)``. :arg extra: the variables that the rehearsal is given."""
    places = [hostvars[known] for known in (name, "localhost") if known in hostvars]
    return [(key, what) for key, what in SITE.items() if key not in extra and any(place.get(key) for place in places)]


def run_vars(known, journal):
    """Variables of the controller that the playbook is to have on the twins' controller: what a rollout is asked for, and a journal of its own."""
    found = {key: known[key] for key in sorted(known) if key.startswith("rollout_") and key not in LEFT}
    return dict(found, rollout_directory=journal)
