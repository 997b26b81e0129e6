# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a namespace or a dax device holds, and the refusal to lose it.

Signatures are wipefs' word (libblkid: file systems, partition tables, LVM, md, swap, ...). It has none for the kernel's own info blocks, nor can it read
a devdax device: those are read here. Contents without a signature are sampled: see :func:`sample_pages` for what that can miss.
"""
from __future__ import annotations

import collections
import json
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax, nvdimm
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import MEMORY, block_size, read_blocks

BLOCK = "/sys/class/block"
NVMET = "/sys/kernel/config/nvmet/subsystems"
SCSI_TARGETS = "/sys/kernel/config/target/core"
PAGE = 4096
SAMPLES = 4096

# drivers/nvdimm/{btt,pfn}.h: the first bytes of an info block, by what wrote it
INFO_BLOCKS = {b"BTT_ARENA_INFO\0\0": "sector (btt)", b"NVDIMM_PFN_INFO\0": "fsdax (pfn)", b"NVDIMM_DAX_INFO\0": "devdax (dax)"}
WORDS = {"LVM2_member": "LVM physical volume", "linux_raid_member": "member of an md array", "PMBR": "protective MBR"}

# what was found, in words; True: in use, so that no permission helps
Finding = collections.namedtuple("Finding", "text in_use")


def look(host, device):
    """Everything found on one namespace (``namespace1.0``) or dax device (``dax1.0``, as below ``/sys/bus/dax``): list of :class:`Finding`.

    A namespace is looked at with its label: a name counts. A dax device is looked at for its contents alone: a change of its driver leaves the label as it is.
    The info block of the namespace's own mode does not count. What cannot be read counts as data; not so with memory that is not persistent and that no
    driver has: it holds nothing for anybody who could come back for it. Nor does it count what a device holds as system RAM.
    """
    if not device.startswith("namespace"):
        return _dax(host, device, nvdimm.namespace_of_dax(host, device) is not None)
    namespace = next((entry for entry in nvdimm.namespaces(host) if entry.name == device), None)
    if namespace is None:
        raise TestbedError("the namespace %s is gone" % device)
    found = [Finding("a label with the name %s" % json.dumps(namespace.label), False)] if namespace.label else []
    if not namespace.enabled or namespace.device is None:
        return found + [Finding("contents that cannot be read: the namespace is disabled", False)]
    if namespace.mode == "devdax":
        claim = "%s/%s" % (nvdimm.BUS, namespace.holder)
        names = [name for name in host.listdir(claim) if re.fullmatch(r"dax[0-9]+\.[0-9]+", name)]
        return found + [finding for name in names for finding in _dax(host, name, True)]
    return found + _block(host, namespace.device, namespace.mode == "raw")


def refuse_loss(host, device, who, allow=False, doing="change"):
    """Raise :class:`TestbedError`, listing everything found, unless ``device`` holds nothing, or what it holds may be lost.

    To be called before the first change, in check mode too: nothing is changed here.

    :arg device: the kernel's name now, of a namespace (``namespace1.0``) or of a dax device below ``/sys/bus/dax`` (``dax1.0``).
    :arg who: how the error is to call it, such as ``namespace "data"``.
    :arg allow: what the task says in ``allow_data_loss``. What is open, mapped, mounted, swapped to, held by another device, or online as memory
        is refused all the same.
    :arg doing: what was about to be done, for the error: ``change``, ``remove``.
    Returns what is about to be lost, lines for the module's answer; empty when there is nothing.
    """
    found = look(host, device)
    lines = ["found: %s" % finding.text for finding in found]
    if any(finding.in_use for finding in found):
        raise TestbedError("will not %s %s: it is in use" % (doing, who), details=lines, remedy="end that use first; allow_data_loss does not help here",
                           any_kernel=True)
    if found and not allow:
        raise TestbedError("will not %s %s: it holds data" % (doing, who), details=lines, remedy="say allow_data_loss: true if all of that may be lost",
                           any_kernel=True)
    return [finding.text for finding in found]


def refuse_use(host, device, who, doing):
    """For what this call has just made or enabled and is about to take back: nobody may have begun to use it. Raises :class:`TestbedError`."""
    lines = ["found: %s" % finding.text for finding in look(host, device) if finding.in_use]
    if lines:
        raise TestbedError("will not %s %s: it is in use by now" % (doing, who), details=lines, remedy="it stays as this call has made it")


# block devices


def _block(host, name, raw):
    parts = [entry for entry in host.listdir("%s/%s" % (BLOCK, name)) if host.exists("%s/%s/%s/partition" % (BLOCK, name, entry))]
    names = [name] + parts
    held = [Finding(text, False) for entry in names for text in signatures(host, "/dev/" + entry, "" if entry == name else " in partition %s" % entry)]
    if raw:
        held += [Finding("an info block of mode %s" % mode, False) for mode in info_blocks(host, "/dev/" + name)]
    held = held or _samples(host, name, nvdimm.number(host, "%s/%s/size" % (BLOCK, name)), 512, False)
    # The last look, because reading takes its time.
    used = _uses(host, names)
    if not used and host.is_claimed("/dev/" + name):
        used = ["the kernel, which holds %s for one user alone" % name]
    return [Finding("in use by %s" % text, True) for text in used] + held


def signatures(host, path, where=""):
    """Signatures that wipefs finds, in words. ``wipefs --no-act`` only reads. Raises :class:`TestbedError`."""
    return ["%s%s" % (text, where) for text in parse_wipefs(host.run(["wipefs", "--no-act", "--json", path]))]


def parse_wipefs(text):
    """``wipefs --json`` (util-linux 2.33 to 2.41) -> a list of lines such as ``ext4 with the label "store"``, each once. Raises :class:`TestbedError`."""
    try:
        entries = json.loads(text)["signatures"] if text.strip() else []
        found = []
        for entry in entries:
            kind = str(entry["type"])
            words = WORDS.get(kind) or (kind + " partition table" if kind in ("gpt", "dos", "sgi", "sun", "mac", "bsd") else kind)
            if entry.get("label"):
                words += " with the label %s" % json.dumps(str(entry["label"]))
            if entry.get("uuid"):
                words += " (%s)" % entry["uuid"]
            if words not in found:
                found.append(words)
        return found
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TestbedError("wipefs answered something that is not its list of signatures", details=text.splitlines()[:3])


def info_blocks(host, path):
    """Modes whose info block is on a raw namespace: at its start, or, as a btt keeps a second one, at its end. Raises :class:`TestbedError`."""
    found = []
    try:
        with host.open_binary(path) as stream:
            for place in (0, PAGE, stream.size() - PAGE):
                mode = INFO_BLOCKS.get(stream.read_at(place, 16))
                if mode and mode not in found:
                    found.append(mode)
    except OSError as exc:
        raise TestbedError("cannot read %s (%s)" % (path, exc.strerror))
    return found


# who uses it


def _uses(host, names):
    """Who uses these block devices, in words."""
    numbers = {}
    for name in names:
        text = host.read_optional("%s/%s/dev" % (BLOCK, name))
        if text:
            numbers[text] = name
    devices = [("block", text) for text in numbers]
    found = ["a file system mounted on %s" % place for place in mounts(host, numbers)]
    for line in (host.read_optional("/proc/swaps") or "").splitlines()[1:]:
        if os.path.basename(line.split()[0]) in names:
            found.append("swap on %s" % line.split()[0])
    for name in names:
        for holder in host.listdir("%s/%s/holders" % (BLOCK, name)):
            found.append("the device %s on %s" % (host.read_optional("%s/%s/dm/name" % (BLOCK, holder)) or holder, name))
    for name in host.listdir(BLOCK):
        backing = host.read_optional("%s/%s/loop/backing_file" % (BLOCK, name))
        if backing and (os.path.dirname(backing) == "/dev" and os.path.basename(backing) in names or host.device_number(backing) in devices):
            found.append("the loop device %s" % name)
    return found + _exports(host, devices) + _users(host, devices)


def _exports(host, devices):
    """Kernel targets that serve a device to other machines: they have no process, and nvmet does not claim the device either."""
    found = []
    for subsystem in host.listdir(NVMET):
        for number in host.listdir("%s/%s/namespaces" % (NVMET, subsystem)):
            base = "%s/%s/namespaces/%s" % (NVMET, subsystem, number)
            if host.read_optional(base + "/enable") == "1" and host.device_number(host.read_optional(base + "/device_path") or "") in devices:
                found.append("namespace %s of the NVMe target %s" % (number, subsystem))
    for backend in host.listdir(SCSI_TARGETS):
        for name in host.listdir("%s/%s" % (SCSI_TARGETS, backend)):
            base = "%s/%s/%s" % (SCSI_TARGETS, backend, name)
            if host.read_optional(base + "/enable") == "1" and host.device_number(host.read_optional(base + "/udev_path") or "") in devices:
                found.append("the SCSI target's %s %s" % (backend, name))
    return found


def mounts(host, numbers):
    """Mount points of the devices ``major:minor``, in any process's mount namespace, each once."""
    found = []
    for process in _processes(host):
        for line in (host.read_optional("/proc/%s/mountinfo" % process) or "").splitlines():
            words = line.split()
            # its number, its parent's, major:minor, root, mount point; btrfs shows a number of its own, and the device behind the dash
            source = words[words.index("-") + 2] if "-" in words[:-2] else ""
            if len(words) > 4 and (words[2] in numbers or os.path.basename(source) in numbers.values() and source.startswith("/dev/")):
                if words[4] not in found:
                    found.append(words[4])
    return found


