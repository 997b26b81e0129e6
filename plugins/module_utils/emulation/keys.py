# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys of a testbed: one for its users, one for each guest's sshd, and the known hosts that pin them."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.paths import testbed_directory


def alias(testbed, guest):
    """The name that a guest's host key is pinned under (ssh's ``HostKeyAlias``): ports change, this does not."""
    return "%s-%s" % (testbed, guest)


def user_key(testbed):
    return os.path.join(testbed_directory(testbed), "id_ed25519")


def host_key(testbed, guest):
    return os.path.join(testbed_directory(testbed), "keys", guest)


def known_hosts(testbed):
    return os.path.join(testbed_directory(testbed), "known_hosts")


def ensure(host, testbed, guest):
    """Make what is missing of the testbed's and the guest's keys, and pin the guest's. The caller holds the testbed's lock."""
    directory = testbed_directory(testbed)
    os.makedirs(os.path.join(directory, "keys"), mode=0o700, exist_ok=True)
    for path, comment in ((user_key(testbed), "memlab-" + testbed), (host_key(testbed, guest), alias(testbed, guest))):
        if not os.path.exists(path + ".pub"):
            # A key without its public half is one whose making was interrupted.
            if os.path.exists(path):
                os.unlink(path)
            host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    pinned = known_hosts(testbed)
    wanted = "%s %s" % (alias(testbed, guest), " ".join(_read(host_key(testbed, guest) + ".pub").split()[:2]))
    lines = _read(pinned).splitlines() if os.path.exists(pinned) else []
    kept = [line for line in lines if line.split(" ")[0] != alias(testbed, guest)] + [wanted]
    if kept != lines:
        write_atomically(pinned, "".join(line + "\n" for line in kept))


def public_user_key(testbed):
    return _read(user_key(testbed) + ".pub")


def write_atomically(path, text):
    """Replace a file's content so that no reader ever sees half of it."""
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(path + ".new", path)


def _read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()
