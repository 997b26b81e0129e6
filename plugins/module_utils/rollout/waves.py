# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts cut into waves: canaries first, then what the user asked for, never all of a failure domain at once."""
from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError


def cut(hosts, canaries, sizes, groups, domains=None, limit="50%"):
    """The waves, a list of lists of host names.

    :arg hosts: all hosts, in the inventory's order.
    :arg canaries: how many hosts are in the first wave, or their names; 0 for none.
    :arg sizes: of the other waves: a number, a percentage of all hosts, or a dictionary with ``group`` or ``hosts``.
    :arg groups: group name -> host names.
    :arg domains: host name -> failure domain; hosts that are not in it are domains of their own.
    :arg limit: how many hosts of one domain, a number or a percentage of the domain, may be in one wave.
    A number or percentage takes hosts from all domains in turn, those first of which least are in the wave.
    Raises :class:`TestbedError`: no host, overlapping waves, a host in no wave, a wave larger than the domains allow.
    """
    if not hosts:
        raise TestbedError("there is no host to roll out to", remedy="see which hosts rollout_hosts matches: ansible-inventory --graph")
    if not isinstance(sizes, (list, tuple)):
        raise TestbedError("rollout_waves: %.60r is not a list" % (sizes,))
    wanted = [_canaries(canaries)] + [_size(size, number) for number, size in enumerate(sizes, 1)]
    fleet = _Fleet(hosts, groups, domains or {}, limit)
    # Hosts that are named belong to their wave; numbers and percentages share the others.
    named = [fleet.named(size) if isinstance(size, Mapping) else None for size in wanted]
    fleet.no_overlap(named)
    reserved = {host for names in named if names for host in names}
    waves, left = [], [host for host in hosts if host not in reserved]
    for size, names in zip(wanted, named):
        if names is None:
            names = fleet.spread(left, fleet.count(size), "wave %d" % (len(waves) + 1))
            taken = set(names)
            left = [host for host in left if host not in taken]
        if names:
            fleet.within_domains(names, "wave %d" % (len(waves) + 1))
            waves.append(names)
    if left:
        raise TestbedError("%d of %d hosts are in no wave: %s" % (len(left), len(hosts), shown(left)), remedy='let the last of rollout_waves be "100%"')
    return waves


def shown(names, most=6):
    """A few names of a list, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (" and %d more" % (len(names) - most) if len(names) > most else "")


class _Fleet:
    """All hosts, and what domain each is in."""

    def __init__(self, hosts, groups, domains, limit):
        self._hosts = hosts
        self._known = set(hosts)
        self._groups = groups
        self._domain = {host: domains[host] if domains.get(host) not in (None, "") else (host,) for host in hosts}
        self._size = {}
        for domain in self._domain.values():
            self._size[domain] = self._size.get(domain, 0) + 1
        self._limit = _count_or_share(limit, "rollout_domain_limit")

    def count(self, size):
        kind, number = size
        return math.ceil(len(self._hosts) * number / 100) if kind == "share" else number

    def named(self, size):
        if "group" in size:
            name = size["group"]
            if name not in self._groups:
                raise TestbedError("rollout_waves names the group %s, which is not in the inventory" % name)
            members = set(self._groups[name])
            found = [host for host in self._hosts if host in members]
            if not found:
                raise TestbedError("rollout_waves names the group %s, of which no host is in this rollout" % name, remedy="leave that wave out")
            return found
        unknown = [host for host in size["hosts"] if host not in self._known]
        if unknown:
            raise TestbedError("a wave names %s, not among the hosts of this rollout" % shown(unknown))
        if len(set(size["hosts"])) != len(size["hosts"]):
            raise TestbedError("a wave names a host twice: %s" % shown(size["hosts"]))
        return list(size["hosts"])

    def no_overlap(self, waves):
        first = {}
        for number, names in enumerate(waves, 1):
            for host in names or ():
                if host in first:
                    raise TestbedError("overlapping waves: %s is in wave %d and in wave %d" % (host, first[host], number))
                first[host] = number

    def spread(self, left, count, what):
        """``count`` of the hosts that are left, or all where there are fewer, from all domains in turn."""
        count = min(count, len(left))
        queues = {}
        for host in left:
            queues.setdefault(self._domain[host], []).append(host)
        queues = {domain: names[:self._allowed(domain)] for domain, names in queues.items()}
        room = sum(len(names) for names in queues.values())
        if room < count:
            raise TestbedError("%s is larger than the failure domains allow: %d hosts, room for %d" % (what, count, room),
                               remedy="cut it into several waves, or raise rollout_domain_limit")
        taken, turn = [], 0
        while len(taken) < count:
            for names in queues.values():
                if turn < len(names) and len(taken) < count:
                    taken.append(names[turn])
            turn += 1
        return taken

    def within_domains(self, names, what):
        found = {}
        for host in names:
            found[self._domain[host]] = found.get(self._domain[host], 0) + 1
        for domain, count in found.items():
            if count > self._allowed(domain):
                raise TestbedError("%s is larger than the failure domain %s allows: %d of its %d hosts, at most %d"
                                   % (what, domain, count, self._size[domain], self._allowed(domain)),
                                   remedy="cut it into several waves, or raise rollout_domain_limit")

    def _allowed(self, domain):
        """Never all of a domain, but one host where it has only that."""
        size = self._size[domain]
        kind, number = self._limit
        wanted = size * number // 100 if kind == "share" else number
        return max(1, min(wanted, size - 1))


def _canaries(canaries):
    if isinstance(canaries, (list, tuple)):
        return {"hosts": [str(name) for name in canaries]}
    return _count_or_share(canaries, "rollout_canaries", least=0)


def _size(size, number):
    what = "rollout_waves[%d]" % number
    if isinstance(size, Mapping):
        if len(size) != 1 or set(size) - {"group", "hosts"}:
            raise TestbedError("%s: a wave is a number, a percentage, or a dictionary with group or hosts; found %.60r" % (what, dict(size)))
        if "hosts" in size and not isinstance(size["hosts"], (list, tuple)):
            raise TestbedError("%s: hosts is %.60r, not a list of names" % (what, size["hosts"]))
        if "group" in size and not isinstance(size["group"], str):
            raise TestbedError("%s: group is %.60r, not a name" % (what, size["group"]))
        return dict(size, hosts=[str(name) for name in size["hosts"]]) if "hosts" in size else size
    return _count_or_share(size, what)


def _count_or_share(value, what, least=1):
    found = re.fullmatch(r"([0-9]{1,6})(%?)", str(value).strip())
    if isinstance(value, bool) or not found or int(found.group(1)) < least or found.group(2) and int(found.group(1)) > 100:
        raise TestbedError("%s: %.60r is not a number from %d up or a percentage" % (what, value, least))
    return "share" if found.group(2) else "count", int(found.group(1))
