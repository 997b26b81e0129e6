# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The form of the shipped series and fragments; that a series applies and builds is seen where the kernel's source is."""
from __future__ import annotations

import pathlib
import re

import pytest

FILES = pathlib.Path(__file__).resolve().parents[3] / "roles" / "kernel_build" / "files"
SERIES = sorted(path for path in (FILES / "series").iterdir())
PATCHES = [path for series in SERIES for path in sorted(series.glob("*.patch"))]
FRAGMENTS = sorted((FILES / "fragments").iterdir())

# A path of some machine: absolute, with a user's or a work directory.
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|tmp|work|usr/src|build)/")


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize("series", SERIES, ids=names(SERIES))
def test_the_list_names_exactly_the_patches_in_their_order(series):
    listed = (series / "series").read_text(encoding="ascii").splitlines()
    assert listed == sorted(listed) == names(sorted(series.glob("*.patch")))
    assert sorted(names(series.iterdir())) == sorted(listed + ["series"])
    assert [name[:4] for name in listed] == ["%04d" % number for number in range(1, len(listed) + 1)]
    assert 3 <= len(listed) <= 5


@pytest.mark.parametrize("patch", PATCHES, ids=names(PATCHES))
def test_a_patch_says_what_it_is_and_whose(patch):
    text = patch.read_text(encoding="ascii")
    head, divider, body = text.partition("\n---\n")
    assert divider
    author = re.search(r'^From: "?([^"<]+?)"? <(\S+@\S+)>$', head, re.MULTILINE)
    # a long subject goes on in the next line
    subject = re.search(r"^Subject: \[PATCH \d/\d\] (\S+: .+(?:\n .+)?)$", head, re.MULTILINE)
    assert author and subject
    assert head.rstrip().splitlines()[-1] == "Signed-off-by: %s <%s>" % author.groups()
    message = head.partition("\n\n")[2].partition("\nSigned-off-by:")[0].strip()
    assert len(message) > 80 and max(len(line) for line in message.splitlines()) <= 75
    assert not MACHINE_PATH.search(text)
    files = re.findall(r"^(?:---|\+\+\+) (\S+)", body, re.MULTILINE)
    assert files and all(name == "/dev/null" or name[:2] in ("a/", "b/") and ".." not in name.split("/") for name in files)


@pytest.mark.parametrize("patch", PATCHES, ids=names(PATCHES))
def test_a_patch_quotes_no_more_of_the_kernel_than_it_needs(patch):
    """Two lines around each hunk at most, so that nothing but the change is the kernel's text."""
    lines = patch.read_text(encoding="ascii").partition("\n---\n")[2].splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("@@")]
    assert starts
    for start in starts:
        hunk = []
        for line in lines[start + 1:]:
            if not line or line[0] not in " +-":
                break
            hunk.append(line)
        first = next(number for number, line in enumerate(hunk) if line[0] != " ")
        last = next(number for number, line in enumerate(reversed(hunk)) if line[0] != " ")
        assert max(first, last) <= 2, "\n".join(hunk)


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=names(FRAGMENTS))
def test_a_fragment_asks_for_each_symbol_once(fragment):
    lines = [line for line in fragment.read_text(encoding="ascii").splitlines() if line and not re.match("#(?! CONFIG_)", line)]
    found = [re.fullmatch(r"(?:# )?(CONFIG_\w+)(?:=([ymn]|\d+|\".*\")| is not set)", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found) if not match]
    symbols = [match.group(1) for match in found]
    assert len(symbols) == len(set(symbols)), [name for name in symbols if symbols.count(name) > 1]
    assert not MACHINE_PATH.search("\n".join(lines))
