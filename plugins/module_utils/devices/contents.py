# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a namespace or a dax device holds, and the refusal to lose it."""
from __future__ import annotations

import collections

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# what was found, in words; True: in use, so that no permission helps
Finding = collections.namedtuple("Finding", "text in_use")


def look(host, device):
    """Everything found on one namespace (``namespace1.0``) or dax device (``dax1.0``, as below ``/sys/bus/dax``): list of :class:`Finding`.

    A namespace is looked at with its label: a name counts. A dax device is looked at for its contents alone: a change of its driver leaves the label as it is.
    Contents without a known signature are looked at in samples over the whole device. What cannot be read counts as data.
    """
    return []


def refuse_loss(host, device, who, allow=False, doing="change"):
    """Raise :class:`TestbedError`, listing everything found, unless ``device`` holds nothing, or what it holds may be lost.

    To be called before the first change, in check mode too: nothing is changed here.

    :arg device: the kernel's name now, of a namespace (``namespace1.0``) or of a dax device below ``/sys/bus/dax`` (``dax1.0``).
    :arg who: how the error is to call it, such as ``namespace "data"``.
    :arg allow: what the task says in ``allow_data_loss``. What is open, mapped, mounted, swapped to, held by another device, or online as memory
        is refused all the same.
    :arg doing: what was about to be done, for the error: ``change``, ``remove``.
    Returns what is about to be lost, lines for the module's answer; empty when there is nothing.
    """
    found = look(host, device)
    used = [finding for finding in found if finding.in_use]
    if used:
        raise TestbedError("will not %s %s: it is in use" % (doing, who), details=[finding.text for finding in found],
                           remedy="end that first; allow_data_loss does not help here")
    if found and not allow:
        raise TestbedError("will not %s %s: it holds data" % (doing, who), details=[finding.text for finding in found],
                           remedy="say allow_data_loss: true if all of that may be lost")
    return [finding.text for finding in found]
