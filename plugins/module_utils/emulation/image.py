# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guest images: a Debian root file system, its kernel and an initrd, kept under the digest of what they were made from.

An image is a directory of the cache with ``root.img`` (sparse: an ext4 file system, or a whole disk where a boot loader starts the guest), ``kernel``,
``initrd`` and ``manifest.json``. It is built beside its place and moved there when it is complete, so that what is there is whole.
"""
from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils import directories
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import grub_start, guest_tree, kernel_image, locks, own_disk, systemd_boot_start
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import images_directory
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import G, format_size

# To be counted up when an image made from the same inputs would come out different.
RECIPE = 1

# What every guest needs: to boot, to be reached, to run modules, and the tools of the trade.
PACKAGES = ("systemd-sysv", "udev", "kmod", "iproute2", "openssh-server", "python3-minimal", "libpython3-stdlib", "ndctl", "daxctl", "cxl", "busybox-static")

# Of these, what an older suite may lack: bookworm's ndctl (76) is packaged without cxl.
NOT_EVERYWHERE = ("cxl",)

# Bytes on the cache's disk that a build takes at its worst: archive, unpacked tree and file system beside each other.
BUILD_SPACE = 3 * G

# No file system of ours fits in less, whatever is in it: known before anything is built.
LEAST_DISK = 16 << 20

# What reaches apt's and sed's command lines: names as Debian's policy has them, a package also with a version or an architecture.
_SUITE = re.compile(r"[a-z0-9][a-z0-9.+-]*", re.ASCII)
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?", re.ASCII)

# Boot loaders of guests that start from their own disk.
_STARTS = {"grub": grub_start, "systemd-boot": systemd_boot_start}

# Paths that no guest reads.
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")


def inputs(suite, packages=(), kernel_package=None, backports_kernel=False, disk_size=4 * G, tuned=True, loader="qemu", kernel_file=None):
    """Everything that an image depends on, as JSON types.

    :arg suite: Debian suite.
    :arg packages: packages beside :data:`PACKAGES`.
    :arg kernel_package: the kernel's package; by default Debian's meta package for this architecture.
    :arg backports_kernel: take the kernel from the suite's backports.
    :arg disk_size: bytes of the root file system; it is sparse.
    :arg loader: ``qemu``, which starts the kernel itself, ``grub`` or ``systemd-boot``.
    :arg tuned: ``False`` leaves services, initrd and boot parameters as Debian has them: the yardstick for boot times.
    :arg kernel_file: path of a kernel's Debian package, in place of one from the mirror; its digest is what the image depends on.
    Raises :class:`TestbedError` for a suite, a package or a size that cannot be one, and for a kernel file that cannot be read or used.
    """
    if not _SUITE.fullmatch(suite):
        raise TestbedError("%.60r is not the name of a Debian suite" % (suite,))
    for name in list(packages) + ([kernel_package] if kernel_package else []):
        if not _PACKAGE.fullmatch(name):
            raise TestbedError("%.60r is not the name of a Debian package" % (name,))
    start = _STARTS.get(loader)
    if disk_size < LEAST_DISK + (own_disk.ROOT_START if start else 0):
        raise TestbedError("disk_size: %s is too small for a root file system" % format_size(disk_size), remedy="a small one takes 1G, and it is sparse")
    found = {
        "recipe": RECIPE,
        "architecture": platform.machine(),
        "suite": suite,
        "packages": sorted(set(PACKAGES) | set(packages) | set(start.PACKAGES if start else ())),
        "kernel_package": kernel_package or "linux-image-amd64",
        "backports_kernel": backports_kernel,
        "disk_size": disk_size,
        "tuned": tuned,
        "loader": loader,
    }
    if tuned:
        # The initrd's recipe is code; its script stands for it.
        parts = [_overlay(loader), guest_tree.initrd_script([]).encode("ascii")]
        parts += [repr(words).encode("ascii") for words in (guest_tree.INITRD_MODULES, guest_tree.KERNEL_PARAMETERS)]
        if start:
            parts += [repr((own_disk.early_overlay(), list(start.hooks()), start.partition(), own_disk.ROOT_START)).encode("utf-8")]
        found["tuning"] = hashlib.sha256(b"\0".join(parts)).hexdigest()
    if kernel_file:
        if kernel_package or backports_kernel:
            raise TestbedError("a kernel file and a kernel from the mirror exclude each other", remedy="leave out kernel_package and backports_kernel")
        if start or not tuned:
            raise TestbedError("a kernel file is for guests that QEMU starts by the testbed's initrd",
                               remedy="install the package in the guest, with the role memlab.testbed.kernel_install")
        found["kernel_file"] = _digest_of_package(kernel_file)
        found["kernel_package"] = None
    return found


def _digest_of_package(path):
    found = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            part = stream.read(1 << 20)
            # deb(5)
            if not part.startswith(b"!<arch>\ndebian-binary"):
                raise TestbedError("%s is not a Debian package" % path, remedy="name the kernel's linux-image package")
            while part:
                found.update(part)
                part = stream.read(1 << 20)
    except OSError as exc:
        raise TestbedError("cannot read the kernel file %s (%s)" % (path, errno_name(exc.errno)))
    return found.hexdigest()


def _overlay(loader):
    return guest_tree.archive_of(dict(guest_tree.overlay(), **(_STARTS[loader].overlay() if loader in _STARTS else {})))


def digest(wanted):
    """Key of an image: the digest of its inputs."""
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode("utf-8")).hexdigest()[:20]


def directory(wanted):
    return os.path.join(images_directory(), "%s-%s" % (wanted["suite"], digest(wanted)))


def manifest(path):
    """The manifest of the image in a directory, or ``None`` where there is no image."""
    try:
        with open(os.path.join(path, "manifest.json"), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def ensure(host, wanted, kernel_file=None):
    """Build the image unless it is there. Returns (changed, directory, manifest). Raises :class:`TestbedError`.

    :arg kernel_file: the path that ``wanted`` has the digest of.
    """
    place = directory(wanted)
    found = manifest(place)
    if found is not None:
        return False, place, found
    try:
        os.makedirs(images_directory(), exist_ok=True)
        with locks.held(place + ".lock", "the image %s" % os.path.basename(place), patience=3600):
            found = manifest(place)
            if found is not None:
                return False, place, found
            _need_space(images_directory())
            with directories.fresh(os.path.join(images_directory(), ".%s.new" % os.path.basename(place))) as work:
                found = _build(host, wanted, work, kernel_file)
                directories.remove(place)
                os.rename(os.path.join(work, "image"), place)
    except OSError as exc:
        raise TestbedError("cannot make an image in %s: %s" % (images_directory(), exc))
    return True, place, found


def _need_space(path):
    free = shutil.disk_usage(path).free
    if free < BUILD_SPACE:
        figures = (path, format_size(free >> 20 << 20), format_size(BUILD_SPACE))
        raise TestbedError("no room for a guest image: %s has %s free, building takes up to %s" % figures,
                           remedy="free disk space, or set MEMLAB_CACHE to a directory that has it")


def _build(host, wanted, work, kernel_file):
    image, tree, archive = os.path.join(work, "image"), os.path.join(work, "tree"), os.path.join(work, "root.tar")
    os.mkdir(image)
    os.mkdir(tree)
    try:
        if kernel_file:
            _unpack_kernel(host, kernel_file, os.path.join(work, "kernel"))
        host.run(_mmdebstrap(wanted, work, archive), timeout=1800)
        # Without root, fakeroot remembers who owns what between unpacking and packing.
        fakeroot = [] if os.geteuid() == 0 else ["fakeroot", "-i", os.path.join(work, "owners"), "-s", os.path.join(work, "owners"), "--"]
        if fakeroot:
            open(os.path.join(work, "owners"), "w", encoding="ascii").close()
        host.run(fakeroot + ["tar", "--extract", "--numeric-owner", "--exclude=./dev/*", "--file", archive, "--directory", tree], timeout=600)
        os.unlink(archive)
        if kernel_file:
            for part in ("boot", "usr/lib/modules"):
                host.run(fakeroot + ["cp", "--archive", "--no-preserve=ownership", os.path.join(work, "kernel", part),
                                     os.path.join(tree, os.path.dirname(part))])
        release = _kernel_release(tree)
        _kernel_and_initrd(host, wanted, tree, release, image, work)
        found = {"inputs": wanted, "kernel": release, "packages": _packages(tree),
                 "kernel_parameters": list(guest_tree.KERNEL_PARAMETERS) if wanted["tuned"] else []}
        root = os.path.join(image, "root.img")
        if wanted["loader"] in _STARTS:
            own_disk.make(host, tree, root, wanted["disk_size"], fakeroot, _STARTS[wanted["loader"]].partition())
        else:
            with open(root, "wb") as stream:
                stream.truncate(wanted["disk_size"])
            host.run(fakeroot + ["mke2fs", "-q", "-t", "ext4", "-F", "-L", "memlab", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", tree, root],
                     timeout=600)
        with open(os.path.join(image, "manifest.json"), "w", encoding="utf-8") as stream:
            json.dump(found, stream, indent=1, sort_keys=True)
    except (OSError, TestbedError) as exc:
        if "No space left" in str(exc):
            raise TestbedError("the disk ran full while the guest image was built in %s and %s" % (images_directory(), tempfile.gettempdir()),
                               details=str(exc).splitlines()[-4:],
                               remedy="free %s, or set MEMLAB_CACHE and TMPDIR to directories that have it" % format_size(BUILD_SPACE))
        raise _explained(exc, wanted["suite"])
    return found


def _unpack_kernel(host, package, place):
    """The package's files below ``place``. Packages made before Debian 13 have ``/lib`` apart from ``/usr/lib``."""
    host.run(["dpkg-deb", "--extract", package, place], timeout=120)
    if not os.path.isdir(os.path.join(place, "usr/lib/modules")) and os.path.isdir(os.path.join(place, "lib/modules")):
        os.makedirs(os.path.join(place, "usr/lib"), exist_ok=True)
        os.rename(os.path.join(place, "lib/modules"), os.path.join(place, "usr/lib/modules"))
    for part in ("boot", "usr/lib/modules"):
        if not os.path.isdir(os.path.join(place, part)):
            raise TestbedError("%s holds no kernel with its modules: it has no /%s" % (package, part), remedy="name the kernel's linux-image package")