def _processes(host):
    return [name for name in host.listdir("/proc", ordered=False) if name.isdecimal()]


def _users(host, devices):
    """Processes that have one of ``devices`` open or mapped. udev looks at each new device for a moment: who is gone within two seconds is not named."""
    found = []

    def gone():
        found[:] = users(host, devices)
        return not found

    try:
        host.wait_until(gone, "end of use", timeout=2.0, interval=0.1)
    except TestbedError:
        pass  # what is left is the answer
    return found


def users(host, devices):
    """Processes, other than this one, that have one of ``devices`` (``("block" or "char", "major:minor")``) open or mapped, in words."""
    found = []
    for process in _processes(host):
        if int(process) == os.getpid():
            continue
        # Of a process whose first thread has ended the others tell, by numbers that /proc does not list.
        ended = not host.listdir("/proc/%s/fd" % process, ordered=False)
        tasks = [process] + (host.listdir("/proc/%s/task" % process, ordered=False) if ended else [])
        opened = any(host.device_number("/proc/%s/fd/%s" % (task, number)) in devices
                     for task in tasks for number in host.listdir("/proc/%s/fd" % task, ordered=False))
        mapped = any(_maps(host, "/proc/" + task, devices) for task in tasks)
        how = [word for word, true in (("open", opened), ("mapped", mapped)) if true]
        if how:
            found.append("process %s (%s), which has it %s" % (process, host.read_optional("/proc/%s/comm" % process) or "?", " and ".join(how)))
    return found


