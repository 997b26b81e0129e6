# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a kernel's source comes from: Debian's linux-source package, a tarball, or a commit of a git repository. Each is known by its digest."""
from __future__ import annotations

import contextlib
import glob
import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import tempfile

from ansible.module_utils.urls import open_url

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

_PACKAGE = re.compile(r"linux-source-[0-9][0-9a-z.+-]*", re.ASCII)
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]*", re.ASCII)
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*", re.ASCII)
_URL = re.compile(r"(https?|ftp|file)://", re.ASCII)
_SECRET = re.compile(r"(?<=://)[^/]*@")


def resolve(host, wanted, directory, look_only=False):
    """The source that was asked for, its digest known.

    :arg wanted: ``package`` (with ``version``, ``suite``), ``tarball`` (with ``digest``), or ``repository`` and ``commit``.
    :arg directory: where downloads are kept.
    :arg look_only: download nothing; ``None`` is returned where the digest is not known without.
    Raises :class:`TestbedError`.
    """
    return {"package": _debian, "tarball": _tarball, "repository": _git}[_kind(wanted)](host, wanted, directory, look_only)


def check(host, wanted, content=False):
    """Refuse what can be no source, as far as that is seen without a tool.

    :arg content: whether a tarball on the builder is to be read, too.
    Raises :class:`TestbedError`.
    """
    kind = _kind(wanted)
    if kind == "package":
        _check_names(wanted)
        return
    found = resolve(host, wanted, "", look_only=True)
    if content and kind == "tarball" and not _URL.match(wanted["tarball"]):
        _same(wanted["tarball"], found.digest[len("sha256:"):], wanted["tarball"])


def _kind(wanted):
    kinds = [kind for kind in ("package", "tarball", "repository") if wanted.get(kind)]
    if len(kinds) != 1:
        raise TestbedError("a kernel source is one of package, tarball and repository, not %s" % (" and ".join(kinds) or "none of them"))
    return kinds[0]


class Source(object):
    """A source: its ``name`` for people, its ``digest``, and ``entry``, what the manifest holds of it."""

    def __init__(self, name, digest, entry, obtain):
        self.name = name
        self.digest = digest
        self.entry = entry
        self._obtain = obtain

    def key(self):
        """A directory's name for what belongs to this source."""
        return hashlib.sha256(self.digest.encode("ascii")).hexdigest()[:16]

    def unpack(self, host, directory):
        """Get it, check it, and unpack it so that ``directory`` is the tree's top. Raises :class:`TestbedError`."""
        self._obtain(host, directory)


def _shown(where):
    """A path or URL without the user and password in it, for manifests and messages."""
    return _SECRET.sub("", where)


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _untar(host, path, directory, strip=1):
    host.run(["tar", "--extract", "--file", path, "--directory", directory, "--strip-components=%d" % strip, "--no-same-owner"], timeout=1800)


# Debian's package


def _check_names(wanted):
    for what, value, form in (("package of a kernel's source (linux-source-6.1)", wanted["package"], _PACKAGE),
                              ("Debian version", wanted.get("version"), _VERSION), ("Debian suite", wanted.get("suite"), _SUITE)):
        if value and not form.fullmatch(value):
            raise TestbedError("%.60r is not the name of a %s" % (value, what))


def _debian(host, wanted, directory, look_only):
    _check_names(wanted)
    name, version, suite = wanted["package"], wanted.get("version"), wanted.get("suite")
    full = name + ("=" + version if version else "")
    release = tools.debian_release(host.read_optional("/etc/os-release") or "")
    if shutil.which("apt-get") and suite in (None, "", release):
        digest, file = _candidate(host, full)

        def fetch():
            with tempfile.TemporaryDirectory(prefix="apt-", dir=directory) as work:
                host.stream(["apt-get", "download", full], [].append, directory=work)
                _keep(work, "%s_*.deb" % name, os.path.join(directory, digest), full)
    else:
        if not suite:
            raise TestbedError("no apt to take %s from, and no suite is named" % name,
                               remedy="name the Debian suite that has it (kernel_build_source.suite: bookworm)")
        digest, file = _foreign(host, name, full, suite, directory, look_only)
        if digest is None:
            return None

        def fetch():
            _mmdebstrap(host, name, full, suite, directory)

    def obtain(host, target):
        package = os.path.join(directory, digest)
        if not os.path.isfile(package):
            fetch()
        _same(package, digest, full)
        with tempfile.TemporaryDirectory(prefix="deb-", dir=directory) as work:
            host.run(["dpkg-deb", "--extract", package, work], timeout=600)
            inside = glob.glob(os.path.join(work, "usr/src", name + ".tar.*"))
            if len(inside) != 1:
                raise TestbedError("the package %s holds no usr/src/%s.tar" % (full, name))
            _untar(host, inside[0], target)

    return Source("%s (%s)" % (name, file), "sha256:" + digest, {"kind": "debian", "package": name, "file": file, "sha256": digest}, obtain)


def _candidate(host, full):
    """(sha256, file name) of the package that apt would download, out of its verified lists."""
    said = []
    # it says nothing of a package that lies in the directory already
    with tempfile.TemporaryDirectory(prefix="memlab-") as empty:
        code = host.stream(["apt-get", "download", "--print-uris", full], said.append, directory=empty)
    found = [re.fullmatch(r"'[^']*' (\S+) \d+ SHA256:([0-9a-f]{64})", line) for line in said]
    found = [match for match in found if match]
    if code != 0 or len(found) != 1:
        raise TestbedError("apt has no package %s" % full, details=said[-3:],
                           remedy="run apt-get update, or name the Debian suite that has it (kernel_build_source.suite)")
    return found[0].group(2), found[0].group(1)