def _explained(failure, suite):
    """A failure of mmdebstrap in words, where what apt said is known; any other as it is."""
    said = str(failure)
    unknown = re.findall(r"^E: (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate)$", said, re.MULTILINE)
    if unknown:
        return TestbedError("the suite %s has no package %s" % (suite, ", ".join(filter(None, sum(unknown, ())))), details=failure.details,
                            remedy="look at the packages that the testbed file names")
    if "does not have a Release file" in said:
        return TestbedError("the mirror has no suite %s" % suite, details=failure.details, remedy="look at the suite that the testbed file names")
    return failure


def _mmdebstrap(wanted, work, archive):
    """The command that makes the root file system. No mirror is named: it is mmdebstrap's own default.

    The hooks are mmdebstrap's shell snippets; ``$1`` is the new root, and what is put into them is quoted.
    """
    suite = wanted["suite"]
    packages = ["?exact-name(%s)" % name if name in NOT_EVERYWHERE else name for name in wanted["packages"]]
    # Not --quiet: it takes apt's errors away with it.
    argv = ["mmdebstrap", "--variant=apt", "--format=tar", "--mode=" + ("root" if os.geteuid() == 0 else "unshare"),
            "--include=" + ",".join(packages + ([wanted["kernel_package"]] if wanted["kernel_package"] else []))]
    argv += ["--dpkgopt=path-exclude=" + pattern for pattern in _EXCLUDED]
    if wanted["backports_kernel"]:
        argv += ["--setup-hook=" + hook for hook in _backports_hooks(suite)]
    if wanted["tuned"]:
        overlay = os.path.join(work, "overlay.tar")
        with open(overlay, "wb") as stream:
            stream.write(_overlay(wanted["loader"]))
        # dpkg is to keep the files that are there before their packages.
        argv += ["--dpkgopt=force-confold",
                 # Host keys belong to a guest, not to an image.
                 "--customize-hook=rm -f \"$1\"/etc/ssh/ssh_host_*",
                 "--customize-hook=tar-in %s /" % shlex.quote(overlay),
                 "--customize-hook=touch -d @4000000000 \"$1/etc/.updated\" \"$1/var/.updated\""]
        if wanted["loader"] in _STARTS:
            early = os.path.join(work, "early.tar")
            with open(early, "wb") as stream:
                stream.write(guest_tree.archive_of(own_disk.early_overlay()))
            argv += ["--essential-hook=tar-in %s /" % shlex.quote(early)] + ["--customize-hook=" + hook for hook in _STARTS[wanted["loader"]].hooks()]
        else:
            # The initrd is our own, so Debian's need not be made.
            argv.append("--essential-hook=mkdir -p \"$1/etc/initramfs-tools\" && "
                        "echo update_initramfs=no > \"$1/etc/initramfs-tools/update-initramfs.conf\"")
    else:
        argv.append("--customize-hook=chroot \"$1\" systemctl --quiet enable systemd-networkd ssh")
    return argv + [suite, archive]


