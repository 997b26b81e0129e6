# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The VMCOREINFO note."""
from __future__ import annotations

from hypothesis import given, strategies

from ansible_collections.memlab.testbed.plugins.module_utils.placement.vmcoreinfo import Vmcoreinfo

TEXT = """OSRELEASE=6.12.95
BUILD-ID=00
PAGESIZE=4096
SYMBOL(swapper_pg_dir)=ffffffff8b222000
SIZE(page)=64
OFFSET(page.flags)=0
LENGTH(mem_section)=2048
NUMBER(pgtable_l5_enabled)=1
NUMBER(KERNEL_IMAGE_SIZE)=-1
NUMBER(sme_mask)=0x800000000000
NUMBER(broken)=x1
KERNELOFFSET=a000000
"""


def test_kinds():
    info = Vmcoreinfo(TEXT)
    assert info.words["OSRELEASE"] == "6.12.95"
    assert info.symbol("init_top_pgt", "swapper_pg_dir") == 0xFFFFFFFF8B222000
    assert (info.size("page"), info.size("folio")) == (64, None)
    assert [info.number(name) for name in ("pgtable_l5_enabled", "KERNEL_IMAGE_SIZE", "sme_mask", "broken")] == [1, -1, 1 << 47, None]
    assert info.number("absent", 7) == 7
    assert info.symbol("vmemmap") is None


@given(strategies.text(max_size=300))
def test_any_text_is_read_without_a_fault(text):
    assert Vmcoreinfo(text).symbol("vmemmap") is None
