# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a tuned guest has beside its Debian packages: files that keep boot short, and an initrd that does only what this guest needs.

The stock kernel stays as it is. Under TCG every process start costs a tenth of a second, so the gain comes from services, generators
and modules that are not started. Nothing that concerns memory, CXL or NVDIMM devices is touched: udev loads their drivers as on any host.
"""
from __future__ import annotations

import inspect
import io
import lzma
import os
import posixpath
import tarfile

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import bytecode
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# Units that a guest without console logins, network management or a persistent journal has no use for.
MASKED_UNITS = (
    "dbus.service", "dbus.socket", "dev-hugepages.mount", "dev-mqueue.mount", "e2scrub_reap.service", "getty.target", "kmod-static-nodes.service",
    "ldconfig.service", "modprobe@.service", "ndctl-monitor.service", "proc-sys-fs-binfmt_misc.automount", "run-lock.mount", "serial-getty@.service",
    "ssh.socket", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path", "systemd-battery-check.service", "systemd-binfmt.service",
    "systemd-boot-random-seed.service", "systemd-firstboot.service", "systemd-hibernate-clear.service", "systemd-hostnamed.socket",
    "systemd-hwdb-update.service", "systemd-journal-catalog-update.service", "systemd-journal-flush.service", "systemd-logind.service",
    "systemd-machine-id-commit.service", "systemd-modules-load.service", "systemd-network-generator.service", "systemd-networkd-persistent-storage.service",
    "systemd-networkd-wait-online.service", "systemd-networkd.service", "systemd-networkd.socket", "systemd-pstore.service", "systemd-random-seed.service",
    "systemd-remount-fs.service", "systemd-sysctl.service", "systemd-sysusers.service", "systemd-tmpfiles-setup-dev-early.service",
    "systemd-tmpfiles-setup-dev.service", "systemd-tpm2-setup-early.service", "systemd-tpm2-setup.service", "systemd-udev-load-credentials.service",
    "systemd-update-done.service", "systemd-user-sessions.service", "timers.target", "tmp.mount",
)

# Generators that would only find that there is nothing to generate: the initrd mounts the root, and there is no fstab.
MASKED_GENERATORS = (
    "systemd-debug-generator", "systemd-fstab-generator", "systemd-getty-generator", "systemd-gpt-auto-generator", "systemd-hibernate-resume-generator",
    "systemd-rc-local-generator", "systemd-run-generator", "systemd-ssh-generator", "systemd-system-update-generator", "systemd-sysv-generator",
    "systemd-tpm2-generator",
)

# Drivers that udev would load for parts of a PC that the testbed never uses.
BLACKLISTED_MODULES = (
    "ahci", "aesni_intel", "ccp", "crc32_pclmul", "crct10dif_pclmul", "drm", "edac_mce_amd", "evdev", "floppy", "ghash_clmulni_intel", "i2c_i801",
    "iTCO_wdt", "intel_rapl_msr", "joydev", "kvm", "kvm_amd", "kvm_intel", "lpc_ich", "parport_pc", "pcspkr", "polyval_clmulni", "ppdev", "psmouse",
    "rapl", "serio_raw", "sha1_ssse3", "sha256_ssse3", "sha512_ssse3",
)

# Kernel parameters that leave out self-tests and mitigations, neither of which says anything about memory placement. An emulated processor stands still while
# the machine does something else: lockups and stalls are what takes the longest that the kernel can wait for.
KERNEL_PARAMETERS = ("quiet", "cryptomgr.notests", "lsm=capability", "audit=0", "mitigations=off", "watchdog_thresh=60", "rcupdate.rcu_cpu_stall_timeout=300")

# With this parameter the initrd switches the machine off: the question was whether it gets there.
PROBE_PARAMETER = "memlab.probe"

# Guest addresses of QEMU's user network.
ADDRESS, GATEWAY = "10.0.2.15/24", "10.0.2.2"

# What the initrd loads, in this order; each with what it depends on.
INITRD_MODULES = ("virtio_pci", "virtio_blk", "ext4", "virtio_net", "qemu_fw_cfg")

# fw_cfg names (QEMU's -fw_cfg) of what each guest is given at its start, and where the initrd puts it.
GIVEN_FILES = (
    ("opt/memlab/host_key", "/etc/ssh/ssh_host_ed25519_key", 0o600),
    ("opt/memlab/authorized_keys", "/root/.ssh/authorized_keys", 0o600),
    ("opt/memlab/hostname", "/etc/hostname", 0o644),
)

SSH_UNIT = """\
[Unit]
Description=OpenSSH server, as early as the root file system is there
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=exec
RuntimeDirectory=sshd
RuntimeDirectoryMode=0755
ExecStart=/usr/sbin/sshd -D
KillMode=process
Restart=on-failure
"""

SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin prohibit-password
PrintLastLog no
PrintMotd no
UseDNS no
UsePAM no
"""


def overlay():
    """Path to content of the files that make an image a tuned guest; a ``str`` starting with ``->`` is a symbolic link's target."""
    files = {
        "etc/fstab": "",
        "etc/modprobe.d/memlab-testbed.conf": "".join("blacklist %s\n" % name for name in BLACKLISTED_MODULES),
        "etc/ssh/sshd_config.d/10-memlab-testbed.conf": SSHD_CONFIG,
        "etc/systemd/journald.conf.d/10-memlab-testbed.conf": "[Journal]\nStorage=volatile\n",
        "etc/systemd/system/ssh.service": SSH_UNIT,
        "etc/systemd/system/sysinit.target.wants/ssh.service": "->/etc/systemd/system/ssh.service",
        "etc/systemd/system/default.target": "->/usr/lib/systemd/system/multi-user.target",
        "root/.ssh/authorized_keys": "",
        bytecode.FILES[0]: inspect.getsource(bytecode),
        bytecode.FILES[1]: bytecode.START,
    }
    for unit in MASKED_UNITS:
        files["etc/systemd/system/" + unit] = "->/dev/null"
    for generator in MASKED_GENERATORS:
        files["etc/systemd/system-generators/" + generator] = "->/dev/null"
    return files


