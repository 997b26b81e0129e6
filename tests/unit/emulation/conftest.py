# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A testbed that uses every key there is, and a way to load changed ones."""
from __future__ import annotations

import copy
import pathlib

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
    image: {suite: trixie, packages: [numactl], kernel_package: linux-image-amd64, backports_kernel: true}
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
