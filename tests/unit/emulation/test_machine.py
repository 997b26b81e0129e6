# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A guest as a process: real QEMU, started with what cannot work and with a kernel of a few instructions."""
from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils import process
from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, lifecycle, topology, warm
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.machine import SETTLE, Machine, greets
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

GUEST = {"memory": "128M", "cpus": 1, "kernel_parameters": ["memory_hotplug.memmap_on_memory=1"]}
CXL = {
    "host_bridges": [{"name": "hb0", "root_ports": [{"name": "rp0", "device": "mem_a"}, {"name": "rp1"}]}],
    "memory_devices": [{"name": "mem_a", "serial": 1, "volatile": "256M"}, {"name": "mem_b", "serial": 2, "volatile": "256M"}],
    "windows": [{"targets": ["hb0"], "size": "1G", "granularity": 256}],
}
NVDIMM = {"name": "nv0", "size": "16M"}
OPTIONS = {"timeout": 5, "warm": False, "kernel_parameters": None, "plugged": None, "forget": False}
# 32-bit code: nothing, for ever.
IDLE = b"\xfa\xf4\xeb\xfc"


@pytest.fixture(name="image")
def fixture_image(tmp_path, pvh_kernel):
    """An image whose kernel halts."""
    directory = tmp_path / "image"
    directory.mkdir()
    (directory / "kernel").write_bytes(pvh_kernel(IDLE))
    (directory / "initrd").write_bytes(b"070701")
    (directory / "manifest.json").write_text('{"kernel_parameters": ["quiet", "audit=0"]}', encoding="ascii")
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", str(directory / "root.img"), "1M"], check=True)
    return directory


def cached_in(monkeypatch, directory):
    """A cache where it is known that there is no KVM: to ask takes long where it opens and runs nothing."""
    monkeypatch.setenv("MEMLAB_CACHE", str(directory))
    directory.mkdir()
    known = {"circumstances": accelerator.circumstances(), "accelerator": "tcg", "reason": "known before the test"}
    (directory / "accelerator.json").write_text(json.dumps(known), encoding="ascii")


@pytest.fixture(name="make")
def fixture_make(tmp_path, monkeypatch, image):
    """``make(**keys)``: the machine of a guest with those keys beside the usual ones, ended after the test."""
    cached_in(monkeypatch, tmp_path / "cache")
    made = []

    def make(ssh_port=0, name="a", **keys):
        made.append(Machine("lab", topology.read_guest(name, dict(GUEST, **keys)), str(image), ssh_port))
        return made[-1]
    yield make
    for machine in made:
        machine.stop()


@pytest.fixture(name="running")
def fixture_running(make):
    """A machine whose guest runs, and its (pid, start time)."""
    machine = make(cxl=CXL)
    machine.prepare(Host())
    machine.make_disk(Host(), machine.file("disk.qcow2"))
    return machine, machine.start(machine.arguments(machine.file("disk.qcow2"), "tcg"))


def start(machine, state="present", check=False, **options):
    return lifecycle.apply(Host(), machine, state, dict(OPTIONS, **options), check)


def refused(machine, **options):
    """The error of a start that fails, after which nothing of the guest is left running."""
    with pytest.raises(TestbedError) as caught:
        start(machine, **options)
    assert machine.process() is None
    assert machine.port() is None
    assert not os.path.lexists(machine.file("qmp.sock"))
    assert not os.path.exists(machine.file("disk.qcow2"))
    return caught.value


# kernel command line

def line(machine, parameters=()):
    os.makedirs(machine.directory, exist_ok=True)
    with open(machine.file("parameters.json"), "w", encoding="ascii") as stream:
        json.dump(list(parameters), stream)
    return machine.kernel_command_line().split(" ")


def test_a_parameter_takes_the_place_of_an_older_layer_s(make):
    usual = ["root=/dev/vda", "rw", "console=ttyS0", "net.ifnames=0", "quiet"]
    assert line(make()) == usual + ["audit=0", "memory_hotplug.memmap_on_memory=1"]
    assert line(make(kernel_parameters=["audit=1"])) == usual + ["audit=1"]
    assert line(make(), ["audit=1", "memory_hotplug.memmap_on_memory=0"]) == usual + ["audit=1", "memory_hotplug.memmap_on_memory=0"]


def test_whole_tokens_are_compared(make):
    machine = make(kernel_parameters=["memmap=16M!1G", "mem=2G", "memory_hotplug.memmap_on_memory=1", "audit=0=x"])
    assert line(machine, ["mem=1G"])[5:] == ["memmap=16M!1G", "memory_hotplug.memmap_on_memory=1", "audit=0=x", "mem=1G"]


