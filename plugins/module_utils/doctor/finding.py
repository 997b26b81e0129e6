# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a finding is made of."""
from __future__ import annotations

import collections

PROBLEM = "problem"  # something is not as declared, contradicts itself, or cannot work
NOTICE = "notice"    # worth knowing, and nobody said it is wrong

# severity; one line; the device's stable identity, or what else it is about, as a dict of one key; ((file, value), ...); what to do
Found = collections.namedtuple("Found", "severity message subject evidence remedy")


def found(severity, message, subject, evidence, remedy):
    """One finding; :arg evidence: (file, value) pairs, value ``None`` for what is absent."""
    return Found(severity, message, subject, tuple(evidence), remedy)


def when(condition):
    """Severity of what is a problem only under ``condition``."""
    return PROBLEM if condition else NOTICE


def mebibytes(count):
    """``134217728`` -> ``128 MiB``"""
    whole = count / float(1 << 20)
    return "%d MiB" % whole if whole == int(whole) else "%.1f MiB" % whole
