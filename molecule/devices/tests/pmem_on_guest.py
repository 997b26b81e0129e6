# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run in the guest: its namespaces by its own /sys, what is on them byte for byte, and bytes put there.

Asked by a JSON list in the first argument: ``["state"]``, ``["digest", devices]``, ``["put", device, [[offset, base64 of xz], ...]]``,
``["clear", devices, bytes of each]``. A negative offset counts from the end. Answers with JSON.
"""
from __future__ import annotations

import base64
import glob
import hashlib
import json
import lzma
import mmap
import os
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


asked = json.loads(sys.argv[1])
print(json.dumps({"state": state, "digest": digest, "put": put, "clear": clear}[asked[0]](*asked[1:])))
