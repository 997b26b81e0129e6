# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""boot_entry, kernel_package_info, kernel_trial and kernel_gate as Ansible runs them, judged by the host's files, with real packages and the real dpkg."""
from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible.module_utils.basic import AnsibleModule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.memlab.testbed.plugins.module_utils.boot import grub, packages, safeguards, systemd_boot, trial
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.tests.synthetic.loaders import MACHINE, OLD, UUID, GrubHost, SystemdHost

NEW = "6.12.9-memlab"
SOFTDOG = "kernel/drivers/watchdog/softdog.ko:\n"
GRUB_ID = "gnulinux-advanced-%s>gnulinux-%%s-advanced-%s" % (UUID, UUID)
WORD = st.one_of(st.text(max_size=8), st.sampled_from([OLD, NEW, "0", "1>0", "memlab-trial", "UEFI Firmware Settings", "-1", "@saved"]), st.integers(),
                 st.none(), st.booleans(), st.lists(st.text(max_size=3), max_size=2))


@pytest.fixture(name="host", params=[GrubHost, SystemdHost])
def fixture_host(request, tmp_path):
    """A host with one kernel, which runs."""
    host = request.param(tmp_path / "host")
    host.put("/usr/share/initramfs-tools/hook-functions", "")
    return host


@pytest.fixture(name="warned")
def fixture_warned(monkeypatch):
    """What modules have warned of."""
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda module, warning, **more: said.append(warning))
    return said


@pytest.fixture(name="deb", scope="module")
def fixture_deb(tmp_path_factory):
    """``deb(name, files, architecture)``: path of a package that dpkg-deb made."""
    def make(name, files, architecture="amd64"):
        top = tmp_path_factory.mktemp("deb")
        (top / "tree").mkdir()
        for place, content in files.items():
            (top / "tree" / place).parent.mkdir(parents=True, exist_ok=True)
            (top / "tree" / place).write_text(content, encoding="ascii")
        (top / "tree/DEBIAN").mkdir()
        (top / "tree/DEBIAN/control").write_text("Package: %s\nVersion: 1\nArchitecture: %s\nMaintainer: nobody\nDescription: a test\n" % (name, architecture),
                                                 encoding="ascii")
        path = str(top / (name + ".deb"))
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(top / "tree"), path], check=True, stdout=subprocess.DEVNULL)
        return path
    return make


@pytest.fixture(name="kernel", scope="module")
def fixture_kernel(deb):
    """The new kernel's package. Its initramfs, which a host makes for itself, is in it."""
    return deb("linux-image-" + NEW, {"boot/vmlinuz-" + NEW: "new kernel", "boot/initrd.img-" + NEW: "initrd", "lib/modules/%s/modules.dep" % NEW: SOFTDOG})


# Holds a lock as apt does for a second, writes dpkg's database, and lets it go.
HOLDS_THE_LOCK = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(1)
    with open(sys.argv[2], "w") as status:
        status.write(sys.argv[3])
"""


def state(host):
    """The host's files, without what was brought."""
    return {name: found for name, found in host.state().items() if not name.startswith("/root/")}


def chosen(host):
    """(default, once) out of the environment block or the EFI variables' bytes."""
    if isinstance(host, GrubHost):
        words = dict(line.split("=", 1) for line in host.read(grub.ENVIRONMENT).splitlines() if "=" in line and not line.startswith("#"))
        return words.get("saved_entry"), words.get("next_entry")
    return tuple(raw and raw[4:].decode("utf-16-le").rstrip("\0") for raw in map(host.get, ("LoaderEntryDefault", "LoaderEntryOneShot")))


def ident(host, release):
    return (GRUB_ID % release) if isinstance(host, GrubHost) else "%s-%s.conf" % (MACHINE, release)


# boot_entry

def test_boot_entry_looks(host, call):
    host.kernel(NEW)
    host.hooks()
    before = state(host)
    code, answer = call("boot_entry", host, {})
    assert (code, answer["changed"], answer["default_release"], answer["once"], answer["running"]) == (0, False, NEW, None, OLD)
    assert {entry["release"] for entry in answer["entries"]} == {OLD, NEW} and state(host) == before and host.log == []