def _keep(work, pattern, target, full):
    found = glob.glob(os.path.join(work, pattern))
    if len(found) != 1:
        raise TestbedError("apt did not download %s" % full, remedy="run apt-get update and see whether the mirror can be reached")
    os.replace(found[0], target)
    return os.path.basename(found[0])


def _foreign(host, name, full, suite, directory, look_only):
    """(sha256, file name) of another suite's package. It is known once it is here: a pinned version for ever, the newest until its record is removed."""
    record = os.path.join(directory, "%s-%s.json" % (suite, full.replace("=", "_")))
    with contextlib.suppress(OSError, ValueError, KeyError):
        with open(record, encoding="utf-8") as stream:
            known = json.load(stream)
        return known["sha256"], known["file"]
    return (None, None) if look_only else _mmdebstrap(host, name, full, suite, directory)


def _mmdebstrap(host, name, full, suite, directory):
    """Download from the suite's archive as mmdebstrap finds and verifies it, without installing anything."""
    with tempfile.TemporaryDirectory(prefix="suite-", dir=directory) as work:
        deb, listing = os.path.join(work, "source.deb"), os.path.join(work, "name")
        host.run(["mmdebstrap", "--quiet", "--variant=custom", "--format=null", "--components=main",
                  "--customize-hook=cd \"$1\" && APT_CONFIG=\"$MMDEBSTRAP_APT_CONFIG\" apt-get --quiet download %s" % full,
                  "--customize-hook=cd \"$1\" && ls %s_*.deb > name && mv %s_*.deb source.deb" % (name, name),
                  "--customize-hook=download /name %s" % shlex.quote(listing), "--customize-hook=download /source.deb %s" % shlex.quote(deb),
                  suite, "/dev/null"], timeout=1800)
        with open(listing, encoding="utf-8") as stream:
            file = stream.read().strip()
        digest = _sha256(deb)
        os.replace(deb, os.path.join(directory, digest))
        with open(os.path.join(directory, "%s-%s.json" % (suite, full.replace("=", "_"))), "w", encoding="utf-8") as stream:
            json.dump({"sha256": digest, "file": file}, stream)
    return digest, file


# a tarball


def _tarball(host, wanted, directory, look_only):
    where, digest = wanted["tarball"], (wanted.get("digest") or "").lower()
    digest = digest[len("sha256:"):] if digest.startswith("sha256:") else digest
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise TestbedError("the tarball %s has no digest to be checked by" % _shown(where) if not digest else "%.80r is no SHA-256 digest" % wanted["digest"],
                           remedy="give the 64 digits that sha256sum prints (kernel_build_source.digest)")
    remote = _URL.match(where)
    if not remote and not os.path.isfile(where):
        raise TestbedError("there is no tarball %s on the builder" % where)

    def obtain(host, target):
        path = os.path.join(directory, digest) if remote else where
        if remote and not os.path.isfile(path):
            _download(where, path, digest)
        _same(path, digest, _shown(where))
        _untar(host, path, target)

    return Source(_shown(where), "sha256:" + digest, {"kind": "tarball", "from": _shown(where), "sha256": digest}, obtain)


def _download(url, path, digest):
    part = path + ".part"
    try:
        with contextlib.closing(open_url(url, timeout=60)) as answer, open(part, "wb") as stream:
            shutil.copyfileobj(answer, stream, 1 << 20)
        _same(part, digest, _shown(url))
        os.replace(part, path)
    except (OSError, ValueError) as exc:
        raise TestbedError("cannot download %s: %s" % (_shown(url), getattr(exc, "reason", exc)))
    except http.client.HTTPException as exc:
        # a URL that cannot be, a server that does not speak HTTP, an answer that breaks off; some are only a name and what came
        raise TestbedError("cannot download %s: %s: %s" % (_shown(url), type(exc).__name__, str(exc).strip()))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def _same(path, digest, what):
    try:
        found = _sha256(path)
    except OSError as exc:
        raise TestbedError("cannot read %s (%s)" % (what, errno_name(exc.errno)))
    if found != digest:
        raise TestbedError("%s is not what was asked for: its SHA-256 digest is %s, not %s" % (what, found, digest),
                           remedy="correct the digest, or find out who changed the file; nothing was unpacked")


# a git repository


def _git(host, wanted, directory, look_only):
    repository, commit = wanted["repository"], wanted.get("commit") or ""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        raise TestbedError("%.60r is no commit's full hash" % commit,
                           remedy="a branch or a tag can move: give what git rev-parse says (kernel_build_source.commit)")
    if repository.startswith("-"):
        raise TestbedError("%.60r is no repository" % repository)
    shown = _shown(repository)

    def obtain(host, target):
        bare = os.path.join(directory, "git-" + hashlib.sha256(repository.encode("utf-8")).hexdigest()[:16])
        if not os.path.isdir(bare):
            host.run(["git", "init", "--quiet", "--bare", bare])
        git = ["git", "--git-dir=" + bare]
        if host.stream(git + ["cat-file", "-e", commit + "^{commit}"], [].append) != 0:
            try:
                host.run(git + ["fetch", "--quiet", "--depth=1", "--no-tags", "--", repository, commit], timeout=3600)
            except TestbedError as exc:
                raise TestbedError("cannot get commit %s of %s" % (commit, shown), details=[line.replace(repository, shown) for line in exc.details])
        with tempfile.TemporaryDirectory(prefix="git-", dir=directory) as work:
            archive = os.path.join(work, "source.tar")
            host.run(git + ["archive", "--format=tar", "--output=" + archive, commit], timeout=600)
            _untar(host, archive, target, strip=0)

    return Source("%s at %s" % (shown, commit), "git:" + commit, {"kind": "git", "repository": shown, "commit": commit}, obtain)
