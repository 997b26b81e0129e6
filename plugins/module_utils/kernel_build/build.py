# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From inputs to an artifact. All that can be refused is refused before anything is built."""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import locks
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import artifact, configuration, estimate, needs, package, patches, source
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.kbuild import Kbuild
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.progress import Progress
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.tree import Tree

# Longest that another build of the same base is waited for, in seconds.
PATIENCE = 3600

_LOCALVERSION = re.compile(r"[-+.a-z0-9]{0,40}", re.ASCII)


class Request(object):
    """What is to be built, checked as far as it can be without the source.

    :arg wanted: the module's options.
    """

    def __init__(self, wanted):
        self.source = wanted["source"]
        self.patches = patches.unpacked(wanted["patches"])
        self.fragments = wanted["fragments"]
        self.base = wanted["base"]
        self.fuzz = wanted["fuzz"]
        self.compiler = wanted["compiler"]
        self.localversion = wanted["localversion"]
        self.distcc = wanted["distcc"]
        self.jobs = wanted["jobs"]
        self.ccache = wanted["ccache"]
        if not _LOCALVERSION.fullmatch(self.localversion or ""):
            raise TestbedError("%.60r is no local version" % self.localversion, remedy="lower case letters, digits, - + and . are allowed")
        needs.check_compiler(self.compiler)
        if self.jobs is not None and self.jobs < 1:
            raise TestbedError("jobs: %d is not a number of jobs" % self.jobs)
        if not 0 <= self.fuzz <= 3:
            raise TestbedError("fuzz is the number of context lines that may differ, 0 to 3, not %d" % self.fuzz)
        if self.base["name"] not in configuration.TARGETS and self.base.get("content") is None:
            raise TestbedError("%r is no base of a configuration" % self.base["name"],
                               remedy="one of %s, or a configuration file" % ", ".join(configuration.TARGETS))
        if self.base["name"] == "localmodconfig" and (self.base.get("content") is None or self.base.get("modules") is None):
            raise TestbedError("localmodconfig needs a host's configuration and its list of modules", remedy="name the host (kernel_build_config_host)")
        if self.base.get("content") is not None:
            configuration.parse(self.base["content"], self.base["name"])
        configuration.requested(self.fragments)
        for patch in self.patches:
            if not patch.changes():
                raise TestbedError("the patch %s holds no difference" % patch.name)

    def inputs(self, found, versions):
        """Everything that the result depends on, with names for people, which are none of it: see :meth:`key`."""
        digest = {"base": self.base["name"], "fragments": [{"name": each["name"], "sha256": _digest(each["content"])} for each in self.fragments]}
        # loaded modules come and go: they count where they are asked for
        parts = ("content", "modules") if self.base["name"] == "localmodconfig" else ("content",)
        digest.update({part: _digest(self.base[part]) for part in parts if self.base.get(part) is not None})
        return {"source": found.entry, "patches": [patch.entry() for patch in self.patches], "fuzz": self.fuzz, "configuration": digest,
                "localversion": self.localversion, "compiler": versions, "architecture": platform.machine()}

    def key(self, found, versions):
        """The artifact's key: the same from wherever source, patches and fragments were taken, and whatever they are called there."""
        inputs = self.inputs(found, versions)
        base = self.base["name"] if self.base["name"] in configuration.TARGETS else "file"
        configured = dict(inputs["configuration"], base=base, fragments=[each["sha256"] for each in inputs["configuration"]["fragments"]])
        patched = [{part: patch[part] for part in ("sha256", "strip")} for patch in inputs["patches"]]
        return artifact.key(dict(inputs, source=found.digest, configuration=configured, patches=patched))

    def wants_btf(self):
        """Whether base or fragments, as far as they are known here, ask for BTF, which pahole(1) makes."""
        values = configuration.parse(self.base.get("content") or "", self.base["name"])
        values.update({symbol: value for symbol, (value, unused) in configuration.requested(self.fragments).items()})
        return values.get("DEBUG_INFO_BTF") == "y"

    def objects_name(self):
        """Name of the objects' directory: the same for all contents of the same fragments, so that a changed one rebuilds what it touches."""
        parts = [self.base["name"], self.base.get("content") or "", self.compiler] + [each["name"] for each in self.fragments]
        return _digest("\0".join(parts))[:16]


