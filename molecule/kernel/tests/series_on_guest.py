# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run in the guest: one dax device to memory and back, over and over, by the kernel's own files; nothing of the collection is there.

Asked by a JSON list in the first argument: what to do, then the dax device's name and what the function takes. Answers with JSON.
"""
from __future__ import annotations

import errno
import json
import os
import re
import struct
import subprocess
import sys
import time

DAX = "/sys/bus/dax"
MEMORY = "/sys/devices/system/memory"
INJECTION = "/sys/kernel/debug/notifier-error-inject/memory/actions/%s/error"
# The whole word of a page of a self-hosted memmap, Linux 6.1 (fs/proc/page.c:stable_page_flags): PG_owner_priv_1 and PG_reserved.
SELF_HOSTED = 0x2100000000


def text(path):
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()


def put(path, value):
    """The errno's name, or ``None``."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, str(value).encode("ascii"))
        finally:
            os.close(descriptor)
    except OSError as exc:
        return errno.errorcode[exc.errno]
    return None


def driver(name):
    link = "%s/devices/%s/driver" % (DAX, name)
    return os.path.basename(os.readlink(link)) if os.path.islink(link) else None


def wanted_blocks(name):
    """Ids of the whole blocks in the device's range."""
    size = int(text(MEMORY + "/block_size_bytes"), 16)
    first, last = (int(text("%s/devices/%s/mapping0/%s" % (DAX, name, end)), 16) for end in ("start", "end"))
    return list(range(-(-first // size), (last + 1) // size))


def blocks(name):
    """Those of them that are there now."""
    return [block for block in wanted_blocks(name) if os.path.isdir("%s/memory%d" % (MEMORY, block))]


def state(block, wanted=None):
    path = "%s/memory%d/state" % (MEMORY, block)
    return text(path) if wanted is None else put(path, wanted)


def bind(name):
    return put(DAX + "/drivers/kmem/bind", name)


def unbind(name):
    return put("%s/drivers/%s/unbind" % (DAX, driver(name)), name)


def knob(name, value):
    return put("%s/devices/%s/memmap_on_memory" % (DAX, name), value)


def self_hosted(block):
    """Pages at the block's start, in one run, whose flags are those of a self-hosted memmap."""
    first = block * int(text(MEMORY + "/block_size_bytes"), 16) // 4096
    with open("/proc/kpageflags", "rb", buffering=0) as stream:
        stream.seek(first * 8)
        words = struct.unpack("<8192Q", stream.read(8 * 8192))
    return next((number for number, word in enumerate(words) if word != SELF_HOSTED), len(words))


def missing_pages(node):
    """Pages of a node that are present and not managed."""
    found = {"present": 0, "managed": 0}
    inside = False
    for line in text("/proc/zoneinfo").splitlines():
        head = re.match(r"Node (\d+),", line)
        inside = int(head.group(1)) == node if head else inside
        figure = re.match(r"\s+(present|managed)\s+(\d+)$", line)
        if inside and figure:
            found[figure.group(1)] += int(figure.group(2))
    return found["present"] - found["managed"]


def udev():
    """Process ids of udev: its manager, and its workers."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and text("/proc/%s/comm" % name).strip("()") in ("systemd-udevd", "udev-worker"):
                found.append(name)
        except OSError:
            pass  # ended while we looked
    return found


def accounts():
    """KiB that are free or hold what programs and files have, in slabs, and in page tables, when caches are as small as they get.

    MemFree knows nothing of the free pages that each processor keeps for itself, huge ones too (mm/page_alloc.c:free_unref_page): a memmap that went
    stays there for a while. udev's workers have memory of the kernel's, too, until it ends those that are idle.
    """
    subprocess.run(["udevadm", "settle", "--timeout=600"], check=True)
    deadline = time.monotonic() + 60
    while len(udev()) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    for unused in range(2):
        put("/proc/sys/vm/drop_caches", 3)
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", text("/proc/meminfo"), re.MULTILINE))
    kept = sum(map(int, re.findall(r"^ +count: +(\d+)$", text("/proc/zoneinfo"), re.MULTILINE)))
    known = 4 * kept + sum(int(found[name]) for name in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"))
    return {"known": known, **{name: int(found[name]) for name in ("SUnreclaim", "PageTables", "Percpu")}}


def log():
    """What the kernel complains of in its log."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    lines = []
    try:
        while True:
            try:
                lines.append(os.read(descriptor, 8192).decode("utf-8", "replace").split(";", 1)[1].splitlines()[0])
            except BrokenPipeError:
                continue
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
    complaints = (r"WARNING: |BUG[: ]|Oops|general protection|stall|soft lockup|cannot be hotremoved|Refuse to remove|Object .* still|Bad page"
                  r"|possible (circular|recursive|irq|unsafe|deadlock)|inconsistent lock|suspicious RCU|Invalid wait context")
    return [line for line in lines if re.search(complaints, line)]


def resources(name):
    """Lines of /proc/iomem that are the device's as memory: what kmem has reserved of it, and the memory in there."""
    return [line.strip() for line in text("/proc/iomem").splitlines() if line.endswith((" : " + name, "System RAM (kmem)"))]


# what is asked


def prepare(name):
    """Take the device from whatever has it, and have kmem know it: ``bind`` says why it fails, ``new_id`` does not."""
    if driver(name):
        unbind(name)
    put(DAX + "/drivers/kmem/new_id", name)
    if driver(name):
        unbind(name)
    return [driver(name), blocks(name)]


def release(name):
    """Off the list of kmem, as before."""
    for block in blocks(name):
        if state(block) == "online":
            state(block, "offline")
    if driver(name):
        unbind(name)
    return [put(DAX + "/drivers/kmem/remove_id", name), blocks(name), put(DAX + "/drivers/device_dax/bind", name)]


def look(name, node):
    """Of each block: state and self-hosted pages; and what the node misses."""
    return {"wanted": wanted_blocks(name), "blocks": {block: [state(block), self_hosted(block)] for block in blocks(name)}, "missing": missing_pages(node),
            "knob": text("%s/devices/%s/memmap_on_memory" % (DAX, name)), "driver": driver(name), "resources": resources(name)}


def cycle(name):
    """Bind, online, offline, unbind. Returns what went wrong."""
    wrong = [("bind", bind(name))]
    found = blocks(name)
    if found != wanted_blocks(name):
        wrong.append(("blocks", found))
    wrong += [("online %d" % block, state(block, "online_movable")) for block in found]
    wrong += [("offline %d" % block, state(block, "offline")) for block in found]
    wrong.append(("unbind", unbind(name)))
    return [entry for entry in wrong if entry[1]] + ([("left", blocks(name))] if blocks(name) else [])


def cycles(name, value, count):
    """Many cycles with the knob at a value: what went wrong, and the accounts before and after; the first ones warm the caches up."""
    wrong = [knob(name, value)] if knob(name, value) else []
    for unused in range(3):
        wrong += cycle(name)
    before, complaints = accounts(), log()
    for unused in range(count):
        wrong += cycle(name)
    return {"wrong": wrong, "before": before, "after": accounts(), "log": log()[len(complaints):]}


def failing(name, value, node):
    """The notifier fails the block in the middle, going online and going offline; every state is looked at. The device ends unbound."""
    knob(name, value)
    seen = {"bind": bind(name)}
    found = blocks(name)
    middle = found[len(found) // 2]
    base = missing_pages(node)
    for action, wanted, number in (("MEM_GOING_ONLINE", "online_movable", 12), ("MEM_GOING_OFFLINE", "offline", 16)):
        errors = {}
        for block in found:
            if block == middle:
                put(INJECTION % action, -number)
            errors[block] = state(block, wanted)
            if block == middle:
                put(INJECTION % action, 0)
        seen[action] = {"errors": errors, "states": {block: state(block) for block in found}, "missing": missing_pages(node) - base,
                        "again": state(middle, wanted), "then": state(middle), "missing then": missing_pages(node) - base}
    seen.update(middle=middle, unbind=unbind(name), left=blocks(name), resources=resources(name))
    return seen


def placed(name, value, node):
    """The device as memory, all of its blocks online: how it looks, and what the node misses more than before."""
    before = missing_pages(node)
    wrong = [error for error in (knob(name, value), bind(name)) if error]
    wrong += [error for error in [state(block, "online_movable") for block in blocks(name)] if error]
    found = look(name, node)
    return dict(found, wrong=wrong, more=found["missing"] - before)


def failing_add(name, value, first, step, most):
    """Binding, with the N-th slab allocation of the task failing (Documentation/fault-injection/fault-injection.rst, fail-nth), for N from ``first`` on by
    ``step`` until no allocation is left to fail. Returns for each N: the errno's name, and what is left of a bind that failed or missing of one that did not.
    """
    for entry, setting in (("ignore-gfp-wait", "N"), ("verbose", 0)):
        put("/sys/kernel/debug/failslab/" + entry, setting)
    # whole pages not: arch/x86/mm/init_64.c of 6.1 follows a null pointer where a page table of the direct map cannot be allocated
    put("/sys/kernel/debug/fail_page_alloc/min-order", 11)
    knob(name, value)
    everything, seen = wanted_blocks(name), []
    for number in range(first, most, step):
        nth = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        target = os.open(DAX + "/drivers/kmem/bind", os.O_WRONLY)
        error = None
        os.write(nth, str(number).encode("ascii"))
        try:
            os.write(target, name.encode("ascii"))
        except OSError as exc:
            error = errno.errorcode[exc.errno]
        injected = int(os.pread(nth, 20, 0).split()[0].rstrip(b"\0")) == 0
        os.write(nth, b"0")
        os.close(target)
        os.close(nth)
        there, bound = blocks(name), driver(name)
        if bound:
            for block in there:
                if state(block) == "online":
                    state(block, "offline")
            unbind(name)
        seen.append([number, error, bound, len(there), len(blocks(name)), len([line for line in resources(name) if line.endswith(" : " + name)])])
        if not injected:
            break
    return {"blocks": len(everything), "seen": seen, "injected": injected}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(globals()[asked[0]](*asked[1:])))
