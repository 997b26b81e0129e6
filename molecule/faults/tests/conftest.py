# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs that disturb, run in the guest."""
from __future__ import annotations

import pytest

# What both begin with: pages of this process come from node argv[1].
_BOUND = r"""
import ctypes, fcntl, mmap, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)

def bind(node):
    mask = ctypes.c_ulong(1 << node)
    assert libc.syscall(238, 2, ctypes.byref(mask), 64) == 0

def let_go():
    assert libc.syscall(238, 0, None, 0) == 0
"""

# Kernel memory: 32 MiB in pipes, and one pipe more, as each keeps a page or two when it is emptied. The pipes are made and were full before, and the node is
# let go of at once, so that nothing else of the kernel's comes from there: a slab page that other processes' objects get into stays.
PIPES = _BOUND + r"""
pipes = [os.pipe() for unused in range(33)]
for reader, writer in pipes:
    fcntl.fcntl(writer, 1031, 1 << 20)
data = b"x" * (1 << 20)
for reader, writer in pipes:
    os.write(writer, data)
    os.read(reader, len(data))
bind(int(sys.argv[1]))
for reader, writer in pipes:
    os.write(writer, data)
let_go()
print("ready", flush=True)
time.sleep(600)
"""

# Pages of this process that a pipe holds, so that they cannot be moved for as long as it is open.
PINNED = _BOUND + r"""
bind(int(sys.argv[1]))
pages = mmap.mmap(-1, 64 * 4096)
pages.write(b"x" * len(pages))
let_go()

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

reader, writer = os.pipe()
vector = Vector(ctypes.addressof((ctypes.c_char * len(pages)).from_buffer(pages)), 8 * 4096)
assert libc.vmsplice(writer, ctypes.byref(vector), 1, 0) == 8 * 4096
print("ready", flush=True)
time.sleep(600)
"""

# Waits for a block to be online, then runs a command.
ONCE_ONLINE = r"""
import subprocess, sys, time
print("ready", flush=True)
while open("/sys/devices/system/memory/memory%s/state" % sys.argv[1]).read().strip() != "online":
    time.sleep(0.02)
subprocess.call(sys.argv[2], shell=True)
"""

# Waits until a module holds the policy of new memory back, then runs a command.
ONCE_HELD = r"""
import subprocess, sys
print("ready", flush=True)
while open("/sys/devices/system/memory/auto_online_blocks").read().strip() != "offline":
    pass
subprocess.call(sys.argv[1], shell=True)
"""

# A process that may have 8 MiB, and takes more when a block is online. All else is done before.
OUT_OF_MEMORY = r"""
import os, sys, time
os.chdir("/sys/fs/cgroup")
os.makedirs("small", exist_ok=True)
for name, value in (("cgroup.subtree_control", "+memory"), ("small/memory.max", "8M"), ("small/cgroup.procs", os.getpid())):
    with open(name, "w") as stream:
        stream.write(str(value))
print("ready", flush=True)
while open("/sys/devices/system/memory/memory%s/state" % sys.argv[1]).read().strip() != "online":
    time.sleep(0.02)
bytearray(1 << 27)
"""


class Programs:
    out_of_memory = OUT_OF_MEMORY
    pipes, pinned, once_online, once_held = PIPES, PINNED, ONCE_ONLINE, ONCE_HELD


@pytest.fixture(scope="session", name="programs")
def the_programs():
    return Programs
