# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How x86-64 kernels lay out their memmap and page tables: everything that depends on architecture or kernel version.

What changed between 6.1 and 7.3:

* ``SYMBOL(vmemmap)`` is in VMCOREINFO from 6.12 on (seen in 6.12.95, absent in 6.1.192). Before, the base is found from kcore's own program
  headers, which describe the memmap of each run of RAM; no symbol table is needed, nor does it matter whether KASLR moved the base.

Kernel: arch/x86/include/asm/pgtable_64_types.h, arch/x86/kernel/vmcore_info_64.c (machine_kexec_64.c before 6.9), arch/x86/mm/init_64.c.
"""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.placement.kcore import EM_X86_64, direct_map

PAGE_SIZE = 4096
PAGE_SHIFT = 12
BITS_PER_LEVEL = 9
PRESENT = 1
# In a PUD or PMD entry: this is a leaf. In a PTE the same bit is PAT.
HUGE = 1 << 7
# Leaves exist at these shifts: 4 KiB always, 2 MiB and 1 GiB where HUGE is set. There are none at P4D or PGD.
HUGE_SHIFTS = (21, 30)
# Bits 12 to 51 hold the physical address; above are software bits, protection keys and NX.
PHYSICAL = ((1 << 52) - 1) & ~(PAGE_SIZE - 1)
# A block is only self-hosted when its memmap fills whole PMD leaves (arch_supports_memmap_on_memory; 6.1: mhp_supports_memmap_on_memory).
PMD_SIZE = 1 << 21
# KASLR moves the base by whole PUDs (arch/x86/mm/kaslr.c).
BASE_ALIGNMENT = 1 << 30

# levels: 4 or 5; root: bytes of the top table; physical: mask of an entry's address; vmemmap: virtual address of page 0's struct page;
# struct_page: sizeof(struct page) in bytes
Layout = collections.namedtuple("Layout", ("levels", "root", "physical", "vmemmap", "struct_page"))


def read_layout(kcore):
    """:class:`Layout` of a running kernel. Raises :class:`TestbedError` saying what is missing."""
    if kcore.machine != EM_X86_64:
        raise TestbedError("the page-table walk knows x86-64, not ELF machine %d" % kcore.machine)
    info = kcore.vmcoreinfo
    struct_page = info.size("page")
    if not struct_page:
        raise TestbedError("VMCOREINFO does not hold SIZE(page)")
    top = info.symbol("swapper_pg_dir", "init_top_pgt")
    if top is None:
        raise TestbedError("VMCOREINFO does not hold SYMBOL(swapper_pg_dir)")
    # The encryption bit of AMD SME and SEV is part of an entry, not of the address.
    physical = PHYSICAL & ~info.number("sme_mask", 0)
    return Layout(5 if info.number("pgtable_l5_enabled", 0) else 4, kcore.read_virtual(top, PAGE_SIZE), physical,
                  vmemmap_base(info.symbol("vmemmap"), kcore.segments, struct_page), struct_page)


def vmemmap_base(symbol, segments, struct_page):
    """Virtual address of the struct page of physical page 0.

    :arg symbol: the kernel's own word, or ``None``.
    Each RAM segment's memmap has a segment of its own, at base + first page * sizeof(struct page), rounded down to a page and cut off where an
    earlier one begins: a run of RAM whose memmap begins in a page of another's goes without, as between firmware's tables
    (kcore.c: get_sparsemem_vmemmap_info). Exactly one base fits all of them; none or two is no answer.
    Raises :class:`TestbedError`.
    """
    if symbol is not None:
        return symbol
    ram = direct_map(segments)
    if not ram:
        raise TestbedError("kcore describes no RAM")
    sizes = {segment.virtual: segment.size for segment in segments if segment.physical is None}
    shapes = _memmap_shapes(ram, struct_page)
    fitting = set()
    for virtual in sizes:
        base = virtual - shapes[0][0]
        if base % BASE_ALIGNMENT == 0 and all(sizes.get(base + place) == size for place, size in shapes):
            fitting.add(base)
    if len(fitting) != 1:
        raise TestbedError("the base of the memmap cannot be told from kcore: %d candidates" % len(fitting))
    return fitting.pop()


def _memmap_shapes(ram, struct_page):
    """Offset from the base and size, in bytes and whole pages, of each memmap that kcore describes, for runs of RAM in kcore's order."""
    shapes = []
    for segment in ram:
        first = segment.physical // PAGE_SIZE
        start = first * struct_page & ~(PAGE_SIZE - 1)
        end = (first + segment.size // PAGE_SIZE) * struct_page + PAGE_SIZE - 1 & ~(PAGE_SIZE - 1)
        for earlier, size in shapes:
            if start < earlier + size and end > earlier:
                end = earlier
        if start < end:
            shapes.append((start, end - start))
    return shapes