def test_boot_entry_chooses_the_default(host, call, four_steps):
    host.kernel(NEW)
    host.hooks()
    planned, done = four_steps("boot_entry", host, {"default": OLD}, lambda: state(host))
    assert chosen(host) == (ident(host, OLD), None)
    assert planned["diff"] == done["diff"] and done["diff"]["after"] == {"default": ident(host, OLD), "held": True, "once": None} != done["diff"]["before"]
    # installing a kernel does not change it
    host.kernel("6.99.0-newest")
    host.hooks()
    assert call("boot_entry", host, {})[1]["default_release"] == OLD


def test_boot_entry_chooses_the_next_boot_and_takes_it_back(host, four_steps):
    host.kernel(NEW)
    host.hooks()
    planned, done = four_steps("boot_entry", host, {"once": NEW}, lambda: state(host))
    assert chosen(host) == (None, ident(host, NEW)) and planned["diff"] == done["diff"]
    four_steps("boot_entry", host, {"once": ""}, lambda: state(host))
    assert chosen(host) == (None, None)


def test_boot_entry_of_what_is_not_there(host, refused):
    before = state(host)
    for parameters in ({"default": "5.4.0"}, {"once": "5.4.0"}, {"default": OLD, "once": "5.4.0"}):
        assert refused("boot_entry", host, parameters).endswith("has no entry 5.4.0: it has kernels " + OLD)
    assert state(host) == before and host.log == []


def test_boot_entry_without_a_loader_or_a_way_to_choose_once(host, refused, tmp_path):
    if isinstance(host, GrubHost):
        host.put("/proc/self/mountinfo", "24 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n")
    else:
        os.unlink(host.path("%s/LoaderInfo-%s" % (systemd_boot.VARIABLES, systemd_boot.VENDOR)))
    assert refused("boot_entry", host, {"default": OLD, "once": OLD}).startswith("no entry can be chosen for one boot: ")
    (tmp_path / "bare").mkdir()
    assert refused("boot_entry", Host(str(tmp_path / "bare")), {}).startswith("neither GRUB (/boot/grub/grub.cfg) nor systemd-boot")


def test_boot_entry_whose_tool_fails_says_what_it_said(host, call):
    host.faults["grub-editenv" if isinstance(host, GrubHost) else "bootctl"] = lambda: None
    code, answer = call("boot_entry", host, {"default": OLD})
    assert code == 1 and "failed with exit code 1" in answer["msg"] and answer["details"] == ["no more"]


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(st.dictionaries(st.sampled_from(["default", "once", "other"]), WORD))
def test_boot_entry_answers_anything_cleanly(host, call, parameters):
    before = state(host)
    code, answer = call("boot_entry", host, parameters, check_mode=True)
    assert "Traceback" not in json.dumps(answer) and state(host) == before and (code == 0 or answer["msg"])


# kernel_package_info

def test_kernel_package_info(call, kernel, deb):
    headers = deb("linux-headers-" + NEW, {"usr/src/linux-headers/Makefile": "all:\n"}, "all")
    for check_mode in (True, False):
        code, answer = call("kernel_package_info", None, {"packages": [kernel, headers]}, check_mode)
        assert (code, answer["changed"], answer["release"]) == (0, False, NEW)
        assert [(found["package"], found["version"], found["architecture"], found["release"], found["boot_bytes"], found["other_bytes"], found["size"])
                for found in answer["packages"]] == [("linux-image-" + NEW, "1", "amd64", NEW, 16, len(SOFTDOG), os.path.getsize(kernel)),
                                                     ("linux-headers-" + NEW, "1", "all", None, 0, 5, os.path.getsize(headers))]