def _maps(host, base, devices):
    seen = set()
    for line in (host.read_optional(base + "/maps") or "").splitlines():
        words = line.split(None, 5)
        # range, permissions, offset, device and inode of the file; the same file is asked about once
        if len(words) < 6 or words[4] == "0" or (words[3], words[4]) in seen:
            continue
        seen.add((words[3], words[4]))
        place = "-".join("%x" % int(end, 16) for end in words[0].split("-"))
        if host.device_number("%s/map_files/%s" % (base, place)) in devices:
            return True
    return False


# dax devices


def _dax(host, name, persistent):
    base = "%s/devices/%s" % (dax.BUS, name)
    driver = host.link_name(base + "/driver")
    # Memory can stay online although kmem has let go of the device.
    hotplug = host.exists(MEMORY + "/block_size_bytes")
    blocks = read_blocks(host, dax.whole_blocks(dax.read(host, name), block_size(host))[0]) if hotplug else {}
    online = [block for block in blocks.values() if block.online]
    if online:
        return [Finding("in use as system RAM: %d of its %d memory blocks are online, %d is the first" % (len(online), len(blocks), online[0].id), True)]
    if driver == "kmem":
        return []
    if driver is None:
        # nor does anybody use it: what was open or mapped died with the driver (drivers/dax/bus.c:kill_dev_dax, 6.1 to 7.3)
        return [Finding("contents that cannot be read: no driver has %s" % name, False)] if persistent else []
    held = _samples(host, name, nvdimm.number(host, base + "/size"), 1, True)
    # The last look, because reading takes its time.
    number = host.read_optional(base + "/dev")
    return [Finding("in use by %s" % text, True) for text in (_users(host, [("char", number)]) if number else [])] + held


# contents without a signature


def sample_pages(pages, samples=SAMPLES):
    """Numbers of the pages to look at, ascending: all of a small device, else two in each of ``samples`` equal stretches, and the last.

    One is the stretch's first page, where file systems and databases with round numbers put things, one is off such places. What is written only between
    them goes unseen: on a device of 1 TiB, less than 256 MiB that are all in one stretch; up to 32 MiB nothing goes unseen.
    """
    if pages <= 2 * samples:
        return range(pages)
    chosen = {pages - 1}
    for number in range(samples):
        first, end = number * pages // samples, (number + 1) * pages // samples
        chosen.update((first, first + (end - first) * 618 // 1000))
    return sorted(chosen)


def _samples(host, name, size, unit, mapped):
    if not size:
        return [Finding("contents that cannot be read: the size of %s is not known" % name, False)]
    # A last page that is not whole is looked at with the one before it.
    places = [page * PAGE for page in sample_pages(size * unit // PAGE)] + ([size * unit - PAGE] if size * unit % PAGE and size * unit > PAGE else [])
    try:
        filled = host.first_filled("/dev/" + name, places, PAGE, size * unit if mapped else None)
    except OSError as exc:
        return [Finding("contents that cannot be read (%s)" % exc.strerror, False)]
    if filled is None:
        return []
    return [Finding("bytes that are not zero, at %#x and perhaps elsewhere, without a known signature" % filled, False)]
