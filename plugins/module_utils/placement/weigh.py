# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the proofs say of each block, put together. Where they disagree nothing is concluded: the block is unknown and there is a conflict."""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import ONLINE
from ansible_collections.memlab.testbed.plugins.module_utils.placement import page_flags, page_tables, zone_accounting
from ansible_collections.memlab.testbed.plugins.module_utils.placement.page_tables import SELF, UNKNOWN

# placement: as in page_tables, never None; nodes, runs: as in Location, empty where not known; proofs: names of the proofs it rests on
Verdict = collections.namedtuple("Verdict", ("placement", "nodes", "runs", "proofs"))

NOTHING = Verdict(UNKNOWN, (), (), ())

# What page tables say of an online block without any struct page mapped, of which nothing else can be true.
UNMAPPED = "nothing mapped"


def weigh(blocks, located, flags, accounts, geometry):
    """``({block id: Verdict}, conflicts)``.

    :arg blocks: ``{id: Block}`` ascending.
    :arg located: ``{id: Location}``, empty where there is no such proof; :arg flags: ``{id: Flags}``, likewise;
    :arg accounts: ``{node id: Account}``, likewise.
    A conflict is a dict of ``first_block``, ``last_block``, ``node``, ``statements`` (proof -> what it says).
    """
    said = {}
    disputed = []
    words = {None: None}  # Flags -> statement: few distinct ones
    pairs = {}  # what both say -> the same tuple, and whether it agrees
    for number, block in blocks.items():
        location, found = located.get(number), flags.get(number)
        if found not in words:
            words[found] = page_flags.statement(found, geometry)
        pair = ((location[0] or (UNMAPPED if block.state in ONLINE else None)) if location else None, words[found])
        if pair not in pairs:
            pairs[pair] = (pair, _AGREE.get(pair, False))
        said[number], agree = pairs[pair]
        if not agree:
            disputed.append(number)
    conflicts = [_block_conflict(blocks, said, first, last) for first, last in _alike(blocks, said, disputed)]
    in_doubt = set(disputed)
    confirmed = {}  # nodes of a block -> account that fits what was said of the node's blocks
    own = {(node,): [] for node in accounts}
    if accounts:
        for number, block in blocks.items():
            if block.nodes in own and block.state in ONLINE:
                own[block.nodes].append(number)
    for node, account in accounts.items():
        numbers = own[(node,)]
        conflict = _account_conflict(account, numbers, said)
        if conflict is None:
            confirmed[(node,)] = account
        else:
            conflicts.append(dict(first_block=numbers[0], last_block=numbers[-1], node=node, statements=conflict))
            in_doubt.update(numbers)
    verdicts = {}
    for number, block in blocks.items():
        if number in in_doubt:
            verdicts[number] = NOTHING
        else:
            account = confirmed.get(block.nodes) if block.state in ONLINE else None
            verdicts[number] = _verdict(block, located.get(number), said[number], account, geometry)
    return verdicts, conflicts


# What may be said together: a statement of page_flags that is neither of its two words never may.
_AGREE = {
    (by_tables, by_flags): by_tables is None or by_flags is None or (by_tables == SELF) == (by_flags == page_flags.SELF)
    for by_tables in (None, SELF, page_tables.SAME_NODE, page_tables.OTHER_NODE, page_tables.MIXED, UNKNOWN)
    for by_flags in (None, page_flags.SELF, page_flags.NOT_SELF)
}
_AGREE[UNMAPPED, None] = True


def _verdict(block, location, said, account, geometry):
    by_tables, by_flags = said
    if by_tables == UNMAPPED:
        return NOTHING
    proofs = _PROOFS[by_tables is not None, by_flags is not None, account is not None]
    if by_tables:
        return Verdict(by_tables, location.nodes, location.runs, proofs)
    if by_flags == page_flags.SELF or by_flags is None and account is not None and account.hosted == account.online:
        memmap = geometry.memmap
        return Verdict(SELF, ((block.node, memmap),), ((block.id * geometry.block_size, memmap),), proofs)
    return NOTHING


_PROOFS = {
    (tables, flags, zones): tuple(name for name, spoke in (
        (page_tables.NAME, tables), (page_flags.NAME, flags), (zone_accounting.NAME, zones)) if spoke)
    for tables in (False, True) for flags in (False, True) for zones in (False, True)
}


def _account_conflict(account, own, said):
    """``{proof: statement}`` where a node's figures do not fit what was said of its online blocks ``own``, else ``None``."""
    statements = {}
    for position, proof in enumerate((page_tables.NAME, page_flags.NAME)):
        spoken = [said[number][position] for number in own]
        if None not in spoken:
            count = spoken.count(SELF)
            if count != account.hosted:
                statements[proof] = "%d of %d online blocks are self-hosted" % (count, len(own))
    if not account.agrees:
        statements["sysfs"] = "%d online blocks" % account.online
    if not statements:
        return None
    statements[zone_accounting.NAME] = zone_accounting.statement(account)
    return statements


def _block_conflict(blocks, said, first, last):
    by_tables, by_flags = said[first]
    statements = {page_tables.NAME: by_tables, page_flags.NAME: by_flags}
    return dict(first_block=first, last_block=last, node=blocks[first].node,
                statements={proof: words for proof, words in statements.items() if words})


def _alike(blocks, said, numbers):
    """Runs of neighbouring blocks on one node of which the same was said."""
    found = []
    for number in numbers:
        if found and found[-1][1] + 1 == number and said[number] == said[found[-1][0]] and blocks[number].node == blocks[found[-1][0]].node:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