def archive_of(files):
    """Files as :func:`overlay` returns them as a tar archive (bytes); they belong to root and carry no date of today."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo("./" + name)
            member.uname = member.gname = "root"
            if content.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:]
                archive.addfile(member)
            else:
                data = content.encode("utf-8")
                member.size, member.mode = len(data), 0o600 if name.startswith("root/") else 0o644
                archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def initrd(tree, release):
    """A cpio archive (bytes) that finds the root, sets the network up, puts the guest's keys in place and starts systemd.

    :arg tree: directory of the guest's root file system.
    :arg release: kernel release whose modules to take.
    Raises :class:`TestbedError` when the image lacks a module or busybox.
    """
    modules = module_order(tree, release)
    busybox = os.path.join(tree, "usr/bin/busybox")
    if not os.path.isfile(busybox):
        busybox = os.path.join(tree, "bin/busybox")
    entries = [(name, 0o040755, b"") for name in ("bin", "dev", "lib", "proc", "root", "sys")]
    entries.append(("bin/busybox", 0o100755, _content(busybox)))
    for path in modules:
        entries.append(("lib/" + _plain_name(path), 0o100644, _content(os.path.join(tree, "usr/lib/modules", release, path))))
    entries.append(("init", 0o100755, initrd_script([_plain_name(path) for path in modules]).encode("ascii")))
    return cpio(entries)


def module_order(tree, release):
    """Module paths below ``lib/modules/RELEASE`` in an order that ``insmod`` can take, dependencies first.

    Read from ``modules.dep``; a module that is built in needs nothing and is left out.
    """
    directory = os.path.join(tree, "usr/lib/modules", release)
    dependencies, paths = {}, {}
    for line in _content(os.path.join(directory, "modules.dep")).decode("ascii").splitlines():
        path, colon, needs = line.partition(":")
        dependencies[path] = needs.split()
        paths[_module_name(path)] = path
    built_in = {_module_name(line) for line in _content(os.path.join(directory, "modules.builtin")).decode("ascii").splitlines()}
    wanted = list(INITRD_MODULES)
    # ext4 asks the crypto layer for crc32c by name (kernels before 6.16): modules.dep does not know.
    for name in ("crc32c_generic",):
        if name in paths:
            wanted.insert(0, name)
    order = []
    for name in wanted:
        if name in paths:
            for path in reversed(dependencies[paths[name]]):
                if path not in order:
                    order.append(path)
            if paths[name] not in order:
                order.append(paths[name])
        elif name not in built_in:
            raise TestbedError("kernel %s of the image has no module %s" % (release, name), remedy="choose a kernel package with virtio and ext4")
    return order


def _module_name(path):
    return posixpath.basename(path).split(".ko")[0].replace("-", "_")


def _plain_name(path):
    return posixpath.basename(path).split(".ko")[0] + ".ko"


def _content(path):
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        return lzma.decompress(data) if path.endswith(".xz") else data
    except (OSError, lzma.LZMAError) as exc:
        raise TestbedError("the image has no readable %s (%s)" % (os.path.basename(path), getattr(exc, "strerror", None) or exc))


def initrd_script(modules):
    """The initrd's ``/init``: load the named modules, set the network up, mount the root, put the given files in place, go on."""
    lines = ["#!/bin/busybox sh", "b=/bin/busybox", "$b mount -t devtmpfs dev /dev", "$b mount -t proc proc /proc", "$b mount -t sysfs sys /sys"]
    lines.append("case \" $($b cat /proc/cmdline) \" in *\" %s \"*) $b poweroff -f;; esac" % PROBE_PARAMETER)
    lines += ["$b insmod /lib/%s" % name for name in modules]
    lines += ["$b ip %s" % words for words in network()]
    lines.append("$b mount -t ext4 -o rw /dev/vda /root || exec $b sh -c 'echo \"no root file system on /dev/vda\"; $b reboot -f'")
    lines += give("$b ", "/root")
    lines += ["$b mount --move /%s /root/%s" % (name, name) for name in ("dev", "proc", "sys")]
    lines.append("exec $b switch_root /root /sbin/init")
    return "\n".join(lines) + "\n"


def network():
    """Words for ip(8), a call each, that set the guest's network up."""
    return ("link set lo up", "addr add %s dev eth0" % ADDRESS, "link set eth0 up", "route add default via %s" % GATEWAY)


def give(tool, root):
    """Shell lines that put :data:`GIVEN_FILES` in their places below ``root``. :arg tool: what stands before ``cat`` and ``chmod``."""
    lines = []
    for name, path, mode in GIVEN_FILES:
        source = "/sys/firmware/qemu_fw_cfg/by_name/%s/raw" % name
        lines.append("[ ! -e %s ] || { %scat %s > %s%s; %schmod %o %s%s; }" % (source, tool, source, root, path, tool, mode, root, path))
    return lines


def cpio(entries):
    """A "newc" archive (Documentation/driver-api/early-userspace/buffer-format.rst) of (name, mode, content) entries, all owned by root."""
    stream = io.BytesIO()
    for number, (name, mode, content) in enumerate(list(entries) + [("TRAILER!!!", 0, b"")], start=1):
        encoded = name.encode("ascii") + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0]
        stream.write(b"070701" + b"".join(b"%08X" % field for field in fields))
        for part in (encoded, content):
            stream.write(part)
            stream.write(b"\0" * (-stream.tell() % 4))
    return stream.getvalue()
