# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a namespace or dax device holds."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.devices import contents
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.synthetic.nvdimms import BUS, MIB, NdHost

# as util-linux 2.41 prints it on a guest
WIPEFS = """{
   "signatures": [
      {
         "device": "pmem2",
         "offset": "0x438",
         "type": "ext4",
         "uuid": "1c1dcb1b-5fb5-461e-9f9e-4534e0558b51",
         "label": "store"
      },{
         "device": "pmem2",
         "offset": "0x218",
         "type": "LVM2_member",
         "uuid": "abcdef",
         "label": null
      },{
         "device": "pmem2",
         "offset": "0x200",
         "type": "gpt",
         "uuid": "02",
         "label": null
      },{
         "device": "pmem2",
         "offset": "0x17ffe00",
         "type": "gpt",
         "uuid": "02",
         "label": null
      }
   ]
}
"""


def test_signatures_in_words():
    assert contents.parse_wipefs(WIPEFS) == ['ext4 with the label "store" (1c1dcb1b-5fb5-461e-9f9e-4534e0558b51)', "LVM physical volume (abcdef)",
                                             "gpt partition table (02)"]
    assert contents.parse_wipefs('{\n   "signatures": [\n\n   ]\n}\n') == contents.parse_wipefs("") == []


@given(st.one_of(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["signatures", "type", "label", "uuid"]), inner)).map(json.dumps)))
def test_any_answer_of_wipefs_is_understood_or_refused(text):
    try:
        assert all(isinstance(line, str) for line in contents.parse_wipefs(text))
    except TestbedError as exc:
        assert "wipefs" in exc.summary


@given(st.integers(min_value=1, max_value=1 << 32), st.integers(min_value=1, max_value=64))
def test_samples_cover_the_whole_device(pages, samples):
    chosen = list(contents.sample_pages(pages, samples))
    assert chosen == sorted(set(chosen)) and chosen[0] == 0 and chosen[-1] == pages - 1
    gaps = [after - before for before, after in zip(chosen, chosen[1:])]
    assert max(gaps, default=1) <= pages * 0.62 / samples + 2
    if pages <= 2 * samples:
        assert len(chosen) == pages


@pytest.fixture(name="pmem")
def booted(tmp_path):
    return NdHost(tmp_path)


def texts(host, device):
    return [finding.text for finding in contents.look(host, device)]


def test_nothing_is_nothing(pmem):
    assert contents.look(pmem, "namespace3.0") == []
    assert contents.refuse_loss(pmem, "namespace3.0", "it") == []


def test_a_refusal_lists_everything(pmem):
    pmem.content["pmem3.0"] = WIPEFS
    with pytest.raises(TestbedError) as caught:
        contents.refuse_loss(pmem, "namespace3.0", "the namespace", doing="remove")
    assert str(caught.value).splitlines() == [
        "will not remove the namespace: it holds data: say allow_data_loss: true if all of that may be lost",
        'found: ext4 with the label "store" (1c1dcb1b-5fb5-461e-9f9e-4534e0558b51)', "found: LVM physical volume (abcdef)", "found: gpt partition table (02)"]
    assert len(contents.refuse_loss(pmem, "namespace3.0", "the namespace", allow=True)) == 3


@pytest.mark.parametrize("name, text, said", [
    ("/proc/1/mountinfo", "36 25 259:0 / /srv rw - ext4 /dev/pmem3.0 rw", "a file system mounted on /srv"),
    ("/proc/77/mountinfo", "36 25 0:33 / /in/a/container rw shared:1 - btrfs /dev/pmem3.0 rw", "a file system mounted on /in/a/container"),
    ("/proc/swaps", "Filename Type Size Used Priority\n/dev/pmem3.0 partition 1 0 -2", "swap on /dev/pmem3.0"),
    ("/sys/class/block/pmem3.0/holders/dm-0", "", "the device dm-0 on pmem3.0"),
    ("/sys/class/block/loop0/loop/backing_file", "/dev/pmem3.0", "the loop device loop0"),
    ("/sys/class/block/loop0/loop/backing_file", "/srv/node", "the loop device loop0"),
    ("/sys/kernel/config/nvmet/subsystems/nqn.lab/namespaces/1/device_path", "/srv/node", "namespace 1 of the NVMe target nqn.lab"),
    ("/sys/kernel/config/target/core/fileio_0/scratch/udev_path", "/srv/node", "the SCSI target's fileio_0 scratch"),
])
def test_use_is_never_allowed(pmem, name, text, said):
    pmem.put(name, text)
    pmem.put(os.path.dirname(name) + "/enable", "1")
    pmem.device_number = {"/srv/node": ("block", "259:0")}.get
    for allow in (False, True):
        with pytest.raises(TestbedError, match="will not change it: it is in use: .*does not help(?s:.*)found: in use by %s" % said):
            contents.refuse_loss(pmem, "namespace3.0", "it", allow)


def test_partitions_are_looked_at_too(pmem):
    pmem.put("/sys/class/block/pmem3.0/pmem3.0p1/partition", "1")
    pmem.content["pmem3.0p1"] = WIPEFS
    assert texts(pmem, "namespace3.0")[1] == "LVM physical volume (abcdef) in partition pmem3.0p1"