def test_what_may_be_given_more_than_once_may(make):
    machine = make(kernel_parameters=["memmap=16M!1G", "memmap=16M!2G", "quiet"])
    assert line(machine) == ["root=/dev/vda", "rw", "console=ttyS0", "net.ifnames=0", "audit=0", "memmap=16M!1G", "memmap=16M!2G", "quiet"]
    assert line(machine, ["quiet"]).count("quiet") == 1


# arguments

def test_everything_listens_on_the_loopback_or_in_the_directory(make):
    argv = make(ssh_port=2222).arguments("/d,isk", "tcg")
    text = " ".join(argv)
    assert re.findall(r"hostfwd=(\S+)", text) == ["tcp:127.0.0.1:2222-:22"]
    assert argv[argv.index("-qmp") + 1] == "unix:qmp.sock,server=on,wait=off"
    assert not re.search(r"0\.0\.0\.0|\[::\]|tcp::|telnet|vnc|spice", text)
    assert "restrict=on" in text


def test_an_awkward_directory_does_no_harm(make, monkeypatch, tmp_path):
    cached_in(monkeypatch, tmp_path / "a cache, with=commas;and'quotes")
    machine = make(cxl=CXL)
    error = refused(machine, timeout=1)
    assert error.summary == "guest a did not answer ssh within 1 s"


# starting

def test_a_port_in_use_is_named(make):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refused(make(ssh_port=port))
    assert error.summary == "guest a: port %d on 127.0.0.1 is in use" % port
    assert error.remedy == "choose another ssh_port, or none for a free one"


def test_a_port_that_is_none_is_refused(make):
    for port in (-1, 65536):
        assert refused(make(ssh_port=port)).summary == "ssh_port %d is not a port" % port


def test_qemu_s_words_are_the_message(make, image):
    (image / "kernel").unlink()
    error = refused(make())
    assert error.summary == "QEMU did not start guest a: could not open kernel file '%s/kernel': No such file or directory" % image
    assert error.details == []


def test_a_directory_that_is_no_image(make, image):
    (image / "manifest.json").unlink()
    error = refused(make())
    assert error.summary == "%s is not the directory of a guest image" % image


def test_no_image_at_all(make):
    machine = make()
    machine.image = None
    assert refused(machine).summary == "guest a is not running, and starting it takes an image"


def test_no_qemu(make, monkeypatch):
    monkeypatch.setattr(accelerator, "QEMU", "memlab-no-such-qemu")
    machine = make()
    machine.prepare(Host())
    with pytest.raises(TestbedError, match="memlab-no-such-qemu is not installed: run the role"):
        machine.start(["memlab-no-such-qemu"])


def test_a_guest_that_never_answers(make):
    machine = make(nvdimms=[NVDIMM], slots=1, max_memory="1G")
    error = refused(machine, timeout=1)
    assert error.summary == "guest a did not answer ssh within 1 s"
    assert not os.path.exists(machine.file("memory"))


def test_a_guest_that_dies_while_it_boots(running):
    machine, found = running
    killer = threading.Timer(0.5, os.kill, (found[0], signal.SIGKILL))
    killer.start()
    with pytest.raises(TestbedError, match="guest a ended while it was booting"):
        machine.wait_for_ssh(1, found, 30)
    killer.join()


@pytest.mark.parametrize("said", ["[    1.0] Kernel panic - not syncing: VFS", "no root file system on /dev/vda"])
def test_a_guest_that_says_it_is_dead(running, said):
    machine, found = running
    with open(machine.file("serial.log"), "a", encoding="ascii") as stream:
        stream.write("\x1b[0;32mbefore\x1b[0m\r\n%s\r\n" % said)
    with pytest.raises(TestbedError, match="guest a died while it was booting") as caught:
        machine.wait_for_ssh(1, found, 30)
    assert caught.value.details[-2:] == ["serial: before", "serial: " + said]


def test_what_a_dying_guest_says_holds_no_kernel_address(make):
    machine = make()
    os.makedirs(machine.directory, exist_ok=True)
    with open(machine.file("serial.log"), "w", encoding="ascii") as stream:
        stream.write("[    9.0] ffff888012345678 ffff888012345678\r\n" * 100 + "[    9.0] BUG: at address: ffff888012345678\r\n"
                     "[    9.1] RAX: ffffffffffffffda RBX: 0000000000000001\r\n[    9.2] Kernel Offset: 0x35400000 from 0xffffffff81000000\r\n")
    found = machine.failure("guest a died")
    assert found.details[-1] == "serial: [    9.0] BUG: at address: [address]"
    stated = "\n".join(found.details)
    assert "12345678" not in stated and "Offset" not in stated and "RAX" not in stated