def _backports_hooks(suite):
    """Add the suite's backports on the mirror that mmdebstrap has just written down, and let only the kernel come from there."""
    backports = suite + "-backports"
    yield "sed -n %s \"$1/etc/apt/sources.list\" > \"$1/etc/apt/sources.list.d/backports.list\"" % shlex.quote("s/ %s main/ %s main/p" % (suite, backports))
    pin = "Package: linux-image-* linux-base linux-binary-*\nPin: release n=%s\nPin-Priority: 600\n" % backports
    yield "mkdir -p \"$1/etc/apt/preferences.d\" && printf %%b %s > \"$1/etc/apt/preferences.d/backports\"" % shlex.quote(pin.replace("\n", "\\n"))


def _kernel_release(tree):
    releases = [name[len("vmlinuz-"):] for name in sorted(os.listdir(os.path.join(tree, "boot"))) if name.startswith("vmlinuz-")]
    if len(releases) != 1:
        raise TestbedError("the image has %d kernels (%s), not one" % (len(releases), ", ".join(releases) or "none"))
    return releases[0]


def _kernel_and_initrd(host, wanted, tree, release, image, work):
    packed = os.path.join(tree, "boot", "vmlinuz-" + release)
    if not wanted["tuned"]:
        shutil.copyfile(packed, os.path.join(image, "kernel"))
        shutil.copyfile(os.path.join(tree, "boot", "initrd.img-" + release), os.path.join(image, "initrd"))
        return

    def zstd(data):
        source, target = os.path.join(work, "kernel.zst"), os.path.join(work, "kernel.elf")
        with open(source, "wb") as stream:
            stream.write(data)
        host.run(["zstd", "--quiet", "--decompress", source, "-o", target])
        with open(target, "rb") as stream:
            return stream.read()

    with open(packed, "rb") as stream:
        data = stream.read()
    elf = kernel_image.unpack(data, zstd)
    with open(os.path.join(image, "kernel"), "wb") as stream:
        stream.write(elf if kernel_image.has_pvh_entry(elf) else data)
    with open(os.path.join(image, "initrd"), "wb") as stream:
        stream.write(guest_tree.initrd(tree, release))


def _packages(tree):
    """Package to version, from dpkg's own records."""
    found, name = {}, None
    with open(os.path.join(tree, "var/lib/dpkg/status"), encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("Package: "):
                name = line.split()[1]
            elif line.startswith("Version: "):
                found[name] = line.split()[1]
    return found
