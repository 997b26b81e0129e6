# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a builder has to have: tools, headers, room. All that is missing is named at once, with Debian's packages."""
from __future__ import annotations

import glob
import os
import re
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import tools
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, format_size

# Tool to Debian package: kernel's Documentation/process/changes.rst (6.1 to 7.3), and what packs and patches.
TOOLS = {
    "make": "make", "ld": "binutils", "flex": "flex", "bison": "bison", "bc": "bc", "perl": "perl", "python3": "python3", "patch": "patch", "tar": "tar",
    "xz": "xz-utils", "gzip": "gzip", "cpio": "cpio", "rsync": "rsync", "depmod": "kmod", "ccache": "ccache", "dpkg-deb": "dpkg", "lz4": "lz4", "zstd": "zstd",
}

# Headers that the kernel's own tools are compiled with: objtool, and what handles certificates.
HEADERS = {"gelf.h": "libelf-dev", "openssl/opensslv.h": "libssl-dev"}

# Bytes: the source unpacked with its download, and a build's objects. Debug information makes the objects ten times as large.
SOURCE_SPACE = 2 * G
OBJECT_SPACE = 2 * G
DEBUG_SPACE = 20 * G


_COMPILER = re.compile(r"[a-z][a-z0-9_+.-]*", re.ASCII)


def check_compiler(name):
    """Raises :class:`TestbedError` for what is no command's name: it is also taken for a package's."""
    if not _COMPILER.fullmatch(name):
        raise TestbedError("%.60r is no compiler" % name, remedy="lower case letters, digits, - + and . are allowed")


class MissingTools(TestbedError):
    """The builder lacks something. ``found`` is :func:`survey`'s answer."""

    def __init__(self, found):
        missing = found["missing"]
        super(MissingTools, self).__init__("the builder lacks %s" % ", ".join(sorted(missing)),
                                           remedy="install %s (Debian's names); the role kernel_build does" % " ".join(sorted(set(missing.values()))))
        self.found = found

    def fail_arguments(self):
        """With what has to be known to install it."""
        return dict(super(MissingTools, self).fail_arguments(), missing=self.found["missing"], apt=self.found["apt"], root=os.geteuid() == 0)


def survey(host, compiler="gcc", git=False, distcc=False, suite=None, btf=False):
    """``missing`` (tool or header -> package), ``apt`` and ``release``, see :func:`tools.survey`.

    :arg suite: the Debian suite that the source comes from. :arg btf: whether the configuration wants types for BPF.
    """
    check_compiler(compiler)
    # the kernel's own tools are compiled with gcc, whatever compiles the kernel (HOSTCC in its Makefile)
    wanted = dict(TOOLS, gcc="gcc", **({} if compiler == "gcc" else {compiler: "gcc" if compiler == "cc" else compiler}))
    wanted.update({"git": "git"} if git else {})
    wanted.update({"distcc": "distcc"} if distcc else {})
    wanted.update({"pahole": "dwarves"} if btf else {})
    # another suite's packages are got as a guest's are
    wanted.update({"mmdebstrap": "mmdebstrap"} if suite and suite != tools.debian_release(host.read_optional("/etc/os-release") or "") else {})
    found = tools.survey(host, wanted)
    missing = dict(found["missing"])
    for header, package in HEADERS.items():
        if not any(glob.glob(pattern + header) for pattern in ("/usr/include/", "/usr/include/*-linux-gnu*/", "/usr/local/include/")):
            missing[header] = package
    # the C library's headers come with no compiler
    if not glob.glob("/usr/include/stdio.h"):
        missing["stdio.h"] = "libc6-dev"
    return {"missing": missing, "apt": found["apt"], "release": found["release"]}


def refuse_missing(found):
    """Raises :class:`MissingTools` naming all that is missing. :arg found: what :func:`survey` says."""
    if found["missing"]:
        raise MissingTools(found)


def need_space(directory, size):
    """Raises :class:`TestbedError` when the file system of ``directory`` has less than ``size`` bytes free."""
    existing = directory
    while not os.path.isdir(existing):
        existing = os.path.dirname(existing)
    free = shutil.disk_usage(existing).free
    if free < size:
        raise TestbedError("no room to build a kernel: %s has %s free, building takes up to %s" % (directory, format_size(free >> 20 << 20), format_size(size)),
                           remedy="free disk space, or set MEMLAB_CACHE on the builder to a directory that has it")
