# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof by zone accounting: present - managed pages of a node are its self-hosted memmap, if nothing else is unmanaged there.

That is so on a node whose memory is all hot-added: ordinary hot-add gives every page to the allocator, whereas boot memory loses some to the kernel.
On such a node the present pages must also be those of its online blocks. Kernel: mm/memory_hotplug.c: adjust_present_page_count, online_pages.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import ONLINE

NAME = "zone_accounting"

# node: id; online: its online blocks by sysfs; present, unmanaged: pages by zoneinfo; hosted: how many online blocks host their memmap, None when
# the figures make no whole number of them; agrees: whether present is what the online blocks have
Account = collections.namedtuple("Account", ("node", "online", "present", "unmanaged", "hosted", "agrees"))


def accounts(zones, blocks, hot_added, geometry):
    """``{node id: Account}`` for the nodes in ``hot_added`` (ids whose memory is all hot-added) that have an online block.

    :arg zones: list of :class:`Zone`. :arg blocks: ``{id: Block}``.
    """
    online = dict.fromkeys(hot_added, 0)
    counts = collections.Counter([block.nodes for block in blocks.values() if block.state in ONLINE])
    for nodes, count in counts.items():
        if len(nodes) == 1 and nodes[0] in online:
            online[nodes[0]] += count
    found = {}
    for node in sorted(online):
        if not online[node]:
            continue
        present = sum(zone.present for zone in zones if zone.node == node)
        unmanaged = present - sum(zone.managed for zone in zones if zone.node == node)
        hosted, rest = divmod(unmanaged, geometry.reserved)
        whole = rest == 0 and 0 <= hosted <= online[node]
        found[node] = Account(node, online[node], present, unmanaged, hosted if whole else None, present == online[node] * geometry.pages)
    return found


def statement(account):
    """The figures in words, for a conflict."""
    return "%d pages present, %d of them unmanaged, on %d online blocks%s" % (
        account.present, account.unmanaged, account.online, "" if account.hosted is None else ": %d self-hosted" % account.hosted)