@pytest.mark.parametrize("place, magic, mode", [(4096, b"NVDIMM_PFN_INFO\0", "fsdax (pfn)"), (4096, b"NVDIMM_DAX_INFO\0", "devdax (dax)"),
                                                (0, b"BTT_ARENA_INFO\0\0", "sector (btt)"), (MIB - 4096, b"BTT_ARENA_INFO\0\0", "sector (btt)")])
def test_the_info_block_of_another_mode(pmem, place, magic, mode):
    with pmem.open_binary("/dev/pmem3.0"):
        pass
    with open(pmem.path("/dev/pmem3.0"), "r+b") as stream:
        stream.seek(place)
        stream.write(magic)
    assert texts(pmem, "namespace3.0") == ["an info block of mode %s" % mode]


def test_what_cannot_be_read_counts(pmem):
    pmem.run(["ndctl", "disable-namespace", "namespace3.0"])
    assert texts(pmem, "namespace3.0") == ["contents that cannot be read: the namespace is disabled"]

    def broken(*unused):
        raise OSError(5, "Input/output error")

    pmem.run(["ndctl", "enable-namespace", "namespace3.0"])
    pmem.first_filled = broken
    assert texts(pmem, "namespace3.0") == ["contents that cannot be read (Input/output error)"]


def test_use_that_begins_while_contents_are_read_is_seen(pmem):
    pmem.first_filled = lambda *unused: pmem.put("/proc/1/mountinfo", "36 25 259:0 / /srv rw - ext4 /dev/pmem3.0 rw")
    assert texts(pmem, "namespace3.0") == ["in use by a file system mounted on /srv"]


def test_a_dax_device_is_looked_at_without_its_label(pmem):
    pmem.run(["ndctl", "create-namespace", "--region", "region1", "--size", str(64 * MIB), "--uuid", "1", "--name", "ram", "--mode", "devdax"])
    assert (texts(pmem, "namespace1.0"), texts(pmem, "dax1.0")) == (['a label with the name "ram"'], [])
    pmem.filled["dax1.0"] = 8192
    assert texts(pmem, "dax1.0") == ["bytes that are not zero, at 0x2000 and perhaps elsewhere, without a known signature"]
    os.unlink(pmem.path("/sys/bus/dax/devices/dax1.0/driver"))
    assert texts(pmem, "dax1.0") == ["contents that cannot be read: no driver has dax1.0"]
    assert pmem.read(BUS + "/dax1.0/namespace") == "namespace1.0"


# the machine the tests run on


def test_bytes_are_found_by_reading_and_by_mapping(tmp_path):
    path = tmp_path / "device"
    path.write_bytes(bytes(3 * 4096) + b"x" + bytes(4095))
    offsets = range(0, 4 * 4096, 4096)
    for mapped in (None, 4 * 4096):
        assert Host().first_filled(str(path), offsets, 4096, mapped) == 3 * 4096
        assert Host().first_filled(str(path), offsets[:3], 4096, mapped) is None
    with pytest.raises(OSError):
        Host().first_filled(str(path), [0], 4096, 1 << 20)  # more than there is to map
    with pytest.raises(FileNotFoundError):
        Host().first_filled(str(path) + "2", offsets, 4096)


def test_processes_that_have_a_device_open():
    number = Host().device_number("/dev/zero")
    assert number == ("char", "1:5")
    code = "f = open('/dev/zero'); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        found = contents.users(Host(), [number])
        running.communicate(b"\n")
    assert [line for line in found if line.startswith("process %d (python" % running.pid)][0].endswith("which has it open"), found


def test_a_process_whose_first_thread_has_ended():
    code = """if True:
        import ctypes, threading
        f = open('/dev/zero')
        threading.Thread(target=lambda: (print(1, flush=True), input())).start()
        ctypes.CDLL(None).pthread_exit(None)
    """
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        Host().wait_until(lambda: "Z (zombie)" in Host().read("/proc/%d/task/%d/status" % (running.pid, running.pid)), "end of the first thread")
        found = contents.users(Host(), [("char", "1:5")])
        running.communicate(b"\n")
    assert [line for line in found if line.startswith("process %d " % running.pid)][0].endswith("which has it open"), found


def test_processes_that_have_a_device_mapped(pmem):
    pmem.put("/proc/77/comm", "database")
    pmem.put("/proc/77/maps", "00400000-00401000 r-xp 00000000 fe:00 12  /usr/bin/database\n7f0000000000-7f0000200000 rw-s 00000000 00:05 99  /dev/dax1.0\n"
             "7ffe00000000-7ffe00001000 rw-p 00000000 00:00 0  [stack]")
    pmem.device_number = {"/proc/77/map_files/400000-401000": None, "/proc/77/map_files/7f0000000000-7f0000200000": ("char", "252:1")}.__getitem__
    assert contents.users(pmem, [("char", "252:1")]) == ["process 77 (database), which has it mapped"]


def test_memory_that_is_online_is_in_use(bound):
    with pytest.raises(TestbedError, match="in use as system RAM: 4 of its 8 memory blocks are online, 338 is the first"):
        contents.refuse_loss(bound, "dax0.0", "it", allow=True)
    assert contents.look(bound, "dax1.0") == []
    os.unlink(bound.path("/sys/bus/dax/devices/dax0.0/driver"))
    with pytest.raises(TestbedError, match="in use as system RAM: 4 of its 8 memory blocks are online"):
        contents.refuse_loss(bound, "dax0.0", "it", allow=True)