def test_kernel_package_info_of_what_is_no_kernel(refused, kernel, deb, tmp_path):
    (tmp_path / "text.deb").write_text("text", encoding="ascii")
    for packages, said in (([str(tmp_path / "none.deb")], "there is no package "), ([str(tmp_path)], "there is no package "),
                           ([], "the packages hold 0 kernels"),
                           ([str(tmp_path / "text.deb")], "%s is not a Debian package that can be read" % (tmp_path / "text.deb")),
                           ([deb("empty", {})], "the packages hold 0 kernels (no /boot/vmlinuz-*), not one: name the packages of one kernel"),
                           ([kernel, deb("linux-image-other", {"boot/vmlinuz-5.4": ""})], "the packages hold 2 kernels (5.4, %s), not one" % NEW)):
        assert refused("kernel_package_info", None, {"packages": packages}).startswith(said)
    assert "missing required arguments: packages" in refused("kernel_package_info", None, {})


def test_kernel_package_info_without_dpkg(refused, kernel, monkeypatch):
    class Bare(Host):
        def run(self, argv, timeout=120, given=None):
            return super().run(["no-such-" + argv[0], *argv[1:]], timeout, given)
    assert refused("kernel_package_info", Bare(), {"packages": [kernel]}) == (
        "the tool no-such-dpkg-deb is not installed: install the package that provides it")


# kernel_trial

def described(call, *paths):
    code, answer = call("kernel_package_info", None, {"packages": list(paths)})
    assert code == 0
    return answer["packages"]


def armed(call, host, kernel, **more):
    """Parameters for a kernel whose package was brought to the host."""
    place = "/root/" + os.path.basename(kernel)
    host.put(place, pathlib.Path(kernel).read_bytes())
    packages = [dict(found, path=place) for found in described(call, kernel)]
    return dict({"state": "armed", "release": NEW, "packages": packages, "parameters": ["panic=10"]}, **more)


def installed(host):
    return {line.partition(" ")[2] for line in host.read("/var/lib/dpkg/status").splitlines() if line.startswith("Package: ")}


def boots(host, release):
    """The host starts that kernel; the loader forgets its one-shot."""
    host.put("/proc/sys/kernel/osrelease", release + "\n")
    host.put("/proc/modules", "")
    if isinstance(host, GrubHost):
        host.grub_editenv(grub.ENVIRONMENT, "unset", "next_entry")
    else:
        host.bootctl("set-oneshot", "")


@pytest.fixture(autouse=True)
def log_of_the_kernel(host):
    host.put("/dev/kmsg", "6,0,100,-;Linux version\n4,2,200,-;WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20\n")


def test_kernel_trial_armed_accepted_and_the_same_again(host, call, kernel, four_steps):
    trial_id = "memlab-trial" if isinstance(host, GrubHost) else "a-memlab-trial.conf"
    before = state(host)
    code, planned = call("kernel_trial", host, armed(call, host, kernel), check_mode=True)
    assert (code, planned["changed"], planned["stage"], state(host) == before) == (0, True, "armed", True)
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert (code, answer["changed"]) == (0, True), answer
    # the old kernel stays the default, the new one is there for one boot, with its parameters and what brings the host back
    assert chosen(host) == (ident(host, OLD), trial_id)
    assert host.read("/boot/vmlinuz-" + NEW) == "new kernel" and installed(host) == {"linux-image-" + OLD, "linux-image-" + NEW}
    place = grub.TRIAL if isinstance(host, GrubHost) else "/efi/loader/entries/" + trial_id
    assert " panic=10 memlab.trial=120" in host.read(place)
    assert host.exists(safeguards.HOOK) and json.loads(host.read(trial.RECORD))["stage"] == "armed"
    again = state(host)
    # until the kernel runs, arming is done again, and ends the same but for the time
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert (code, answer["changed"], answer["repaired"]) == (0, True, ["a trial of %s had not come to its end" % NEW])
    assert {name for name, content in state(host).items() if again.get(name) != content} <= {trial.RECORD, grub.CONFIGURATION, grub.ENVIRONMENT}
    boots(host, NEW)
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert (code, answer["changed"], answer["stage"], answer["release_before"]) == (0, False, "booted", OLD)
    four_steps("kernel_trial", host, {"state": "accepted", "release": NEW}, lambda: state(host))
    assert chosen(host) == (ident(host, NEW), None)
    assert not host.exists(place) and not host.exists(safeguards.HOOK) and not host.exists(trial.RECORD)
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert (code, answer["changed"], answer["stage"]) == (0, False, "accepted")


