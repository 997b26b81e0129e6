# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``memmap: dram`` means: by where the pages are, not by which node they are on. A device's own node may have DRAM, too."""
from __future__ import annotations


def holds(entry):
    """Whether no page of a memmap lies on memory that kmem has added; ``False``, too, where that is not known.

    :arg entry: of the fact ``ranges`` or ``devices``. The module dax_device holds the kernel to the same, see devices/proven.py.
    """
    return entry["placement"] not in (None, "self", "unknown") and bool(entry["memmap_nodes"]) and "unknown" not in entry["memmap_nodes"] \
        and not entry["memmap_devices"]
