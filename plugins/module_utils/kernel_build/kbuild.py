# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""make(1) on a kernel tree: out of tree, through ccache and distcc, reproducibly, and with its output looked at."""
from __future__ import annotations

import json
import os
import platform
import re
import tempfile
import time

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# platform.machine() to the kernel's directory below arch/.
SRCARCH = {"x86_64": "x86", "aarch64": "arm64"}

# A build's own person and machine: fixed, so that they do not get into its result.
BUILD_USER, BUILD_HOST = "memlab", "testbed"


class Kbuild(object):
    """One source tree with one objects directory.

    :arg host: :class:`Host`.
    :arg source: the tree's top. :arg objects: ``O=``.
    :arg options: ``compiler``, ``jobs``, ``distcc`` (hosts), ``localversion``, ``ccache`` (a directory, ``None`` for none), ``epoch`` (SOURCE_DATE_EPOCH).
    """

    def __init__(self, host, source, objects, options):
        self.host = host
        self.source = source
        self.objects = objects
        self.options = options
        self.srcarch = SRCARCH.get(platform.machine(), platform.machine())
        os.makedirs(objects, exist_ok=True)

    def arguments(self, *targets, compiler=None):
        """make's command line. Of several prefixes that fit, gcc takes the last: files are named as the kernel itself names them."""
        found = ["make", "-C", self.source, "O=" + self.objects, "CC=" + (compiler or self._compiler()), "LOCALVERSION=" + self.options.get("localversion", "")]
        places = ((self.objects, "."), (self.source, "."), (self.objects + "/", ""), (self.source + "/", ""))
        maps = " ".join("-ffile-prefix-map=%s=%s" % place for place in places)
        # what make would take from the caller's shell, which no key knows
        own = ["ARCH=" + self.srcarch] + [name + "=" for name in ("CROSS_COMPILE", "LLVM", "LLVM_IAS", "KCPPFLAGS", "KRUSTFLAGS")]
        return found + ["KCFLAGS=" + maps, "KAFLAGS=" + maps] + own + list(targets)

    def _compiler(self):
        compiler = self.options.get("compiler", "gcc")
        if self.options.get("ccache"):
            return "ccache " + compiler
        return "distcc " + compiler if self.options.get("distcc") else compiler

    def environment(self):
        """Variables that make the result the same everywhere, and ccache's and distcc's."""
        epoch = self.options.get("epoch", 0)
        found = {"KBUILD_BUILD_USER": BUILD_USER, "KBUILD_BUILD_HOST": BUILD_HOST, "KBUILD_BUILD_VERSION": "1", "SOURCE_DATE_EPOCH": str(epoch),
                 "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(epoch)), "TZ": "UTC", "MAKEFLAGS": "",
                 "KCONFIG_CONFIG": ".config"}
        if self.options.get("ccache"):
            # depend: the compiler's own list of headers stands for a preprocessor run, which a first build would pay for
            found.update(CCACHE_DIR=self.options["ccache"], CCACHE_DEPEND="1", CCACHE_INODECACHE="1",
                         CCACHE_SLOPPINESS="time_macros,include_file_mtime,include_file_ctime",
                         CCACHE_MAXSIZE="5G", CCACHE_COMPRESSLEVEL="1", CCACHE_NOSTATS="1")
            if self.options.get("distcc"):
                found["CCACHE_PREFIX"] = "distcc"
        if self.options.get("distcc"):
            # else distcc asks for gcc by a longer name, which gcc then calls itself in the configuration and the kernel's banner
            found.update(DISTCC_HOSTS=" ".join(self.options["distcc"]), DISTCC_NO_REWRITE_CROSS="1")
        return found

    def run(self, targets, each=None, extra=None, what="make", compiler=None):
        """Run make for ``targets``. Raises :class:`TestbedError` with the first errors and the end of what it said."""
        lines = []

        def keep(line):
            lines.append(line)
            if each is not None:
                each(line)

        code = self.host.stream(self.arguments(*targets, compiler=compiler), keep, dict(self.environment(), **(extra or {})))
        if code != 0:
            raise TestbedError("%s failed with exit code %d" % (what, code), details=_errors(lines), remedy=_remedy(lines))
        return lines

    # configuration

    def configure(self, target, path, extra=None):
        """``make <target>`` with ``path`` for its ``.config``. Kconfig tries the compiler some hundred times, on nothing that is worth keeping."""
        self.run([target], extra=dict(extra or {}, KCONFIG_CONFIG=path), what="make %s" % target, compiler=self.options.get("compiler", "gcc"))

    def streamline(self, text, modules):
        """The configuration without the modules that ``modules`` (a file like lsmod's output) does not name: scripts/kconfig/streamline_config.pl's answer."""
        with tempfile.TemporaryDirectory(prefix="local-", dir=self.objects) as work:
            with open(os.path.join(work, ".config"), "w", encoding="utf-8") as stream:
                stream.write(text)
            found = []
            code = self.host.stream(["perl", os.path.join(self.source, "scripts/kconfig/streamline_config.pl"), "--localmodconfig", self.source, "Kconfig"],
                                    found.append, {"LSMOD": modules, "SRCARCH": self.srcarch, "ARCH": self.srcarch, "srctree": self.source}, work)
        if code != 0:
            raise TestbedError("streamline_config.pl failed with exit code %d" % code, details=found[-5:])
        return "\n".join(line for line in found if re.match(r"(# )?CONFIG_", line)) + "\n"

    def accept(self, text):
        """Make ``text`` the ``.config``. One that is the same stays as it is: make goes by its time."""
        path = os.path.join(self.objects, ".config")
        try:
            with open(path, encoding="utf-8") as stream:
                if stream.read() == text:
                    return
        except OSError:
            pass
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)

    # building

    def compile(self, progress, log):
        """Everything that is installed: the image and the modules. ``log`` gets every line."""
        with open(log, "w", encoding="utf-8") as stream:
            def each(line):
                stream.write(line + "\n")
                progress.line(line)

            self.run(["-j%d" % self.jobs(), "all"], each, what="the build")

    def jobs(self):
        return self.options.get("jobs") or len(os.sched_getaffinity(0))

    def answers(self, *targets):
        """What make targets that only tell something say (``kernelrelease``, ``image_name``), a line each."""
        return [line.strip() for line in self.run(["-s", "--no-print-directory"] + list(targets))[-len(targets):]]

    # what an earlier run left

    def journal(self):
        """(names of the objects compiled so far, their number after a whole build or ``None``)."""
        try:
            with open(os.path.join(self.objects, ".memlab.objects"), encoding="utf-8") as stream:
                found = json.load(stream)
            return found["done"], found["total"]
        except (OSError, ValueError, KeyError):
            return [], None

    def remember(self, done, whole):
        with open(os.path.join(self.objects, ".memlab.objects"), "w", encoding="utf-8") as stream:
            json.dump({"done": sorted(done), "total": len(done) if whole else None}, stream)


def _errors(lines):
    """What a reader needs of a failed make: the compilers' and tools' own errors, and the last lines."""
    found = [line for line in lines if re.search(r"\berror:|\bERROR:|undefined reference|No space left|\*\*\*", line)][:6]
    return list(dict.fromkeys(found + lines[-6:]))


def _remedy(lines):
    if any("No space left" in line for line in lines[-40:]):
        return "the disk is full: free space and run again, what is built so far is used"
    return None
