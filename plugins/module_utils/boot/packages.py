# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel packages: what is in a .deb, what dpkg has, and the steps that change it.

Source: deb(5), dpkg-query(1), dpkg(1) of dpkg 1.21 and 1.22; /var/lib/dpkg/updates is where an interrupted dpkg has left its journal.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name

STATUS = "/var/lib/dpkg/status"
JOURNAL = "/var/lib/dpkg/updates"
LOCK = "/var/lib/dpkg/lock-frontend"
# Within alone(), which holds the lock that dpkg would take for itself.
_QUIET = ["env", "DEBIAN_FRONTEND=noninteractive", "DPKG_FRONTEND_LOCKED=true", "dpkg", "--force-confdef", "--force-confold"]


def describe(host, path):
    """What a .deb is: package, version, architecture, release of the kernel in it (``None``: headers and the like), bytes it takes in /boot and elsewhere.

    Raises :class:`TestbedError` for a file that is not a package. Needs dpkg-deb, on whichever machine the file is.
    """
    if not os.path.isfile(path):
        raise TestbedError("there is no package %s" % path)
    try:
        said = host.run(["dpkg-deb", "--field", path, "Package", "Version", "Architecture"])
        listing = host.run(["dpkg-deb", "--contents", path], timeout=600)
    except TestbedError as exc:
        if "not installed" in exc.summary:
            raise
        raise TestbedError("%s is not a Debian package that can be read" % path, details=exc.details)
    fields = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    return dict({"path": path, "file": os.path.basename(path), "size": os.path.getsize(path), "package": fields["Package"], "version": fields["Version"],
                 "architecture": fields["Architecture"]}, **contents(listing))


def contents(listing):
    """Release and sizes from what ``dpkg-deb --contents`` prints."""
    release, boot, other = None, 0, 0
    for line in listing.splitlines():
        words = line.split(None, 5)
        if len(words) < 6 or not words[2].isdecimal():
            continue
        name, size = words[5].lstrip("."), int(words[2])
        found = re.match(r"/boot/vmlinu[zx]-(\S+)$", name)
        release = found.group(1) if found else release
        if name.startswith("/boot/"):
            boot += size
        else:
            other += size
    return {"release": release, "boot_bytes": boot, "other_bytes": other}


def describe_all(host, paths):
    """As :func:`describe` for several, exactly one of them a kernel. Returns ``(release, descriptions)``. Raises :class:`TestbedError`."""
    found = [describe(host, path) for path in paths]
    kernels = sorted({entry["release"] for entry in found if entry["release"]})
    if len(kernels) != 1:
        raise TestbedError("the packages hold %d kernels (%s), not one" % (len(kernels), ", ".join(kernels) or "no /boot/vmlinuz-*"),
                           remedy="name the packages of one kernel")
    return kernels[0], found


def check_descriptions(descriptions):
    """Refuse packages that are not as :func:`describe` returns them. Raises :class:`TestbedError` naming what one of them lacks."""
    for entry in descriptions:
        for key in ("package", "file", "path", "version", "architecture", "size", "boot_bytes", "other_bytes"):
            if not isinstance(entry.get(key), int if key.endswith(("size", "bytes")) else str):
                raise TestbedError("packages: %.80r does not say %s" % (entry, key), remedy="give what memlab.testbed.kernel_package_info says of the packages")
    if not descriptions:
        raise TestbedError("packages: none is given", remedy="give what memlab.testbed.kernel_package_info says of the packages")


def names(descriptions):
    """Names of packages that are described at least that far. Raises :class:`TestbedError`."""
    for entry in descriptions:
        if not isinstance(entry.get("package"), str) or not entry["package"]:
            raise TestbedError("packages: %.80r does not say package" % (entry,), remedy="give at least the name of each package")
    return [entry["package"] for entry in descriptions]


def states(host):
    """``{package: (status word, version)}`` of all that dpkg knows, read from its database."""
    found = {}
    for paragraph in host.read(STATUS).split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields and "Status" in fields:
            found[fields["Package"]] = (fields["Status"].split()[-1], fields.get("Version", ""))
    return found


def interrupted(host):
    """What an interrupted dpkg has left: packages half way, and whether there is an unfinished journal."""
    halves = ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending")
    half = [name for name, (status, unused) in sorted(states(host).items()) if status in halves]
    return half + (["dpkg's journal"] if unfinished(host) else [])


def unfinished(host):
    """Whether dpkg was stopped before it wrote its database: what that says of packages is out of date until its next run."""
    return any(name.isdecimal() for name in host.listdir(JOURNAL))


