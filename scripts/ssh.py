# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ssh.py INVENTORY [GUEST] [COMMAND...]: log in to a running guest the way Ansible does.

GUEST may be left out where only one guest is running. Exits 1 with one line where there is none to log in to.
"""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys


def running_guests(inventory):
    """Name -> host variables of the guests that have an ssh port, which only running ones do."""
    tool = os.path.join(os.path.dirname(sys.executable), "ansible-inventory")
    done = subprocess.run([tool, "-i", inventory, "--list"], stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)
    hostvars = json.loads(done.stdout)["_meta"]["hostvars"]
    return {name: values for name, values in hostvars.items() if "memlab_guest" in values and "ansible_port" in values}


def ssh_command(values):
    """The ssh command line for one guest's host variables."""
    command = ["ssh", "-p", str(values["ansible_port"]), "-i", values["ansible_ssh_private_key_file"]]
    command += shlex.split(values["ansible_ssh_common_args"])
    return command + ["%s@%s" % (values["ansible_user"], values["ansible_host"])]


def main(inventory, guest=None, *command):
    guests = running_guests(inventory)
    if not guests:
        sys.exit("no guest is running: `make pipeline` starts it")
    if guest is None and len(guests) == 1:
        guest = next(iter(guests))
    if guest not in guests:
        sys.exit("running guests: %s; name one with GUEST=..." % ", ".join(sorted(guests)))
    arguments = ssh_command(guests[guest]) + list(command)
    os.execvp(arguments[0], arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
