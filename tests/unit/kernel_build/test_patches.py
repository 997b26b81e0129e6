# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading patches: directories with a series, mailboxes, single files, and diffs line by line."""
from __future__ import annotations

import base64
import pathlib
import quopri
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import diffs, patches

DIFF = b"--- a/mm/list\n+++ b/mm/list\n@@ -1,2 +1,2 @@\n one\n-two\n+zwei\n"


def message(subject, body, encoding="7bit"):
    return b"From 0123 Mon Sep 17 00:00:00 2001\nFrom: a@b\nSubject: %s\nContent-Transfer-Encoding: %s\n\n%s\n" % (subject, encoding.encode(), body)


def test_a_series_is_read_in_its_order(tmp_path):
    for name in ("b.patch", "a.patch"):
        (tmp_path / name).write_bytes(b"Says who.\n\n" + DIFF)
    (tmp_path / "series").write_text("# first\nb.patch\n\na.patch -p1 # second\n", encoding="ascii")
    assert [patch.name for patch in patches.collect([str(tmp_path)], "")] == ["b.patch", "a.patch"]


@pytest.mark.parametrize("series, reason", [
    ("../x.patch\n", "line 1: '../x.patch' is not below"), ("a.patch -R\n", "line 1: '-R' is no option"), ("absent.patch\n", "absent.patch .ENOENT."),
    ("# none\n", "names no patch"),
])
def test_a_bad_series(tmp_path, series, reason):
    (tmp_path / "a.patch").write_bytes(DIFF)
    (tmp_path / "series").write_text(series, encoding="ascii")
    with pytest.raises(TestbedError, match=reason):
        patches.collect([str(tmp_path)], "")


def test_a_directory_without_series(tmp_path):
    with pytest.raises(TestbedError, match="has no file series"):
        patches.collect([str(tmp_path)], "")


def test_a_series_that_is_not_shipped(tmp_path):
    (tmp_path / "six").mkdir()
    with pytest.raises(TestbedError, match="there is no series 'seven': shipped are: six; a path of your own needs a slash"):
        patches.collect(["seven"], str(tmp_path))


def test_a_mailbox_has_its_differences_in_order(tmp_path):
    quoted = DIFF.replace(b"=", b"=3D").replace(b"zwei", b"z=\nwei")
    path = tmp_path / "box"
    path.write_bytes(message(b"[PATCH 0/2] cover", b"All about it.") + b"\n" + message(b"[PATCH 1/2] first", b"why\n---\n" + DIFF) + b"\n"
                     + message(b"Re: [PATCH 1/2] first", b"> --- a/mm/list\n> +++ b/mm/list\nno\n") + b"\n"
                     + message(b"[PATCH 2/2] second", quoted, "quoted-printable"))
    found = patches.collect([str(path)], "")
    assert [patch.name for patch in found] == ["box: [PATCH 1/2] first", "box: [PATCH 2/2] second"]
    assert all(b"+zwei\n" in patch.data for patch in found)


def encoded(body, encoding):
    """A mail's body in a transfer encoding."""
    return {"7bit": lambda: body, "quoted-printable": lambda: quopri.encodestring(body), "base64": lambda: base64.encodebytes(body)}[encoding]()


@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("shape", [
    lambda mail: mail, lambda mail: b"\n\n" + mail, lambda mail: mail.partition(b"\n")[2], lambda mail: b"\r\n" + mail.partition(b"\n")[2],
    lambda mail: mail.replace(b"\n", b"\r\n"), lambda mail: mail.replace(b" 2001\n", b" 2001\r\n"),
    lambda mail: mail.partition(b"\n")[2].replace(b"\n", b"\r\n"),
], ids=["mailbox", "blank lines first", "no From_ line", "a blank line and no From_ line", "CRLF", "CRLF once", "CRLF, no From_ line"])
def test_a_mail_is_read_as_it_was_written(tmp_path, tree, repository, shape, encoding):
    """Its own name, its own code, however it was sent and kept; its message has lines like those between mails."""
    (repository.top / "mm/other").write_bytes(b"one=3D\ntwo = 2;\n")
    mail = repository.patch("subject\n\nFrom the start, this was one.\nFrom 1 Jan on it is two, from\n\nFrom there: 10:00 2001\n")
    head, divider, body = mail.partition(b"\n\n")
    path = tmp_path / "0001-subject.patch"
    path.write_bytes(shape(head + b"\nMIME-Version: 1.0\nContent-Transfer-Encoding: " + encoding.encode() + divider + encoded(body, encoding)))
    patch, = patches.collect([str(path)], "")
    assert patch.name == "0001-subject.patch"
    tree.apply(Host(), [patch])
    assert (pathlib.Path(tree.source) / "mm/other").read_bytes() == b"one=3D\ntwo = 2;\n"