def test_kernel_trial_of_a_kernel_with_another_watchdog_or_none(host, call, deb, warned):
    """The old kernel has the machine's driver as a module."""
    host.put("/sys/bus/pci/devices/0000:00:05.0/modalias", "pci:v00008086d000025ABsv0sd0bc08sc80i00\n")
    host.put("/lib/modules/%s/modules.dep" % OLD, "kernel/drivers/watchdog/i6300esb.ko:\n")
    host.put("/lib/modules/%s/modules.alias" % OLD, "alias pci:v00008086d000025ABsv*sd*bc*sc*i* i6300esb\n")
    place = grub.TRIAL if isinstance(host, GrubHost) else "/efi/loader/entries/a-memlab-trial.conf"
    for name, builtin, drivers, given in (("i6300esb", "kernel/drivers/watchdog/i6300esb.ko\n", ["i6300esb"], True), ("none", "", [], False)):
        path = deb("linux-image-" + name, {"boot/vmlinuz-6-" + name: "kernel", "boot/initrd.img-6-" + name: "initrd",
                                           "lib/modules/6-%s/modules.builtin" % name: builtin})
        code, answer = call("kernel_trial", host, armed(call, host, path, release="6-" + name))
        assert (code, answer["watchdog"], " i6300esb.heartbeat=120" in host.read(place)) == (0, drivers, given), answer
        assert warned == ([] if given else ["kernel 6-none has no driver of a watchdog (i6300esb, softdog): what hangs in it does not come back by itself"])
        assert call("kernel_trial", host, {"state": "abandoned"})[0] == 0


def test_kernel_trial_abandoned_is_as_it_was(host, call, kernel, four_steps):
    call("boot_entry", host, {"default": OLD})
    before = state(host)
    assert call("kernel_trial", host, armed(call, host, kernel))[0] == 0
    assert state(host) != before
    four_steps("kernel_trial", host, {"state": "abandoned"}, lambda: state(host))
    assert state(host) == before and installed(host) == {"linux-image-" + OLD} and chosen(host) == (ident(host, OLD), None)


def test_kernel_trial_accepted_keeps_as_many_kernels_as_asked_for(host, call, kernel, four_steps):
    for release in ("5.10.1", "5.10.2"):
        host.kernel(release)
    host.hooks()
    call("boot_entry", host, {"default": OLD})
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert code == 0, answer
    boots(host, NEW)
    four_steps("kernel_trial", host, {"state": "accepted", "release": NEW, "keep": 1}, lambda: (state(host), installed(host)))
    assert set(host.releases()) == {NEW, OLD, "5.10.2"} and "linux-image-5.10.1" not in installed(host)


def test_kernel_trial_takes_the_files_from_a_directory_and_removes_them(host, call, kernel):
    host.put("/root/brought/" + os.path.basename(kernel), pathlib.Path(kernel).read_bytes())
    code, answer = call("kernel_trial", host, armed(call, host, kernel, directory="/root/brought"))
    assert code == 0 and host.listdir("/root/brought") == [] and host.exists("/boot/vmlinuz-" + NEW), answer
    assert os.path.exists(kernel)


def test_kernel_trial_that_fails_half_way_is_undone(host, call, kernel):
    """dpkg unpacks the kernel and fails."""
    call("boot_entry", host, {"default": OLD})
    before = state(host)
    host.faults["dpkg"] = lambda: host.put("/boot/vmlinuz-" + NEW, "half") or os.unlink(host.path("/boot/vmlinuz-" + NEW))
    code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert (code, answer["changed"]) == (1, False) and "undone: the packages are removed, the default entry is what it was" in answer["details"]
    assert state(host) == before and installed(host) == {"linux-image-" + OLD}


