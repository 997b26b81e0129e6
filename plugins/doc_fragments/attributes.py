# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What every module of the collection states about itself."""
from __future__ import annotations


class ModuleDocFragment(object):
    """The meaning of the attributes; each module adds its own C(support)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  platform:
    description: Target operating systems and families that can be operated against.
    support: full
    platforms: linux
"""

    # For modules that only look.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""

    # For modules that keep a rollout's journal.
    JOURNAL_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: none
    details:
      - What is in the journal has happened. In check mode the task is skipped.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each run is an entry of its own.
"""

    # Membership in the action group that M(memlab.testbed.memmap_facts) and all other modules share.
    ACTIONGROUP_ALL = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/memlab.testbed.all) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - memlab.testbed.all
"""