@pytest.mark.parametrize("option", ["--attach", "--inline"])
def test_a_patch_that_git_attaches(tmp_path, tree, repository, option):
    (repository.top / "mm/other").write_bytes(b"two = 2;\n")
    (tmp_path / "0001.patch").write_bytes(repository.patch("subject\n\nwhy", option))
    tree.apply(Host(), patches.collect([str(tmp_path / "0001.patch")], ""))
    assert (pathlib.Path(tree.source) / "mm/other").read_bytes() == b"two = 2;\n"


@pytest.mark.parametrize("kind", ["text/x-patch", "text/plain", "application/octet-stream", "application/x-patch"])
@pytest.mark.parametrize("encoding", ["7bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("is_html_too", [False, True])
def test_a_patch_that_is_attached(tmp_path, kind, encoding, is_html_too):
    """Beside a text without newline at its end, that text as HTML, a picture and a signature."""
    mail = EmailMessage()
    mail["Subject"] = "two"
    mail.set_content("see --- the\n", cte="7bit")
    if is_html_too:
        mail.add_alternative("<pre>\n" + DIFF.decode() + "</pre>\n", subtype="html")
    mail.add_attachment(DIFF, *kind.split("/"), filename="two.patch", cte=encoding)
    mail.add_attachment(bytes(range(256)), "image", "png")
    mail.add_attachment(b"-----BEGIN PGP SIGNATURE-----\n", "application", "pgp-signature", cte="7bit")
    (tmp_path / "two.eml").write_bytes(mail.as_bytes().replace(b"see --- the\n\n--", b"see --- the\n--"))
    patch, = patches.collect([str(tmp_path / "two.eml")], "")
    change, = patch.changes()
    assert (patch.name, change.data) == ("two.eml", DIFF)


def test_a_patch_that_is_forwarded_and_one_that_is_data_only(tmp_path):
    inner = EmailMessage()
    inner.set_content(DIFF.decode(), cte="quoted-printable")
    outer = EmailMessage()
    outer.set_content("Forwarded.")
    outer.add_attachment(inner)
    (tmp_path / "outer.eml").write_bytes(outer.as_bytes())
    alone = EmailMessage()
    alone.set_content(DIFF, "application", "octet-stream")
    (tmp_path / "alone.eml").write_bytes(alone.as_bytes())
    for name in ("outer.eml", "alone.eml"):
        patch, = patches.collect([str(tmp_path / name)], "")
        assert [change.data for change in patch.changes()] == [DIFF]


def test_an_attached_patch_that_is_damaged_is_an_error(tmp_path):
    mail = EmailMessage()
    mail.set_content("see")
    mail.add_attachment(DIFF[:-6], "application", "octet-stream", filename="two.patch")
    (tmp_path / "two.eml").write_bytes(mail.as_bytes())
    with pytest.raises(TestbedError, match="two.eml, line 3: hunk 1 of mm/list is damaged"):
        patches.collect([str(tmp_path / "two.eml")], "")


@pytest.mark.parametrize("line", [
    b"From 0123 Mon Sep 17 00:00:00 2001", b"From a@b  Thu Jan  1 01:00:00 2026", b"From - Mon Sep 17 00:00:00 2001", b"From a@b Mon Sep 17 00:00 EST 2001",
    b"From a@b Mon Sep 17 00:00:00 2001 +0100", b"From a@b Mon Sep 17 00:00:00 2001\r",
])
def test_lines_between_mails(tmp_path, line):
    path = tmp_path / "box"
    path.write_bytes(b"\n".join(line + b"\nSubject: %d\n\n" % number + DIFF for number in range(3)))
    assert [patch.name for patch in patches.collect([str(path)], "")] == ["box: 0", "box: 1", "box: 2"]


def test_a_plain_patch_with_a_header_is_taken_as_it_is(tmp_path):
    """As quilt and Debian write them."""
    data = b"Description: two\nAuthor: a@b\nForwarded: no\n\nIndex: mm/list\n=====\n" + DIFF.replace(b"zwei", b"two=3D\r")
    (tmp_path / "a.patch").write_bytes(data)
    assert [patch.data for patch in patches.collect([str(tmp_path / "a.patch")], "")] == [data]


def test_a_file_without_a_difference(tmp_path):
    (tmp_path / "note").write_bytes(b"hello\n")
    with pytest.raises(TestbedError, match="holds no difference"):
        patches.collect([str(tmp_path / "note")], "")


def test_what_travels_to_a_builder_comes_out_the_same():
    patch = patches.Patch("x", DIFF + b"\xff\n", 0)
    again = patches.unpacked(patches.packed([patch]))
    assert [(each.name, each.data, each.strip) for each in again] == [("x", patch.data, 0)]


def test_content_without_a_difference():
    with pytest.raises(TestbedError, match="the content of patch x holds no difference"):
        patches.unpacked(patches.packed([patches.Patch("x", b"hello\n")]))


@pytest.mark.parametrize("data, reason", [
    (b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n-two\n", "line 3: hunk 1 of x is damaged"),
    (b"--- a/x\n+++ b/x\nnothing\n", "no hunk follows the name of x"),
    (b"--- a/../../etc/x\n+++ b/../../etc/x\n@@ -1 +1 @@\n-a\n+b\n", "not a file below"),
    (b"--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n", "fewer than 1 leading directories"),
    (b"diff --git a/x b/x\nGIT binary patch\nliteral 3\n", "a binary difference, .* diff --git a/x b/x"),
    (b"diff --git a/x b/x\nrename from x\nrename to y\n--- a/x\n+++ b/z\n@@ -1 +1 @@\n-a\n+b\n", "line 4: x and z are not the files that git's header names"),
    (b"diff --git a/a b b/a b\nnew file mode 100644\n", "line 1: patch.1. cannot read a name with blanks in git's header: diff --git a/a b b/a b"),
    (b"diff --git a/x b/a b\nrename from x\nrename to a b\n--- a/x\n+++ b/a b\t\n@@ -1 +1 @@\n-a\n+b\n", "line 1: patch.1. cannot read a name"),
    (b"diff --git x x\nnew file mode 100644\n", "line 1: '' is not a file"),
])
def test_a_bad_difference(data, reason):
    with pytest.raises(TestbedError, match=reason):
        diffs.parse(data, "bad")


@pytest.mark.parametrize("change, options, reason", [
    (lambda top: (top / "mm/link").symlink_to("list"), [], "line .*: 'new file mode 120000': no file, but a symbolic link or a submodule"),
    (lambda top: ((top / "mm/other").unlink(), (top / "mm/other").symlink_to("list")), [], "'new file mode 120000'"),
    (lambda top: (top / "mm/bin").write_bytes(b"a\0b"), [], "a binary difference, which patch.1. cannot apply: diff --git a/mm/bin b/mm/bin"),
    (lambda top: (top / "mm/list").write_bytes(b"a\0b"), ["--no-binary"], "a binary difference, .*: diff --git a/mm/list b/mm/list"),
])
def test_what_git_writes_and_cannot_be_carried_is_refused(repository, change, options, reason):
    change(repository.top)
    with pytest.raises(TestbedError, match=reason):
        diffs.parse(repository.patch("change", *options), "bad")


def test_a_symbolic_link_that_changes_is_refused(repository):
    (repository.top / "mm/link").symlink_to("list")
    repository.commit("link")
    (repository.top / "mm/link").unlink()
    (repository.top / "mm/link").symlink_to("other")
    with pytest.raises(TestbedError, match="'index .* 120000': no file, but a symbolic link"):
        diffs.parse(repository.patch("change"), "bad")


def test_removed_lines_that_look_like_a_header_are_lines():
    change, = diffs.parse(b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/y\n-two\n+++ b/y\n+zwei\n", "odd")
    assert change.new == "x" and len(change.hunks) == 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)).filter(any), min_size=1, max_size=5))
def test_hunks_are_counted_by_their_headers(shape):
    """:arg shape: lines of context, removed and added, of each hunk."""
    text = b"--- a/f\n+++ b/f\n"
    for same, removed, added in shape:
        text += b"@@ -1,%d +1,%d @@ f\n" % (same + removed, same + added) + b" --- c\n" * same + b"--- r\n" * removed + b"+++ a\n" * added
    change, = diffs.parse(b"words\n" + text + b"-- \n2.39\n", "made")
    assert len(change.hunks) == len(shape)


LINES = [b"--- a/x", b"+++ b/x", b"@@ -1,2 +1 @@", b" c", b"-r", b"+a", b"", b"diff --git a/x b/x", b"rename from x", b"rename to ../x", b"rename to x",
         b"new file mode 100644", b"old mode 100644", b"index 1..2 120000", b'diff --git "a/\\"x" b/x', b"GIT binary patch", b"\\ No", b"\xff"]


@given(st.lists(st.sampled_from(LINES)))
def test_any_lines_are_a_difference_or_refused(lines):
    try:
        diffs.parse(b"\n".join(lines), "any")
    except TestbedError as exc:
        assert str(exc).startswith("any, line ")
