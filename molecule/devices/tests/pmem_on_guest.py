# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run in the guest: its namespaces by its own /sys, what is on them byte for byte, and bytes put there.

Asked by a JSON list in the first argument: ``["state"]``, ``["digest", devices]``, ``["put", device, [[offset, base64 of xz], ...]]``,
``["clear", devices, bytes of each]``, ``["hold", {what: device}]`` with swap, loop, mapped or array, ``["release"]``. A negative offset counts from the
end. Answers with JSON.
"""
from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import hashlib
import json
import lzma
import mmap
import os
import struct
import subprocess
import sys

ND = "/sys/bus/nd/devices/"


def text(path):
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return None


def state():
    """Kernel's name of each namespace to its label's name, mode, bytes, and of what claims it: kind, driver, where its memmap is, device."""
    found = {}
    for path in glob.glob(ND + "namespace*"):
        if int(text(path + "/size")) == 0:
            continue
        holder = text(path + "/holder") if text(path + "/holder") else None
        claim = ND + holder if holder else path
        uses = glob.glob(claim + "/block/*") + [use for use in glob.glob(claim + "/dax[0-9]*") if os.path.exists(use + "/dev")]
        dimm = ND + (text(os.path.dirname(os.path.realpath(path)) + "/mapping0") or "").split(",")[0]
        found[os.path.basename(path)] = {
            "handle": text(dimm + "/nfit/handle"), "cxl": text(dimm + "/cxl/id"), "label": text(path + "/alt_name"), "mode": text(path + "/mode"),
            "size": int(text(path + "/size")), "uuid": text(path + "/uuid"), "claim": holder.rstrip("0123456789.") if holder else None,
            "enabled": os.path.exists(claim + "/driver"), "memmap": text(claim + "/mode") if holder and holder[:3] != "btt" else None,
            "device": os.path.basename(uses[0]) if uses else None}
    return found


def window(device, writable=False):
    descriptor = os.open("/dev/" + device, os.O_RDWR if writable else os.O_RDONLY)
    size = int(text("/sys/bus/dax/devices/%s/size" % device)) if device.startswith("dax") else os.lseek(descriptor, 0, os.SEEK_END)
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))


def digest(devices):
    found = {}
    for device in devices:
        with window(device) as content:
            found[device] = hashlib.sha256(content).hexdigest()
    return found


def put(device, pieces):
    with window(device, True) as content:
        for offset, packed in pieces:
            offset, data = offset % len(content), lzma.decompress(base64.b64decode(packed))
            content[offset:offset + len(data)] = data
        if not device.startswith("dax"):
            content.flush()
    if not device.startswith("dax"):
        os.sync()


def clear(devices, size):
    for device in devices:
        with window(device, True) as content:
            content[:size] = bytes(min(size, len(content)))
    os.sync()


# Who else uses a block device: swap, loop, device-mapper and md, each by the kernel's own interface where the guest has no tool for it.


def write(path, value):
    with open(path, "w", encoding="ascii") as stream:
        stream.write(value)


def mapper(command, target=b""):
    """A device-mapper ioctl for the device memlab-mapped (include/uapi/linux/dm-ioctl.h)."""
    head = struct.pack("<4I2iIIIIQ128s129s7x", 4, 0, 0, 16384, 312, 1 if target else 0, 0, 0, 0, 0, 0, b"memlab-mapped", b"")
    with open("/dev/mapper/control", "rb+", buffering=0) as control:
        fcntl.ioctl(control, 0xc138fd00 | command, bytearray((head + target).ljust(16384, b"\0")))


def hold(wanted):
    for module in ("loop", "dm_mod", "raid1"):
        subprocess.run(["modprobe", module], check=True)
    if "swap" in wanted:
        subprocess.run(["mkswap", "-q", "/dev/" + wanted["swap"]], check=True)
        subprocess.run(["swapon", "/dev/" + wanted["swap"]], check=True)
    if "loop" in wanted:
        subprocess.run(["losetup", "/dev/loop0", "/dev/" + wanted["loop"]], check=True)
    if "mapped" in wanted:
        numbers, sectors = text("/sys/class/block/%s/dev" % wanted["mapped"]), int(text("/sys/class/block/%s/size" % wanted["mapped"]))
        mapper(3)
        mapper(9, struct.pack("<QQiI16s", 0, sectors, 0, 0, b"linear") + ("%s 0" % numbers).encode("ascii").ljust(16, b"\0"))
        mapper(6)
    if "array" in wanted:
        # of one member and without a superblock: nothing is written to it
        write("/sys/module/md_mod/parameters/new_array", "md_memlab")
        base = "/sys/block/md_memlab/md/"
        for name, value in (("metadata_version", "none"), ("level", "raid1"), ("raid_disks", "1"),
                            ("new_dev", text("/sys/class/block/%s/dev" % wanted["array"])), ("dev-%s/slot" % wanted["array"], "0"), ("array_state", "active")):
            write(base + name, value)


def release():
    with contextlib.suppress(OSError):
        write("/sys/block/md_memlab/md/array_state", "clear")
    with contextlib.suppress(OSError):
        mapper(4)
    for command in (["losetup", "-D"], ["swapoff", "-a"]):
        subprocess.run(command, check=True)


asked = json.loads(sys.argv[1])
print(json.dumps({"state": state, "digest": digest, "put": put, "clear": clear, "hold": hold, "release": release}[asked[0]](*asked[1:])))
