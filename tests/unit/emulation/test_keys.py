# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and known hosts, as ssh-keygen makes and reads them."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import keys
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host


@pytest.fixture(name="state", autouse=True)
def fixture_state(tmp_path, monkeypatch):
    """The directory of testbed ``lab``, below a cache directory whose name is awkward."""
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "a cache"))
    directory = tmp_path / "a cache" / "testbeds" / "lab"
    directory.mkdir(parents=True)
    return directory


def pinned(state, alias):
    """The host key that OpenSSH finds for an alias."""
    done = subprocess.run(["ssh-keygen", "-F", alias, "-f", str(state / "known_hosts")], stdout=subprocess.PIPE, text=True, check=False)
    return [line.split(" ", 1)[1] for line in done.stdout.splitlines() if not line.startswith("#")]


def public(path):
    with open(path + ".pub", encoding="ascii") as stream:
        return " ".join(stream.read().split()[:2])


def test_keys_are_made_once_and_pinned(state):
    keys.ensure(Host(), "lab", "a")
    before = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    keys.ensure(Host(), "lab", "a")
    assert {path: path.read_bytes() for path in state.rglob("*") if path.is_file()} == before
    assert pinned(state, "lab-a") == [public(keys.host_key("lab", "a"))]
    for path in (keys.user_key("lab"), keys.host_key("lab", "a")):
        assert os.stat(path).st_mode & 0o777 == 0o600
        # The passphrase is empty, and the key is whole.
        done = subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", path], stdout=subprocess.PIPE, text=True, check=True)
        assert done.stdout.split()[:2] == public(path).split()


def test_guests_have_keys_of_their_own(state):
    for guest in ("a", "b"):
        keys.ensure(Host(), "lab", guest)
    assert pinned(state, "lab-a") != pinned(state, "lab-b")
    assert keys.public_user_key("lab").split()[0] == "ssh-ed25519"


def test_a_key_whose_making_was_interrupted_is_made_anew(state):
    keys.ensure(Host(), "lab", "a")
    before = public(keys.host_key("lab", "a"))
    os.unlink(keys.host_key("lab", "a") + ".pub")
    keys.ensure(Host(), "lab", "a")
    assert public(keys.host_key("lab", "a")) != before
    assert pinned(state, "lab-a") == [public(keys.host_key("lab", "a"))]


def test_other_lines_stay(state):
    (state / "known_hosts").write_text("lab-a ssh-ed25519 OLD\nlab-ab ssh-ed25519 OTHER\n", encoding="ascii")
    keys.ensure(Host(), "lab", "a")
    lines = (state / "known_hosts").read_text(encoding="ascii").splitlines()
    assert lines == ["lab-ab ssh-ed25519 OTHER", "lab-a " + public(keys.host_key("lab", "a"))]


def test_guests_that_are_prepared_side_by_side(state):
    """Each in a process of its own, as Ansible does it for the hosts of a play."""
    guests = ["g%d" % number for number in range(6)]
    script = """
import sys
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import machine, topology
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
machine.Machine("lab", topology.read_guest(sys.argv[1], {"memory": "256M"})).prepare(Host())
"""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    running = [subprocess.Popen([sys.executable, "-c", script, name], env=environment) for name in guests]
    assert [one.wait() for one in running] == [0] * len(guests)
    for name in guests:
        assert pinned(state, "lab-" + name) == [public(keys.host_key("lab", name))]
