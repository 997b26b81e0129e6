# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which tools the controller has, which it lacks, and the Debian packages that bring them."""
from __future__ import annotations

import os
import re
import shlex
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import firmware
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Volatile CXL memory devices came with QEMU 8.1; 8.2 is the oldest that the testbed is meant for.
QEMU_LEAST = (8, 2)

# Tool to package. The second group is only needed by users other than root.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "mcopy": "mtools",
    "sfdisk": "fdisk",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
ROOTLESS_TOOLS = {"fakeroot": "fakeroot", "newuidmap": "uidmap"}

# Debian releases whose own QEMU is too old and whose backports have a newer one.
BACKPORTED = ("bookworm",)
FROM_BACKPORTS = ("qemu-system-x86", "qemu-utils")

# What apt takes for a no.
_NO = ("no", "false", "without", "off", "disable")

_SEARCHED = ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def survey(host, tools=None):
    """What is there and what is missing, as a dict.

    ``missing`` (tool -> package), ``qemu_version`` (text or ``None``), ``qemu_too_old``, ``apt`` (whether there is apt), ``release`` (Debian's code name or
    ``None``), ``backports`` (whether QEMU has to come from there) and ``backports_source`` (deb822 text for apt, on the mirror that the release comes from;
    ``None`` where the machine has its backports already).
    """
    path = os.environ.get("PATH", "") + _SEARCHED
    wanted = dict(TOOLS, **({} if os.geteuid() == 0 else ROOTLESS_TOOLS)) if tools is None else tools
    missing = {tool: package for tool, package in sorted(wanted.items()) if shutil.which(tool, path=path) is None}
    if tools is None and not firmware.is_there():
        missing["UEFI firmware"] = "ovmf"
    asked = "qemu-system-x86_64" in wanted and "qemu-system-x86_64" not in missing
    version = qemu_version(host.run(["qemu-system-x86_64", "--version"])) if asked else None
    too_old = version is not None and version < QEMU_LEAST
    if too_old:
        missing.update({tool: TOOLS[tool] for tool in ("qemu-system-x86_64", "qemu-img")})
    release = debian_release(host.read_optional("/etc/os-release") or "")
    backports = release in BACKPORTED and any(package in FROM_BACKPORTS for package in missing.values())
    return {
        "missing": missing,
        "qemu_version": None if version is None else ".".join(str(part) for part in version),
        "qemu_too_old": too_old,
        "apt": shutil.which("apt-get", path=path) is not None,
        "release": release,
        "backports": backports,
        "backports_source": backports_source(host, release) if backports else None,
    }


def qemu_version(text):
    """(major, minor, micro) out of ``qemu-system-x86_64 --version``. Raises :class:`TestbedError`."""
    found = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise TestbedError("QEMU does not say its version: %.60r" % text)
    return tuple(int(part or 0) for part in found.groups())


def debian_release(os_release):
    """Debian's code name in the text of os-release(5), ``None`` on anything else."""
    values = {}
    for line in os_release.splitlines():
        name, equals, value = line.partition("=")
        try:
            values[name.strip()] = "".join(shlex.split(value))
        except ValueError:
            pass  # a quotation without end: no line that we could read
    return values.get("VERSION_CODENAME") if values.get("ID") == "debian" else None


def apt_entries(host):
    """(URI, suites, components, options) of each binary archive that apt is set up with; ``options`` holds a deb822 ``Signed-By``, if there is one."""
    names = ["/etc/apt/sources.list"] + ["/etc/apt/sources.list.d/" + name for name in host.listdir("/etc/apt/sources.list.d")]
    for name in names:
        text = host.read_optional(name) or ""
        if name.endswith(".sources"):
            yield from _deb822_entries(text)
        elif name.endswith(".list"):
            yield from _one_line_entries(text)


def _deb822_entries(text):
    for stanza in re.split(r"\n\s*\n", text):
        fields, name = {}, None
        for line in stanza.splitlines():
            # deb822(5): a line that starts with white space goes on with the field above, comments between them aside.
            if line[:1] in (" ", "\t") and name is not None:
                fields[name] += "\n" + line
            elif not line.startswith("#") and ":" in line:
                name, colon, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").strip().lower() not in _NO:
            options = {"Signed-By": fields["signed-by"]} if fields.get("signed-by") else {}
            for uri in fields.get("uris", "").split():
                yield uri, fields.get("suites", "").split(), fields.get("components", "").split(), options


def _one_line_entries(text):
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)([^#]*)", line)
        if found:
            options = dict(word.partition("=")[::2] for word in (found.group(1) or "").split())
            yield found.group(2), [found.group(3)], found.group(4).split(), {"Signed-By": options["signed-by"]} if options.get("signed-by") else {}


def backports_source(host, release):
    """The deb822 stanza that adds the release's backports on the mirror that the release itself comes from; ``None`` where it is there already.

    Raises :class:`TestbedError` when apt has no source for the release.
    """
    wanted, entries = release + "-backports", list(apt_entries(host))
    if any(wanted in suites for uri, suites, components, options in entries):
        return None
    candidates = [(uri, options) for uri, suites, components, options in entries if release in suites and "main" in components]
    if not candidates:
        raise TestbedError("apt has no source for %s, so its backports cannot be found" % release, remedy="add the suite %s to apt's sources" % wanted)
    # Other archives name their suites after Debian's as well; only Debian's mirrors have its updates beside it.
    updated = {uri for uri, suites, components, options in entries if release + "-updates" in suites}
    uri, options = max(candidates, key=lambda candidate: (candidate[0] in updated, candidate[0].rstrip("/").endswith("/debian")))
    fields = dict({"Types": "deb", "URIs": uri, "Suites": wanted, "Components": "main"}, **options)
    return "".join("%s: %s\n" % item for item in fields.items())
