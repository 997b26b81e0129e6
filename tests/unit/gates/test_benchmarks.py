# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A benchmark whose figure is above its limit says so and fails."""
from __future__ import annotations

import runpy

import pytest


@pytest.fixture(name="limits")
def fixture_limits(collection):
    return runpy.run_path(str(collection / "benchmarks/limits.py"))["Limits"]()


def test_a_broken_limit_is_the_exit_code(limits, capsys):
    limits.at_most(2, 2, "unchanged:", "%.1f s")
    assert limits.exit_code() == 0
    limits.at_most(1.1, float("nan"), "ours / theirs =")
    limits.at_most(2, 2.25, "unchanged:", "%.2f s")
    assert limits.exit_code() == 1 and limits.broken == ["ours / theirs =", "unchanged:"]
    assert capsys.readouterr().out.splitlines() == [
        "unchanged: 2.0 s (at most 2.0 s)", "ours / theirs = nan (at most 1.10): too much", "unchanged: 2.25 s (at most 2.00 s): too much"]


def test_every_benchmark_ends_with_it(collection):
    found = {path.name: path.read_text(encoding="utf-8") for path in (collection / "benchmarks").glob("*.py")}
    found = {name: text for name, text in found.items() if "\n# Run: " in text}
    assert len(found) >= 7
    assert [name for name, text in found.items() if "return held.exit_code()" not in text or "sys.exit(main(" not in text or "(at most" in text] == []