def _digest(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def look(host, wanted):
    """(key or ``None``, manifest or ``None``) of what :func:`ensure` would make; changes nothing. Raises :class:`TestbedError`."""
    request = _checked(host, wanted)
    found = source.resolve(host, request.source, os.path.join(artifact.build_directory(), "sources"), look_only=True)
    name = None if found is None else request.key(found, _versions(host, request))
    known = None if name is None else artifact.manifest(name)
    if known is None:
        source.check(host, request.source, content=True)
        _need_space(request, found)
    return name, known


def ensure(host, wanted, progress_file=None):
    """Build the kernel unless it is there. Returns (changed, answer, manifest, remarks). Raises :class:`TestbedError`."""
    request = _checked(host, wanted)
    progress = Progress(progress_file)
    top = artifact.build_directory()
    sources = os.path.join(top, "sources")
    try:
        found = source.resolve(host, request.source, sources, look_only=True)
        if found is None:
            # it has to be downloaded to be known
            _need_space(request, None)
            os.makedirs(sources, exist_ok=True)
            found = source.resolve(host, request.source, sources)
        versions = _versions(host, request)
        inputs, name = request.inputs(found, versions), request.key(found, versions)
        known = artifact.manifest(name)
        if known is not None:
            return False, artifact.answer(name, known), known, []
        _need_space(request, found)
        base = _base(found)
        for place in (sources, base):
            os.makedirs(place, exist_ok=True)
        with locks.held(base + ".lock", "the kernel source %s" % found.name, patience=PATIENCE):
            known = artifact.manifest(name)
            if known is not None:
                return False, artifact.answer(name, known), known, []
            known, remarks = _build(host, request, found, inputs, name, base, progress)
    except OSError as exc:
        raise TestbedError("cannot build a kernel in %s: %s" % (top, exc), remedy="free disk space and run again" if exc.errno == 28 else None)
    return True, artifact.answer(name, known), known, remarks


def _checked(host, wanted):
    """The request, after all that can be refused without a tool, and then what is missing of them."""
    request = Request(wanted)
    source.check(host, request.source)
    if not os.path.isdir(artifact.build_directory()):
        _need_space(request, None)
    suite = request.source.get("suite") if request.source.get("package") else None
    lacking = needs.survey(host, request.compiler, bool(request.source.get("repository")), bool(request.distcc), suite, request.wants_btf())
    if lacking["missing"]:
        source.check(host, request.source, content=True)
        needs.refuse_missing(lacking)
    return request


def _base(found):
    """Directory of what belongs to a source: tree, objects, ccache."""
    return os.path.join(artifact.build_directory(), "bases", found.key())


def _need_space(request, found):
    """Refuse where the build would not fit. :arg found: the source, ``None`` for one that is not known yet."""
    size = needs.SOURCE_SPACE + needs.OBJECT_SPACE
    if found is not None:
        fresh = not os.path.isfile(os.path.join(_base(found), "objects", request.objects_name(), ".config"))
        size = (needs.SOURCE_SPACE if Tree(_base(found)).state is None else 0) + (needs.OBJECT_SPACE if fresh else needs.OBJECT_SPACE // 4)
    needs.need_space(artifact.build_directory(), size)


def _versions(host, request):
    """First lines of what compiler and linker say of themselves, and the tools that Kconfig looks for: it writes down what it finds."""
    optional = [tool for tool in ("pahole", "rustc", "bindgen") if shutil.which(tool)]
    return {tool: host.run([tool, "--version"]).splitlines()[0] for tool in [request.compiler, "ld"] + optional}


def _build(host, request, found, inputs, name, base, progress):
    tree = Tree(base)
    objects = os.path.join(base, "objects", request.objects_name())
    fresh = not os.path.isfile(os.path.join(objects, ".config"))
    progress.step("unpacking the source")
    tree.unpack(host, found)
    progress.step("patching")
    remarks = tree.apply(host, request.patches, request.fuzz)
    kbuild = Kbuild(host, tree.source, objects, {
        "compiler": request.compiler, "jobs": request.jobs, "distcc": request.distcc, "epoch": tree.epoch(),
        "ccache": os.path.join(base, "ccache") if request.ccache else None,
        "localversion": "-memlab." + name[:8] if request.localversion is None else request.localversion})
    progress.step("configuring")
    text = configuration.kept(kbuild, request.base, request.fragments, _configuration_key(request, inputs))
    values = configuration.parse(text, ".config")
    _check_configuration(values, base, fresh)
    kbuild.accept(text)
    done, total = kbuild.journal()
    # after a whole build the names say nothing of what this one has to compile: only how many that can be
    progress.done, progress.exact = set(done if total is None else ()), total is not None
    progress.total = total if total is not None else estimate.objects(tree.source, kbuild.srcarch, values)
    progress.step("compiling")
    try:
        kbuild.compile(progress, os.path.join(base, "build.log"))
        whole = True
    except BaseException:
        whole = False
        raise
    finally:
        with contextlib.suppress(OSError):
            kbuild.remember(progress.done | set(done), whole or total is not None)
    progress.step("packing")
    os.makedirs(artifact.kernels_directory(), exist_ok=True)
    # the base's lock is this key's, too: a key has one base
    with directories.fresh(os.path.join(artifact.kernels_directory(), ".%s.new" % name)) as work:
        return _keep(kbuild, name, inputs, text, values, work, progress), remarks


def _configuration_key(request, inputs):
    """Of all that a configuration depends on: what was asked, compiler, linker and other tools that Kconfig looks for, patches to what it reads."""
    patched = [patch.entry() for patch in request.patches if patch.is_for_kconfig()]
    return _digest(json.dumps([artifact.RECIPE, inputs["configuration"], inputs["compiler"], patched]))


def _check_configuration(values, base, fresh):
    """What only the final configuration tells: a release that is no package's name, what the builder must have."""
    if not _LOCALVERSION.fullmatch(values.get("LOCALVERSION", '""').strip('"')):
        raise TestbedError("CONFIG_LOCALVERSION is %s, and a package's name can have no such release" % values["LOCALVERSION"],
                           remedy="lower case letters, digits, - + and . are allowed; set it in a fragment")
    if values.get("DEBUG_INFO_BTF") == "y" and shutil.which("pahole") is None:
        raise TestbedError("the configuration comes out with CONFIG_DEBUG_INFO_BTF, and the builder lacks pahole",
                           remedy="install dwarves (Debian's name), or add CONFIG_DEBUG_INFO_BTF=y to the fragments: then the role kernel_build does")
    if values.get("DEBUG_INFO", "n") == "y" and fresh:
        needs.need_space(base, needs.DEBUG_SPACE)


def _keep(kbuild, name, inputs, text, values, work, progress):
    """Pack, describe and move into its place."""
    release, image = kbuild.answers("kernelrelease", "image_name")
    image = os.path.join(kbuild.objects, image)
    stage = os.path.join(work, "artifact")
    os.mkdir(stage)
    # the release may be fixed (localversion): by the version dpkg, and whoever asks it, tells kernels of other inputs apart
    version = "%s-1+memlab.%s" % (re.match(r"\d+(?:\.\d+)*(?:-rc\d+)?", release).group(0).replace("-rc", "~rc"), name[:8])
    deb = package.image(kbuild, image, release, version, work)
    os.rename(deb, os.path.join(stage, os.path.basename(deb)))
    shutil.copyfile(image, os.path.join(stage, "vmlinuz"))
    with open(os.path.join(stage, "config"), "w", encoding="utf-8") as stream:
        stream.write(text)
    shutil.copyfile(os.path.join(kbuild.objects, "System.map"), os.path.join(stage, "System.map"))
    known = dict(inputs, key=name, release=release, config_sha256=_digest(text), reproducible=_reproducible(values),
                 vmlinux_sha256=artifact.described(os.path.join(kbuild.objects, "vmlinux"))["sha256"],
                 artifacts={file: artifact.described(os.path.join(stage, file)) for file in sorted(os.listdir(stage))})
    with open(os.path.join(stage, "manifest.json"), "w", encoding="utf-8") as stream:
        json.dump(known, stream, indent=1, sort_keys=True)
    place = artifact.directory(name)
    directories.remove(place)
    os.rename(stage, place)
    progress.step("done")
    return known


def _reproducible(values):
    """What the build draws by lot is another one each time: a key of its own to sign modules with, the order of structures' members, latent entropy."""
    signed = values.get("MODULE_SIG") == "y" and values.get("MODULE_SIG_KEY", '"certs/signing_key.pem"') == '"certs/signing_key.pem"'
    return not (signed or any(values.get(symbol) == "y" for symbol in ("RANDSTRUCT", "GCC_PLUGIN_RANDSTRUCT", "GCC_PLUGIN_LATENT_ENTROPY")))
