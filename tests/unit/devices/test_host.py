# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names that no file can have: they come out of damaged recordings."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


def test_a_name_with_nul_is_no_file(tmp_path):
    host, name = Host(str(tmp_path)), "/sys/bus/\0"
    assert (host.exists(name), host.listdir(name), host.read_optional(name), host.link_target(name)) == (False, [], None, None)
    assert host.resolve(name).startswith("/sys/bus/")


def test_a_name_too_long_to_list_is_an_error_in_words(tmp_path):
    (tmp_path / "sys").mkdir()
    with pytest.raises(TestbedError) as refused:
        Host(str(tmp_path)).listdir("/sys/" + "x" * 300)
    assert "ENAMETOOLONG" in str(refused.value)