def test_a_qemu_that_cannot_be_executed(make, tmp_path):
    machine = make()
    machine.prepare(Host())
    tool = tmp_path / "qemu-system-x86_64"
    tool.write_text("garbage", encoding="ascii")
    tool.chmod(0o755)
    with pytest.raises(TestbedError, match=r"cannot run .*qemu-system-x86_64 \(ENOEXEC\)"):
        machine.start([str(tool)])


def test_only_an_sshd_s_greeting_counts():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        for said, answer in ((b"SSH-2.0-x\r\n", True), (b"HTTP/1.1", False)):
            def serve(said=said):
                connection = server.accept()[0]
                connection.sendall(said)
                connection.close()
            other = threading.Thread(target=serve)
            other.start()
            assert greets(port, 5) is answer
            other.join()
    assert greets(port, 0.1) is False


def test_a_disk_s_base_that_has_gone(make, image):
    (image / "root.img").unlink()
    assert "qemu-img" in refused(make()).summary


def test_persistent_memory_of_another_size_is_kept(make):
    machine = make(nvdimms=[NVDIMM])
    assert machine.prepare(Host()) is True
    assert machine.prepare(Host()) is False
    with pytest.raises(TestbedError, match="guest a: nv0-nvdimm holds 18874368 bytes of persistent memory, 35651584 are declared now: remove the guest"):
        make(nvdimms=[{"name": "nv0", "size": "32M"}]).prepare(Host())
    assert os.path.getsize(os.path.join(machine.file("memory"), "nv0-nvdimm")) == 18 << 20


# interruption

@pytest.mark.parametrize("number", signals.ENDING)
@pytest.mark.parametrize("after", [0.0, 0.5])
# What was open when the signal came is closed by the end of the process, which here goes on.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_start_leaves_no_qemu(make, interrupt, number, after):
    """Interrupted as soon as the process is written down, or while its ssh is waited for."""
    machine = make()
    interrupt(number, lambda: os.path.exists(machine.file("process.json")), after)
    with pytest.raises(signals.Interrupted), signals.as_errors():
        start(machine, timeout=60)
    gc.collect()
    assert machine.process() is None
    assert qemus_in(machine.directory) == []
    assert not os.path.exists(machine.file("disk.qcow2"))


def test_a_run_that_is_killed_leaves_a_guest_that_the_next_one_finds(make):
    machine = make()
    script = """
import sys
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import lifecycle, machine, topology
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
guest = machine.Machine("lab", topology.read_guest("a", %r), sys.argv[1])
lifecycle.apply(Host(), guest, "present", dict(%r, timeout=60), False)
""" % (GUEST, OPTIONS)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", script, machine.image], env=environment) as other:
        Host().wait_until(machine.process, "the guest", 30)
        with pytest.raises(TestbedError, match="guest a of testbed lab is being worked on by another run .process %d.: wait for it, or end it" % other.pid):
            start(machine, "absent")
        other.kill()
    assert machine.process() is not None
    assert start(machine, "absent") == {"changed": True, "running": False}
    assert qemus_in(machine.directory) == []


