# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The kernel's log: lines of trouble, and pages that offlining could not move. The records are a 6.12 guest's, addresses of the kernel changed."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.memory import kernel_log

SLAB = """\
4,700,117409195,-;page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x0 pfn:0x110400
4,701,117409383,-;memcg:ffff888123456781
4,702,117409408,-;flags: 0x57ffffc0000000(node=1|zone=2|lastcpupid=0x1fffff)
4,703,117409541,-;page_type: f5(slab)
4,704,117409745,-;raw: 0057ffffc0000000 ffff888123456780 dead000000000122 0000000000000000
4,705,117409815,-;page dumped because: unmovable page
"""
PINNED = """\
4,710,233377566,-;migrating pfn 118248 failed ret:8
4,711,233377703,-;page: refcount:4 mapcount:1 mapping:000000003bbc052a index:0x7 pfn:0x118248
4,712,233378163,-;aops:shmem_aops ino:b dentry name(?):"dev/zero"
 SUBSYSTEM=memory
4,713,233378162,-;flags: 0x5fffffc002011c(referenced|uptodate|dirty|active|swapbacked|node=1|zone=3|lastcpupid=0x1fffff)
4,714,233378224,-;page dumped because: migration failure
"""
OTHER = SLAB.replace("4,703,117409541,-;page_type: f5(slab)\n", "")
OLDER = OTHER.replace("flags: 0x57ffffc0000000(node", "flags: 0x57ffffc0000200(slab|node")


@pytest.mark.parametrize("text, expected", [
    (SLAB, [(0x110400, "slab", "unmovable page")]),
    (OLDER, [(0x110400, "slab", "unmovable page")]),
    (SLAB.replace("f5(slab)", "f2(table)"), [(0x110400, "page table", "unmovable page")]),
    (OTHER, [(0x110400, "kernel memory", "unmovable page")]),
    (PINNED, [(0x118248, "pinned", "migration failure")]),
    (SLAB + PINNED, [(0x110400, "slab", "unmovable page"), (0x118248, "pinned", "migration failure")]),
    (SLAB.replace("unmovable page", "VM_BUG_ON_PAGE"), []),
    ("4,705,117409815,-;page dumped because: unmovable page\n", []),
])
def test_pages_that_stay(text, expected):
    assert [tuple(page) for page in kernel_log.stuck_pages(kernel_log.lines(text))] == expected


@pytest.mark.parametrize("line, said", [
    ("4,1,1,-;WARNING: CPU: 0 PID: 7 at mm/x.c:1", "WARNING: CPU: 0 PID: 7 at mm/x.c:1"),
    ("1,1,1,-;BUG: unable to handle page fault for address: ffff888123456780", "BUG: unable to handle page fault for address: [address]"),
    ("0,1,1,-;watchdog: BUG: soft lockup - CPU#0 stuck for 26s!", "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!"),
    ("3,1,1,-;Memory cgroup out of memory: Killed process 7", "Memory cgroup out of memory: Killed process 7"),
    ("3,1,1,-;rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"),
    ("2,1,1,-;anything critical", "anything critical"),
    ("6,1,1,-;installing loops", None),
    ("28,1,1,-;WARNING: said by a daemon", None),
    ("4,1,1,-;page dumped because: migration failure", None),
    ("not a record", None),
])
def test_trouble(line, said):
    assert kernel_log.trouble(kernel_log.lines(line)) == said


@given(st.text())
def test_any_text_is_read(text):
    records = kernel_log.lines(text)
    kernel_log.trouble(records)
    kernel_log.stuck_pages(records)


def test_only_what_is_new(tmp_path):
    (tmp_path / "dev").mkdir()
    log = tmp_path / "dev/kmsg"
    log.write_text("4,1,1,-;old\n", encoding="ascii")
    with kernel_log.Log(Host(str(tmp_path))) as followed:
        assert followed.news() == []
        with log.open("a", encoding="ascii") as stream:
            stream.write("4,2,1,-;new\n")
        assert followed.news() == [(4, "new")]
        assert followed.news() == []
        assert followed.seen == [(4, "new")]
