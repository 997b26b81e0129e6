# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A testbed that uses every key there is, and a way to load changed ones."""
from __future__ import annotations

import copy
import os
import pathlib
import signal
import struct
import threading
import time

import pytest
import yaml
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import testbed_file

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "inventories" / "emulated" / "testbed.qemu.yml"

COMPLETE = yaml.safe_load("""
plugin: memlab.testbed.qemu
testbed: lab-1
defaults: {cpus: 4}
guests:
  host:
    memory: 3G
    max_memory: 40G
    slots: 4
    image: {suite: trixie, packages: [numactl], kernel_package: linux-image-amd64, backports_kernel: true, loader: qemu}
    kernel_parameters: [memory_hotplug.memmap_on_memory=1, quiet]
    groups: [cxl_hosts]
    vars: {answer: [42, {deep: 1.5}]}
    numa:
      nodes: [{memory: 2G, cpus: [0, 1]}, {memory: 1G, cpus: [2, 3]}, {memory: 0}]
      hmat:
        - {initiator: 0, target: 0, latency: 80, bandwidth: 20G}
        - {initiator: 0, target: 2, latency: 300, bandwidth: 5G}
        - {initiator: 1, target: 2, latency: 200, bandwidth: 5G}
    cxl:
      host_bridges:
        - name: hb0
          root_ports:
            - {name: rp0, device: mem_a}
            - {name: rp1}
        - name: hb1
          root_ports:
            - name: rp2
              switch: {name: sw0, downstream_ports: [{name: dsp0, device: mem_b}, {name: dsp1}]}
            - {name: rp3, device: mem_c}
      memory_devices:
        - {name: mem_a, serial: 0x1, volatile: 256M}
        - {name: mem_b, serial: 0x2, persistent: 256M, label_area: 512K}
        - {name: mem_c, serial: 0x3, volatile: 256M, persistent: 256M}
        - {name: mem_d, serial: 0x4, persistent: 512M}
      windows:
        - {targets: [hb0], size: 4G, granularity: 256}
        - {targets: [hb0, hb1], size: 4G, granularity: 4K}
    nvdimms:
      - {name: nv0, size: 512M, label_area: 256K, node: 2}
      - {name: nv1, size: 16M, label_area: 0}
""")


@pytest.fixture(scope="session")
def example():
    """The testbed file that the README's first command uses."""
    return EXAMPLE


@pytest.fixture(name="complete")
def fixture_complete():
    """The complete testbed as plain data, to be changed by the test."""
    return copy.deepcopy(COMPLETE)


@pytest.fixture(name="load", scope="session")
def fixture_load(tmp_path_factory):
    """``load(data)``: the testbed of a file ``lab.qemu.yml`` holding ``data`` (plain data, or text as it stands)."""
    path = tmp_path_factory.mktemp("testbed") / "lab.qemu.yml"

    def load(data, **options):
        path.write_text(data if isinstance(data, str) else yaml.dump(data, Dumper=DUMPER), encoding="utf-8")
        return testbed_file.load(str(path), **options)
    return load


@pytest.fixture(name="pvh_kernel", scope="session")
def fixture_pvh_kernel():
    """``pvh_kernel(code)``: the least ELF file that QEMU takes as a kernel: 32-bit code in one segment at 1 MiB, and the note that says so."""
    def make(code, base=0x100000):
        note = struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", base)
        header = struct.pack("<4sBBBB8xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 2, 62, 1, base, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        load = struct.pack("<IIQQQQQQ", 1, 7, 4096, base, base, len(code), len(code), 4096)
        notes = struct.pack("<IIQQQQQQ", 4, 4, 176, base + 4096, base + 4096, len(note), len(note), 4)
        return (header + load + notes + note).ljust(4096, b"\0") + code
    return make


@pytest.fixture(name="interrupt")
def fixture_interrupt():
    """``interrupt(number, condition, after)``: have this process sent a signal, ``after`` seconds after ``condition()`` came true.

    Only where somebody handles it: a test that failed early must not end all tests.
    """
    begun = []

    def send(number, condition, after):
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.001)
        threading.Event().wait(after)
        if signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler):
            os.kill(os.getpid(), number)

    def make(number, condition, after=0.0):
        begun.append(threading.Thread(target=send, args=(number, condition, after)))
        begun[-1].start()
    yield make
    for thread in begun:
        thread.join()


@pytest.fixture(name="instead")
def fixture_instead(tmp_path, monkeypatch):
    """``instead(name, script)``: a program that is found before the one of that name."""
    monkeypatch.setenv("PATH", "%s:%s" % (tmp_path / "bin", os.environ["PATH"]))

    def make(name, script):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + script, encoding="ascii")
        path.chmod(0o755)
    return make
