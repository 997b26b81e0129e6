# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Playbooks on simulated hosts, and an sshd for what is reached by ssh."""
from __future__ import annotations

import getpass
import os
import pathlib
import shutil
import socket
import subprocess
import time

import pytest

from ansible_collections.memlab.testbed.tests.simulated.fleet import Fleet


@pytest.fixture(name="fleet")
def make_fleet(tmp_path):
    """A function that makes a :class:`Fleet`."""
    return lambda hosts=4, directory=".", **settings: Fleet(tmp_path / directory, hosts, **settings)


@pytest.fixture(scope="session")
def collection():
    """The checkout's top directory."""
    return pathlib.Path(__file__).parents[2]


@pytest.fixture(name="ssh")
def own_sshd(tmp_path):
    """An sshd of the test's own on 127.0.0.1, with keys of its own; the words of the ssh command that reaches it."""
    directory = tmp_path / "sshd"
    directory.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    shutil.copy(directory / "user.pub", directory / "authorized")
    # Its directory for privilege separation, which the system's own service would make.
    os.makedirs("/run/sshd", exist_ok=True)
    server, words = started(directory)
    try:
        deadline = time.monotonic() + 120
        while subprocess.run(words + ["true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False).returncode:
            ended = server.poll() is not None
            if ended or time.monotonic() > deadline:
                server.terminate()
                said = server.communicate()[1]
                assert ended and "Address already in use" in said, said
                # somebody else was given the port meanwhile
                server, words = started(directory)
        yield words
    finally:
        with server:
            server.terminate()


def started(directory):
    """An sshd on a port that was free a moment ago, and the words of the ssh command that reaches it."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    (directory / "known").write_text("[127.0.0.1]:%d %s" % (port, (directory / "host.pub").read_text()))
    lines = ["Port %d" % port, "ListenAddress 127.0.0.1", "HostKey %s" % (directory / "host"), "AuthorizedKeysFile %s" % (directory / "authorized"),
             "PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no"]
    (directory / "config").write_text("\n".join(lines) + "\n")
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    server = subprocess.Popen([program, "-D", "-e", "-f", str(directory / "config")], stderr=subprocess.PIPE, text=True)
    words = ["ssh", "-F", "none", "-p", str(port), "-i", str(directory / "user"), "-o", "UserKnownHostsFile=%s" % (directory / "known"), "-o", "BatchMode=yes",
             "-o", "IdentitiesOnly=yes", "%s@127.0.0.1" % getpass.getuser()]
    return server, words
