# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a task failed, in one line for the journal."""
from __future__ import annotations


def reason(result):
    """The first line that says something, with the heading above it. :arg result: what the task returned, as plain values.

    A loop's reason is that of its first item that failed. Of a file that cannot be included Ansible has no result: then it is empty.
    """
    for item in result.get("results") or ():
        if isinstance(item, dict) and item.get("failed"):
            return reason(item)
    lines = [line.strip() for line in str(result.get("msg") or "").splitlines() if line.strip()]
    if not lines:
        return "no reason given, as where a file cannot be included: see what Ansible says"
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
