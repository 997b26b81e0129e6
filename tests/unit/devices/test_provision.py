# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook provision in check mode, run by ansible-playbook: its roles and modules as they are, on a recorded machine."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.devices import dax

# Modules look at the machine that they run on. Here that is the recorded one: whatever reads below / reads below its tree.
HOOK = """
import importlib.abc
import importlib.machinery
import sys

NAME = "ansible_collections.memlab.testbed.plugins.module_utils.host"


class Recorded(importlib.abc.MetaPathFinder):

    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        real = spec.loader

        class Loader(importlib.abc.Loader):

            def __getattr__(self, name):
                return getattr(real, name)

            def exec_module(self, module):
                real.exec_module(module)
                begin = module.Host.__init__
                module.Host.__init__ = lambda self, root="/": begin(self, %r if root == "/" else root)
        spec.loader = Loader()
        return spec


sys.meta_path.insert(0, Recorded())
"""
DEVICES = [{"serial": "0x1", "memmap": "device"}, {"serial": "0x2", "memmap": "dram", "zone": "kernel", "amount": "50%"}]


@pytest.fixture(name="provision")
def make_playbook(tmp_path, collection):
    """Runs the playbook on a recorded machine; returns exit code, output and what each module answered, by the module's name."""
    (tmp_path / "hook").mkdir()
    interpreter = tmp_path / "python"
    interpreter.write_text('#!/bin/sh\nPYTHONPATH=%s exec %s "$@"\n' % (tmp_path / "hook", sys.executable))
    interpreter.chmod(0o755)

    def run(host, *arguments, user=None, **variables):
        (tmp_path / "hook/sitecustomize.py").write_text(HOOK % host.root)
        known = {"ansible_connection": "local", "ansible_user": "root", "memory_devices": DEVICES, "ansible_python_interpreter": str(interpreter)}
        if user:
            del known["ansible_user"]
        inventory = {"all": {"hosts": {"cxlhost": dict(known, **variables)}}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory))
        environment = dict(os.environ, MEMLAB_CACHE=str(tmp_path / "cache"), ANSIBLE_CONFIG=str(collection / "ansible.cfg"), LC_ALL="C.UTF-8",
                           ANSIBLE_INVENTORY_ENABLED="yaml", ANSIBLE_FORCE_COLOR="0", ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"),
                           USER=user or "root", ANSIBLE_BECOME_ALLOW_SAME_USER="1")
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", str(tmp_path / "hosts.json"), *arguments,
                               "memlab.testbed.provision"], env=environment, cwd=str(collection), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout
    return run


def installed(host):
    """A host that boots by GRUB, without the boot parameter that a memmap on the device needs."""
    host.put(dax.BOOT_PARAMETER, "N")
    host.put("/proc/cmdline", "root=/dev/vda1 ro quiet")
    for name in ("/usr/sbin/update-grub", "/usr/bin/python3", "/run/systemd/system/session-1.scope"):
        host.put(name, "")
    return host


STEPS = ("See to the boot parameters", "See to the regions of the declared memory devices",
         "See to the declared dax devices, each with its memmap where it belongs", "Put the declared amount of memory online, block by block")


def changed(output):
    """Which of the steps said that they would change something."""
    tasks = output.split("\nTASK [")
    return [step for step in STEPS for task in tasks if ": %s]" % step in task.splitlines()[0] and "\nchanged: [cxlhost]" in task]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_fresh_host(provision, fresh, allowed):
    """Every step is previewed, the ones behind the restart, too, and nothing is claimed to have happened."""
    code, output = provision(installed(fresh), "--check", "--diff", memmap_policy_reboot=allowed, provision_at_boot=allowed,
                             memory_devices_allow_data_loss=allowed)
    assert code == 0, output
    assert "was started without memory_hotplug.memmap_on_memory=1: a run would set that and %s" % (
        "restart the host." if allowed else "stop, because memmap_policy_reboot does not allow to restart the host.") in " ".join(output.split())
    assert "was restarted" not in output
    assert changed(output) == list(STEPS)
    # in what the service reads at boot, too
    assert output.count('"allow_data_loss": true') == (len(DEVICES) if allowed else 0)
    assert fresh.log == []


def test_a_host_that_has_memory_online_in_another_way(provision, bound):
    """The restart ends that, so it is in the way of nothing behind it."""
    bound.put("/sys/bus/dax/devices/dax0.0/memmap_on_memory", "0")
    bound.put("/sys/devices/system/memory/memory345/state", "online")
    bound.put("/sys/devices/system/memory/memory345/valid_zones", "Normal")
    bound.put("/sys/bus/dax/devices/dax1.0/memmap_on_memory", "1")
    code, output = provision(installed(bound), "--check")
    assert code == 0, output
    assert STEPS[2] in changed(output)


def test_a_host_that_is_as_declared(provision, bound):
    bound.put("/proc/cmdline", "root=/dev/vda1 ro quiet memory_hotplug.memmap_on_memory=1")
    code, output = provision(bound, "--check", memmap_policy_boot_loader="external")
    assert code == 0, output
    assert changed(output) == list(STEPS[3:])


def test_nothing_is_passed_over_where_no_restart_would_help(provision, fresh):
    installed(fresh).unlink(dax.BOOT_PARAMETER)
    code, output = provision(fresh, "--check")
    assert code == 2, output
    assert "this kernel cannot keep a memmap on the device: it has no %s" % dax.BOOT_PARAMETER in " ".join(output.split())
    assert "Traceback" not in output


def test_the_user_who_runs_it_is_the_one_that_ssh_takes(provision, bound, tmp_path):
    """Where nothing names the user: anybody but root becomes root on the host."""
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\necho "$@" >> %s\nwhile [ "$1" != /bin/sh ]; do shift; done\nexec "$@"\n' % (tmp_path / "raised"))
    sudo.chmod(0o755)
    settings = {"ansible_become_exe": str(sudo), "memory_devices": [], "memmap_policy_boot_loader": "external"}
    for user, raised in (("root", False), ("somebody", True)):
        code, output = provision(bound, "--check", user=user, **settings)
        assert code == 0, output
        assert (tmp_path / "raised").exists() is raised, user