@contextlib.contextmanager
def alone(host, timeout=600):
    """Hold the lock that apt and dpkg hold while they are at work: what they have half done is no interruption. Raises :class:`TestbedError`.

    Not within itself: what is closed first lets the lock go. Source: dpkg's frontend API, doc/spec/frontend-api.txt.
    """
    try:
        descriptor = os.open(host.path(LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as exc:
        raise TestbedError("cannot open dpkg's lock %s (%s)" % (LOCK, errno_name(exc.errno)))
    try:
        try:
            host.wait_until(lambda: _locked(descriptor), LOCK, timeout, interval=0.5)
        except TestbedError:
            raise TestbedError("something else is installing packages here (it holds %s), and %g s of waiting did not see its end" % (LOCK, timeout),
                               remedy="wait for apt or unattended-upgrades to end, and run again")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor):
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):
        return False


def check_distribution(host):
    """Refuse a host that dpkg does not run. Raises :class:`TestbedError`."""
    if not host.exists(STATUS):
        found = re.search(r"^PRETTY_NAME=\"?([^\"\n]+)", host.read_optional("/etc/os-release") or "", re.MULTILINE)
        raise TestbedError("no way is known to install a kernel on %s" % (found.group(1) if found else "this distribution"),
                           remedy="Debian and its derivatives have dpkg, which is what is used here")


def check_space(host, descriptions, copies=None, directory=None, reserve=32 << 20):
    """Refuse what does not fit. :arg reserve: bytes that have to stay free on each file system. Raises :class:`TestbedError`.

    In /boot there have to be the files and two initramfs of the present size: a new one is written beside the old. Any of these places can be on one file
    system. What is not in /boot is modules, by far the most of it. :arg copies: where the boot loader has a copy of the kernel and of its
    initramfs, if it has. :arg directory: where the packages are to be brought to, if they are.
    """
    initrd = max([os.stat(host.path("/boot/" + name)).st_size for name in host.listdir("/boot") if name.startswith("initrd.img-")] or [0])
    needs = [("/boot", sum(entry["boot_bytes"] for entry in descriptions) + 2 * initrd)]
    needs.append(("/lib/modules" if host.exists("/lib/modules") else "/", sum(entry["other_bytes"] for entry in descriptions)))
    needs += [(directory, sum(entry["size"] for entry in descriptions if not host.exists("%s/%s" % (directory, entry["file"]))))] if directory else []
    needs += [(copies, sum(entry["boot_bytes"] for entry in descriptions) + initrd)] if copies else []
    totals = {}
    for place, need in needs:
        try:
            device, figures = os.stat(host.path(place)).st_dev, os.statvfs(host.path(place))
        except OSError as exc:
            raise TestbedError("cannot see how much room %s has (%s)" % (place, errno_name(exc.errno)))
        first, before, unused = totals.get(device, (place, 0, 0))
        totals[device] = (first, before + need, figures.f_bavail * figures.f_frsize)
    for place, need, free in totals.values():
        if free < need + reserve:
            raise TestbedError("no room for the kernel: %s has %d MiB free, and installing takes %d MiB" % (place, free >> 20, (need + reserve) >> 20),
                               remedy="remove kernels that are not needed any more, or other files")


def release_of(host, name):
    """Kernel release whose files a package has, by dpkg's lists; ``None`` for one without a kernel."""
    for path in ("/var/lib/dpkg/info/%s.list" % name, "/var/lib/dpkg/info/%s:amd64.list" % name):
        found = re.search(r"^/boot/vmlinu[zx]-(\S+)$", host.read_optional(path) or "", re.MULTILINE)
        if found:
            return found.group(1)
    return None


def kernels(host):
    """``{release: package}`` of the kernels that dpkg has installed."""
    found = {}
    for name, (status, unused) in states(host).items():
        if status != "not-installed" and status != "config-files" and name.startswith("linux-image"):
            release = release_of(host, name)
            if release:
                found[release] = name
    return found


def version_key(text):
    """Order of releases: numbers as numbers, other words as words, ``~`` before anything."""
    return [(-1, 0, "") if part == "~" else (1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"\d+|[a-zA-Z]+|~", text)]


def surplus(installed, kept, keep):
    """Releases to remove: all installed but those in ``kept`` and the ``keep`` newest of the others."""
    others = sorted((release for release in installed if release not in kept), key=version_key, reverse=True)
    return others[keep:]


# changing

def repair(host):
    """Finish what an interrupted dpkg began. Raises :class:`TestbedError`."""
    host.run(_QUIET + ["--configure", "--pending"], timeout=1800)


def install(host, paths):
    """Install packages. Raises :class:`TestbedError` with dpkg's words."""
    host.run(_QUIET + ["--install"] + list(paths), timeout=1800)


def purge(host, names):
    """Remove packages with what they have configured, also ones that are half installed. Raises :class:`TestbedError`."""
    if names:
        host.run(_QUIET + ["--force-remove-reinstreq", "--purge"] + list(names), timeout=1800)