def qemus_in(directory):
    """Processes of QEMU that work in a directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/cwd" % pid) == directory and process.start_time(int(pid)) is not None:
                found.append(int(pid))
        except OSError:
            pass  # ended meanwhile
    return found


# states

def test_what_is_there_and_what_is_not(running):
    machine, found = running
    assert machine.process() == found
    assert start(machine, check=True) == {"changed": True, "start": "none"}
    with machine.monitor() as monitor:
        port = machine.learn_port(monitor)
    assert 1024 <= port <= 65535
    machine.publish(port)
    assert start(machine) == {"changed": False, "start": "none", "running": True, "pid": found[0], "ssh_port": port, "directory": machine.directory}
    for state in ("restarted", "powercycled", "absent"):
        assert start(machine, state, check=True)["changed"]
    with pytest.raises(TestbedError, match="guest a runs with other kernel parameters than are asked for now: use state restarted"):
        start(machine, kernel_parameters=["debug"])
    assert machine.process() == found
    assert start(machine, "absent") == {"changed": True, "running": False}
    assert not process.is_alive(*found)
    assert not os.path.exists(machine.directory)
    assert start(machine, "absent") == {"changed": False, "running": False}


def test_a_changed_definition_is_not_taken_for_the_running_guest_s(running, make):
    machine = running[0]
    machine.publish(1)
    with open(machine.file("definition.json"), "w", encoding="ascii") as stream:
        json.dump(machine.definition(), stream)
    assert not machine.is_outdated()
    changed = ({"memory": "256M"}, {"kernel_parameters": []}, {"hypervisor_bit": True}, {"watchdog": True})
    for keys in [dict(change, cxl=CXL) for change in changed] + [{}]:
        with pytest.raises(TestbedError, match="guest a runs as the testbed file declared it before its last change: use state restarted"):
            start(make(**keys))


def test_another_process_is_never_taken_for_the_guest(make):
    machine = make()
    os.makedirs(machine.directory)
    for content in ({"pid": os.getpid(), "started": 1}, {"pid": os.getpid()}, {"pid": 1, "started": None}, [], None, 5):
        with open(machine.file("process.json"), "w", encoding="ascii") as stream:
            json.dump(content, stream)
        assert machine.process() is None
        assert machine.stop() is False


def test_no_disk_space_is_an_error_of_one_line(make, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(TestbedError, match="guest a: .*Not a directory"):
        start(make())


# QMP

def test_memory_devices_are_plugged_in_and_named(running):
    machine = running[0]
    machine.publish(1)
    assert start(machine, plugged=["mem_a"], check=True) == {"changed": False, "start": "none", "plugged": ["mem_a"]}
    assert start(machine, plugged=["mem_b", "mem_a"], check=True)["changed"]
    result = start(machine, plugged=["mem_a", "mem_b"])
    assert (result["changed"], result["plugged"]) == (True, ["mem_a", "mem_b"])
    assert not start(machine, plugged=["mem_b", "mem_a"])["changed"]
    with machine.monitor() as monitor:
        assert lifecycle._is_plugged(monitor, "mem_b")
        assert monitor.execute("qom-get", {"path": "/machine/peripheral/mem_b", "property": "parent_bus"}).endswith("/rp1")
    with pytest.raises(TestbedError, match="guest a has no memory device mem_c .it has mem_a, mem_b."):
        start(machine, plugged=["mem_c"])


def test_what_was_done_of_a_plug_that_fails_is_undone(running):
    machine = running[0]
    with machine.monitor() as monitor:
        backends = {entry["id"] for entry in monitor.execute("query-memdev")}
        with pytest.raises(TestbedError, match="QEMU refused device_add: "):
            lifecycle._plug_in(machine, monitor, "mem_b", "rp0")
        assert {entry["id"] for entry in monitor.execute("query-memdev")} == backends


def test_a_device_that_stays_is_said(running, monkeypatch):
    monkeypatch.setattr(lifecycle, "_UNPLUG_PATIENCE", 0.2)
    machine = running[0]
    machine.publish(1)
    with pytest.raises(TestbedError, match="guest a did not let go of memory device mem_a within 0 s: take its memory offline"):
        start(machine, plugged=[])


def test_qemu_s_refusal_is_passed_on(running):
    with running[0].monitor() as monitor:
        with pytest.raises(TestbedError, match="QEMU refused device_del: Device 'none' not found"):
            monitor.execute("device_del", {"id": "none"})
        with pytest.raises(TestbedError, match="QEMU names no forwarded port for guest a"):
            running[0].learn_port(Silent())


class Silent(object):
    def execute(self, command, arguments):
        return "Hub -1 (memlab.net):\n"


def test_a_qemu_that_ends_while_it_is_talked_to(running):
    machine, found = running
    with pytest.raises(TestbedError, match="QEMU cannot be talked to .query-status."), machine.monitor() as monitor:
        process.end(*found)
        monitor.execute("query-status")
    with pytest.raises(TestbedError, match="QEMU cannot be talked to .connecting."):
        machine.monitor()


def test_a_signal_while_a_guest_is_waited_for_leaves_it_running(running, interrupt):
    machine, found = running
    machine.publish(1)
    interrupt(signal.SIGTERM, lambda: True, 0.5)
    with pytest.raises(signals.Interrupted), signals.as_errors():
        start(machine, plugged=[])
    assert machine.process() == found
    with machine.monitor() as monitor:
        assert monitor.execute("query-status")["running"]


# snapshots

def test_when_a_warm_start_is_possible(make):
    switch = {"name": "s", "downstream_ports": [{"name": "d", "device": "mem_a"}]}
    switched = dict(CXL, host_bridges=[{"name": "hb0", "root_ports": [{"name": "rp0", "switch": switch}]}])
    assert warm.why_not(make(cxl=CXL).guest) is None
    assert warm.why_not(make().guest) == "it has no CXL memory device to plug in"
    assert "CXL switch" in warm.why_not(make(cxl=switched).guest)


def test_a_snapshot_is_good_for_one_definition_and_image(make):
    machine = make(cxl=CXL)
    machine.prepare(Host())
    snapshot = warm.Snapshot(machine, "tcg")
    assert not snapshot.usable()
    os.makedirs(snapshot.directory)
    with open(os.path.join(snapshot.directory, "key"), "w", encoding="ascii") as stream:
        stream.write(snapshot.key())
    assert snapshot.usable()
    assert not warm.Snapshot(machine, "kvm").usable()
    assert not warm.Snapshot(make(cxl=CXL, memory="256M"), "tcg").usable()
    assert not warm.Snapshot(make(cxl=CXL, kernel_parameters=[]), "tcg").usable()
    assert warm.Snapshot(make(cxl=CXL), "tcg").usable()
    machine.image = os.path.dirname(machine.image) + "/./image"
    assert not snapshot.usable()


def saved(machine, memory):
    """A snapshot for a machine, with a file of that content for its memory."""
    machine.prepare(Host())
    snapshot = warm.Snapshot(machine, "tcg")
    os.makedirs(snapshot.directory)
    machine.make_disk(Host(), snapshot.disk)
    for name, content in ((os.path.join(snapshot.directory, "key"), snapshot.key().encode("ascii")), (snapshot.memory, memory)):
        with open(name, "wb") as stream:
            stream.write(content)
    assert snapshot.usable()
    return snapshot


def test_a_guest_that_does_not_come_up_from_its_snapshot_boots(make, monkeypatch):
    machine = make(cxl=CXL)
    snapshot = saved(machine, b"no state of any machine")
    monkeypatch.setattr(Machine, "wait_for_ssh", lambda self, port, found, timeout: None)
    monkeypatch.setattr(Machine, "settle", lambda self, host, port, wanted: wanted)
    result = start(machine, warm=True)
    assert result["start"] == "cold"
    assert result["notice"].startswith("guest a did not come up with its snapshot, and boots without: guest a cannot be restored from its snapshot")
    assert machine.process() == (result["pid"], process.start_time(result["pid"])) and not os.path.exists(snapshot.directory)
    # it has its memory devices from the start, which a guest that is restored has not
    with open("/proc/%d/cmdline" % result["pid"], "rb") as stream:
        assert b"cxl-type3" in stream.read()


def test_a_guest_that_is_restored_has_a_minute_at_most(make, monkeypatch):
    class Monitor:
        @staticmethod
        def execute(command, arguments=None):
            assert command in ("object-add", "device_add", "cont")
    given = []
    monkeypatch.setattr(Machine, "ssh", lambda self, host, port, command, timeout: given.append((re.search(r"\$\(up\) \+ (\d+)", command)[1], timeout)))
    for timeout in (600, 100):
        warm.Snapshot(make(cxl=CXL), "tcg")._go_on(Host(), Monitor(), 22, timeout)
    assert given == [("60", 75), ("25", 40)]


@pytest.mark.parametrize("devices, there", [(None, 0), (["endpoint2", "endpoint3", "mem0", "port1"], 2)])
def test_a_guest_settles_when_its_devices_are_there_or_it_has_no_drivers_for_them(tmp_path, devices, there):
    """The script that runs in the guest, with another /sys and a udev that is done."""
    for name in ("systemctl", "udevadm"):
        (tmp_path / name).symlink_to("/bin/true")
    for name in devices or []:
        (tmp_path / "bus/cxl/devices" / name).mkdir(parents=True)
    script = SETTLE.replace("/sys/", "%s/" % tmp_path) % {"seconds": 600, "devices": 2}
    answer = Host().run(["env", "PATH=%s:%s" % (tmp_path, os.environ["PATH"]), "sh", "-c", script], timeout=60)
    assert int(answer) == there


def test_who_interrupts_a_restore_does_not_get_a_guest_that_boots(make, monkeypatch):
    machine = make(cxl=CXL)
    snapshot = saved(machine, b"")

    def interrupted(self, host, running, timeout):
        raise signals.Interrupt("interrupted by SIGINT", None)
    monkeypatch.setattr(warm.Snapshot, "restore", interrupted)
    with pytest.raises(signals.Interrupt):
        start(machine, warm=True)
    assert machine.process() is None and os.path.exists(snapshot.directory)