def test_kernel_trial_waits_for_who_installs_packages_meanwhile(host, call, kernel):
    """As apt does when it runs by itself: what it has half done is its own to finish."""
    with open(host.path(packages.LOCK), "wb") as lock:
        pass
    ready = host.read("/var/lib/dpkg/status") + "\n\n"
    host.put("/var/lib/dpkg/status", ready.replace("ok installed", "ok half-configured"))
    holder = subprocess.Popen([sys.executable, "-c", HOLDS_THE_LOCK, lock.name, host.path("/var/lib/dpkg/status"), ready], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        code, answer = call("kernel_trial", host, armed(call, host, kernel))
    finally:
        holder.stdout.close()
        assert holder.wait() == 0
    assert (code, answer["repaired"]) == (0, []), answer


def test_kernel_trial_does_not_wait_for_ever(host, call, kernel, monkeypatch):
    monkeypatch.setattr(packages.alone.__wrapped__, "__defaults__", (0,))
    with open(host.path(packages.LOCK), "wb") as lock:
        pass
    before = state(host)
    with subprocess.Popen([sys.executable, "-c", HOLDS_THE_LOCK, lock.name, os.devnull, ""], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        code, answer = call("kernel_trial", host, armed(call, host, kernel))
    assert code == 1 and answer["msg"].startswith("something else is installing packages here (it holds /var/lib/dpkg/lock-frontend)")
    assert state(host) == before


@pytest.mark.parametrize("cut_off", [False, True])
def test_kernel_trial_that_fails_leaves_nothing_of_what_was_brought(host, call, kernel, cut_off):
    """Also where the power went before it could undo anything, which the next run does."""
    host.put("/root/brought/" + os.path.basename(kernel), pathlib.Path(kernel).read_bytes())
    if cut_off:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(trial, "_abandon", lambda host, written: None)
            host.faults["dpkg"] = lambda: None
            assert call("kernel_trial", host, armed(call, host, kernel, directory="/root/brought"))[0] == 1
        assert host.listdir("/root/brought") and call("kernel_trial", host, {"state": "abandoned"})[0] == 0
    else:
        host.faults["dpkg"] = lambda: None
        assert call("kernel_trial", host, armed(call, host, kernel, directory="/root/brought"))[0] == 1
    assert host.listdir("/root/brought") == [] and os.path.exists(kernel)


def test_kernel_trial_of_a_package_whose_kernel_is_not_what_it_says(host, call, deb):
    """The package has a kernel, and no initramfs comes of it."""
    broken = deb("linux-image-broken", {"boot/vmlinuz-6.6.6": "kernel"})
    call("boot_entry", host, {"default": OLD})
    before = state(host)
    code, answer = call("kernel_trial", host, armed(call, host, broken, release="6.6.6"))
    assert code == 1 and answer["summary"] == "the packages are installed, but there is no /boot/initrd.img-6.6.6"
    assert state(host) == before


@pytest.mark.parametrize("changed, said", [
    ({"state": "ready"}, "value of state must be one of: armed, accepted, abandoned, got: ready"),
    ({"release": None}, "state is armed but all of the following are"),
    ({"packages": [{}]}, "packages: "), ({"packages": ["text"]}, "dict"), ({"packages": [{"package": "linux-image"}]}, "packages: "),
    ({"packages": []}, "packages: "),
    ({"parameters": ["panic=10 quiet"]}, "is not one boot parameter"), ({"watchdog": 4}, "watchdog: 4 is not from 5 to 2046 seconds"),
    ({"watchdog": "soon"}, "watchdog"), ({"watchdog": 2047}, "watchdog: 2047 is not"),
    ({"deadline": 60}, "deadline: 60 s are not more than the watchdog's 120"),
    ({"kexec": True}, "the tool kexec is not installed: install kexec-tools"), ({"kexec": "maybe"}, "kexec"),
    ({"release": OLD}, "give the new kernel a release of its own"),
    ({"keep": "all"}, "keep"), ({"junk": 1}, "Unsupported parameters"),
])
def test_kernel_trial_refuses(host, call, kernel, refused, changed, said):
    before = state(host)
    parameters = {key: value for key, value in armed(call, host, kernel, **changed).items() if value is not None}
    assert said in refused("kernel_trial", host, parameters)
    assert state(host) == before and installed(host) == {"linux-image-" + OLD}


def test_kernel_trial_refuses_packages_that_were_not_brought(host, call, kernel):
    """Check mode comes before they are."""
    before = state(host)
    for more, gone in (({"packages": [dict(found, path="/gone.deb") for found in described(call, kernel)]}, "/gone.deb"),
                       ({"directory": "/no/such/directory"}, "/no/such/directory/linux-image-%s.deb" % NEW)):
        parameters = armed(call, host, kernel, **more)
        assert call("kernel_trial", host, parameters, check_mode=True)[0] == 0
        code, answer = call("kernel_trial", host, parameters)
        assert (code, answer["msg"]) == (1, "there is no package " + gone) and state(host) == before


@pytest.mark.parametrize("parameters, said", [
    ({"state": "accepted", "release": NEW}, "%s cannot be made the default: %s runs" % (NEW, OLD)), ({"state": "accepted"}, "release"),
    ({"state": "abandoned", "release": OLD}, "kernel %s cannot be taken away: it runs" % OLD), ({}, "missing required arguments: state"),
    ({"state": "accepted", "release": OLD, "keep": -1}, "keep: -1 is not a number of kernels"),
    ({"state": "abandoned", "release": NEW, "packages": [{"file": "x"}]}, "packages: "),
])
def test_kernel_trial_refuses_to_end(host, refused, parameters, said):
    before = state(host)
    assert said in refused("kernel_trial", host, parameters) and state(host) == before


def test_kernel_trial_abandoned_where_there_is_none(host, call):
    before = state(host)
    for check_mode in (True, False):
        code, answer = call("kernel_trial", host, {"state": "abandoned"}, check_mode)
        assert (code, answer["changed"], answer["removed"], state(host) == before) == (0, False, [], True)


@settings(suppress_health_check=list(HealthCheck), max_examples=100)
@given(st.dictionaries(st.sampled_from(["state", "release", "packages", "directory", "parameters", "watchdog", "deadline", "kexec", "keep"]),
                       st.one_of(WORD, st.sampled_from(["armed", "accepted", "abandoned"]), st.lists(st.dictionaries(
                           st.sampled_from(["package", "file", "version", "path", "boot_bytes"]), WORD), max_size=2))), st.booleans())
def test_kernel_trial_answers_anything_cleanly(host, call, parameters, check_mode):
    before = state(host)
    code, answer = call("kernel_trial", host, parameters, check_mode)
    assert "Traceback" not in json.dumps(answer) and (code == 0 or answer["msg"]), parameters
    assert state(host) == before or code == 0 and not check_mode


# kernel_gate

@pytest.fixture(name="gated")
def host_whose_commands_are_real(tmp_path):
    class Gated(Host):
        def run(self, argv, timeout=120, given=None):
            return Host().run(argv, timeout, given)
    host = Gated(str(_tree(tmp_path / "gated")))
    return host


def _tree(top):
    for place, text in (("proc/sys/kernel/osrelease", NEW + "\n"), ("proc/modules", "kmem 16384 0 - Live 0x0\n"),
                        ("dev/kmsg", "6,0,100,-;Linux version\n4,2,200,-;WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20\n"),
                        ("lib/modules/%s/modules.builtin" % NEW, "kernel/drivers/dax/device-dax.ko\n")):
        (top / place).parent.mkdir(parents=True, exist_ok=True)
        (top / place).write_text(text, encoding="ascii")
    return top


WARNING = "WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:123 warn+0x10/0x20"


@pytest.mark.parametrize("parameters, reasons", [
    ({"log": False}, []), ({"known": [WARNING]}, []), ({}, ["kernel log: " + WARNING]), ({"log": False, "modules": ["kmem", "device-dax"]}, []),
    ({"log": False, "modules": ["cxl_core"]}, ["module cxl_core: wanted loaded, found not loaded"]),
    ({"log": False, "release": OLD}, ["running release: wanted %s, found %s" % (OLD, NEW)]),
    ({"log": False, "checks": [["true"], ["sh", "-c", "exit 0"]]}, []),
    ({"log": False, "checks": [["sh", "-c", "echo no mount >&2; exit 3"]]}, ["check: sh -c echo no mount >&2; exit 3 failed with exit code 3: no mount"]),
    ({"log": False, "checks": [["no-such-program"]]}, ["check: the tool no-such-program is not installed"]),
    ({"release": OLD, "modules": ["cxl_core"], "checks": [["false"]]}, [
        "running release: wanted %s, found %s" % (OLD, NEW), "module cxl_core: wanted loaded, found not loaded", "kernel log: " + WARNING,
        "check: false failed with exit code 1"]),
])
def test_kernel_gate(gated, call, parameters, reasons):
    for check_mode in (True, False):
        code, answer = call("kernel_gate", gated, dict({"release": NEW}, **parameters), check_mode)
        assert (code, answer["changed"], answer["passed"], answer["reasons"], answer["running"]) == (0, False, not reasons, reasons, NEW)


def test_kernel_gate_knows_what_the_kernel_before_had_said(gated, call, tmp_path):
    (tmp_path / "gated/var/lib/memlab").mkdir(parents=True)
    record = tmp_path / "gated/var/lib/memlab/kernel-trial.json"
    for text, passed in ((json.dumps({"release": NEW, "known": [WARNING.replace("77", "5")]}), True), (json.dumps({"release": NEW}), False), ("{", False),
                         (json.dumps({"release": NEW, "known": None}), False), (json.dumps({"release": NEW, "known": [5]}), False)):
        record.write_text(text, encoding="ascii")
        code, answer = call("kernel_gate", gated, {"release": NEW})
        assert (code, answer["passed"]) == (0, passed), text


@pytest.mark.parametrize("parameters, said", [
    ({}, "missing required arguments: release"), ({"release": NEW, "checks": [[]]}, "[] is not a command: give a list of its words"),
    ({"release": NEW, "checks": [["sh", 1]]}, "is not a command"), ({"release": NEW, "checks": [[""]]}, "is not a command"),
    ({"release": NEW, "checks": [{"a": 1}]}, "list"), ({"release": NEW, "modules": {"a": 1}}, "list"), ({"release": NEW, "log": "perhaps"}, "log"),
])
def test_kernel_gate_refuses(gated, refused, parameters, said):
    assert said in refused("kernel_gate", gated, parameters)


@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(st.dictionaries(st.sampled_from(["release", "modules", "log", "known"]), WORD))
def test_kernel_gate_answers_anything_cleanly(gated, call, parameters):
    code, answer = call("kernel_gate", gated, parameters)
    assert "Traceback" not in json.dumps(answer) and (answer["msg"] if code else isinstance(answer["passed"], bool))


def test_kernel_gate_warns_of_a_log_that_has_gone_round(gated, call, tmp_path, monkeypatch, warned):
    (tmp_path / "gated/dev/kmsg").write_text("6,9000,100,-;fine\n", encoding="ascii")
    monkeypatch.setattr(gated, "run", Host(gated.root).run)  # refused, as where there is no journal
    code, answer = call("kernel_gate", gated, {"release": NEW})
    assert (code, answer["passed"], len(warned)) == (0, True, 1) and "does not reach back to its start" in warned[0]


def test_kernel_gate_on_a_host_that_hides_its_log(gated, refused, tmp_path):
    (tmp_path / "gated/dev/kmsg").unlink()
    assert refused("kernel_gate", gated, {"release": NEW}) == "cannot read /dev/kmsg (ENOENT)"
