# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the scenarios' tests share: the guest's own state, the guest's QEMU, and the commands of a user."""
from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import paths
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.monitor import Monitor

HERE = pathlib.Path(__file__).parent
TESTBED = pathlib.Path(os.environ.get("MEMLAB_TESTBED", HERE / "default" / "testbed.qemu.yml"))

MEMORY = "/sys/devices/system/memory"
# blocks below it hold the memory that these guests boot with
BOOT_MEMORY = 32
# For ansible.builtin.reboot: sshd answers before udev has gone over the devices.
UDEV_DONE = "systemctl is-active --quiet systemd-udev-trigger.service && udevadm settle --timeout=120"
INJECTION = "/sys/kernel/debug/notifier-error-inject/memory/actions"

# Has the kernel fail the next block once another one is in a state: argv is block, state, file, errno number.
WATCHER = r"""
import sys, time
block, state, target, number = sys.argv[1:]
deadline = time.monotonic() + 600
print("ready", flush=True)
while time.monotonic() < deadline:
    with open("/sys/devices/system/memory/memory%s/state" % block) as stream:
        found = stream.read().strip()
    if found == state:
        with open(target, "w") as stream:
            stream.write("-" + number)
        break
    time.sleep(0.01)
"""

# For a shell: a program from stdin that goes on, and the end of that, if it is still there.
BACKGROUND = """program=$(cat)
setsid python3 -c "$program" %s > /tmp/background.$$ 2>&1 < /dev/null &
for turn in $(seq 1200); do ! grep -qs ready /tmp/background.$$ || { echo $!; exit; }; kill -0 $! || break; sleep 0.1; done
cat /tmp/background.$$; kill -9 -$!; exit 1"""
ENDED = "kill -9 -{0} 2>/dev/null || :; for turn in $(seq 1200); do test -d /proc/{0} || exit 0; sleep 0.1; done; exit 1"


class Finished:
    """A command that has ended: ``code``, ``output`` (both streams, without colours)."""

    def __init__(self, code, output):
        self.code = code
        self.output = re.sub(r"\x1b\[[0-9;]*m", "", output)

    @property
    def changed(self):
        """Tasks that changed something, over all hosts."""
        return sum(int(count) for count in re.findall(r"^\S+ +: ok=\d+ +changed=(\d+)", self.output, re.MULTILINE))

    def refusal(self, *facts):
        """Assert that this ended as a refusal should, with one message that holds all ``facts``. Returns the message."""
        assert self.code not in (0, 250), self.output
        assert "Traceback" not in self.output, self.output
        said = re.findall(r"^\[ERROR\]: (.*(?:\n(?!Origin:|fatal:|\[|<<<|\n).*)*)", self.output, re.MULTILINE)
        assert len(said) == 1, self.output
        for fact in facts:
            assert fact in said[0], self.output
        return said[0]


class Controller:
    """Runs what a user would, with this checkout's configuration."""

    collections = str(HERE.parent / ".venv" / "collections")

    def __init__(self, environment=None):
        # Molecule asks for colours.
        settings = {"ANSIBLE_CONFIG": str(HERE.parent / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        self.environment = dict(os.environ, **settings, **environment or {})

    def start(self, command, *arguments, **settings):
        """The running process, in a process group of its own, as a terminal's jobs are."""
        return subprocess.Popen([command, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env=dict(self.environment, **settings), start_new_session=True)

    def finish(self, process, seconds=1800):
        """What has ended within ``seconds``. What has not is ended, with what it has started: its locks would be the next test's failure."""
        try:
            output = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            raise AssertionError("still at work after %d s: %s" % (seconds, self.end(process)[-4000:])) from None
        return Finished(process.returncode, output)

    @staticmethod
    def end(process):
        """Interrupt the process and its group as a terminal does, kill them where that does not help. Returns what was said."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            try:
                return process.communicate(timeout=120)[0]
            except subprocess.TimeoutExpired as exc:
                said = exc.output or b""
        return said.decode("utf-8", "replace")

    def play(self, playbook, inventory=TESTBED, seconds=1800, **variables):
        """``ansible-playbook``, run to its end."""
        arguments = ["-i", inventory, playbook] + (["-e", json.dumps(variables)] if variables else [])
        return self.finish(self.start("ansible-playbook", *arguments), seconds)

    def module(self, host, module, seconds=1800, check=False, variables=None, **options):
        """``ansible -m``: one module on the guest, or with its result on ``localhost``. :arg variables: extra ones."""
        arguments = ["-i", TESTBED, host, "-m", "memlab.testbed." + module, "-a", json.dumps(options)] + (["--check"] if check else [])
        arguments += ["-e", json.dumps(variables)] if variables else []
        done = self.finish(self.start("ansible", *arguments, ANSIBLE_CALLBACK_RESULT_FORMAT="json"), seconds)
        answer = re.search(r"(?:=>|!) (\{.*\})", done.output, re.DOTALL)
        done.result = json.loads(answer.group(1)) if answer else None
        return done

    def state(self, guest="molehost"):
        """What the guest's /proc and /sys say now, whatever its port has become: ansible reads the inventory anew."""
        done = self.finish(self.start("ansible", "-i", TESTBED, guest, "-m", "ansible.builtin.script",
                                      "-a", json.dumps({"cmd": str(HERE / "machine_state.py"), "executable": "/usr/bin/python3"}),
                                      ANSIBLE_CALLBACK_RESULT_FORMAT="json"))
        assert done.code == 0, done.output
        return json.loads(json.loads(done.output[done.output.index("{"):])["stdout"])

    def four_steps(self, guest, module, **options):
        """The module in check mode, for real, for real again, in check mode again: changed, changed, not, not. Returns the second one's result."""
        steps = [self.module(guest, module, check=check, **options) for check in (True, False, False, True)]
        for done in steps:
            assert done.code == 0, done.output
        assert [done.result["changed"] for done in steps] == [True, True, False, False], [done.result for done in steps]
        return steps[1].result


class Guest:
    """A guest as a test handles it: a shell in it, modules on it, its blocks, and the kernel's fault injection."""

    def __init__(self, controller, inventory, name):
        self.controller = controller
        self.inventory = inventory
        self.name = name
        self._ssh = None

    # a shell

    def variables(self):
        """The guest's inventory variables, read anew."""
        done = subprocess.run(["ansible-inventory", "-i", str(self.inventory), "--host", self.name], env=self.controller.environment,
                              stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(done.stdout)

    def connect(self):
        """After a start the guest has another port."""
        values = self.variables()
        self._ssh = ["ssh", "-p", str(values["ansible_port"]), "-i", values["ansible_ssh_private_key_file"], *shlex.split(values["ansible_ssh_common_args"]),
                     "%s@%s" % (values["ansible_user"], values["ansible_host"])]

    def shell(self, script, given="", seconds=300):
        """What a script prints; it must succeed, and end within ``seconds``."""
        if self._ssh is None:
            self.connect()
        done = subprocess.run([*self._ssh, "set -e\n" + script], input=given, capture_output=True, text=True, timeout=seconds, check=False)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def background(self, program, *arguments):
        """A Python program that goes on after this, in a process group of its own; returns its process id once it has said "ready"."""
        return int(self.shell(BACKGROUND % " ".join(map(shlex.quote, map(str, arguments))), given=program))

    @contextlib.contextmanager
    def beside(self, program, *arguments):
        """A Python program, and what it has started, that is at work while this lasts and no longer. Gives its process id."""
        pid = self.background(program, *arguments)
        try:
            yield pid
        finally:
            self.shell(ENDED.format(pid))

    # modules

    def module(self, module, check=False, **options):
        return self.controller.module(self.name, module, check=check, **options)

    def memory_blocks(self, *devices, **options):
        return self.module("memory_blocks", devices=list(devices), **options)

    def start_memory_blocks(self, *devices, settings=None, **options):
        """The running process. :arg settings: environment variables of Ansible's."""
        return self.controller.start("ansible", "-i", self.inventory, self.name, "-m", "memlab.testbed.memory_blocks",
                                     "-a", json.dumps(dict(options, devices=list(devices))), **settings or {})

    # its memory

    def online(self):
        """Block id -> zone, of the blocks above boot memory that are online."""
        found = self.shell("cd %s; grep -H . memory[0-9]*/state memory[0-9]*/valid_zones" % MEMORY)
        said = {}
        for number, name, words in re.findall(r"^memory(\d+)/(\w+):(.*)$", found, re.MULTILINE):
            said.setdefault(int(number), {})[name] = words
        return {number: words["valid_zones"] for number, words in sorted(said.items()) if words["state"] == "online" and number >= BOOT_MEMORY}

    def policies(self):
        return self.shell("cat /sys/bus/dax/drivers_autoprobe %s/auto_online_blocks" % MEMORY).split()

    def wait_for_memory_devices(self, count):
        """Until the drivers have taken as many CXL memory devices: one that was plugged in a moment ago is not probed yet."""
        self.shell("for turn in $(seq 600); do test $(ls /sys/bus/cxl/devices | grep -c ^endpoint) = %d && exit; sleep 0.1; done; exit 1" % count)

    def left_behind(self):
        return self.shell("ls /run/memlab").split()

    # faults

    @contextlib.contextmanager
    def failing(self, action, number, after=None):
        """The kernel fails ``MEM_GOING_ONLINE`` or ``MEM_GOING_OFFLINE`` with this errno.

        :arg after: (block, state): from the moment on when that block is in that state. Whoever changes blocks must pause between them.
        """
        target = "%s/%s/error" % (INJECTION, action)
        self.shell("mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug; modprobe memory-notifier-error-inject; test -e %s" % target)
        if after is None:
            self.shell("echo -%d > %s" % (number, target))
        watcher = contextlib.nullcontext() if after is None else self.beside(WATCHER, after[0], after[1], target, number)
        try:
            with watcher:
                yield
        finally:
            self.shell("echo 0 > %s" % target)

    @staticmethod
    def refusal(done, *facts):
        """What a module returned that failed with one clean error which holds all ``facts``."""
        assert done.code not in (0, 250) and done.result is not None, done.output
        assert "Traceback" not in done.output, done.output
        said = done.result["msg"]
        assert not re.search("ffff[89a-f][0-9a-f]{11}", said), said
        for fact in facts:
            assert fact in said, said
        return done.result


@pytest.fixture(scope="session")
def controller():
    return Controller()


@pytest.fixture(scope="session", name="open_guest")
def guest_opener(controller):
    """A function that returns a :class:`Guest` by its name."""
    return lambda name: Guest(controller, TESTBED, name)


@pytest.fixture(scope="module")
def definition(host):
    """The guest's inventory variables."""
    return host.ansible.get_variables()


@pytest.fixture(scope="module")
def state(host):
    """A function that returns what the guest's /proc and /sys say now, see machine_state.py."""
    script = (HERE / "machine_state.py").read_text(encoding="utf-8")

    def look():
        done = host.run("python3 -c %s", script)
        assert done.rc == 0, done.stderr
        found = json.loads(done.stdout)
        found["blocks"] = {int(number): block for number, block in found["blocks"].items()}
        return found

    return look


@pytest.fixture(scope="module")
def qemu_pid(definition):
    directory = pathlib.Path(paths.guest_directory(definition["memlab_testbed"], definition["memlab_guest"]))
    return json.loads((directory / "process.json").read_text(encoding="ascii"))["pid"]


@pytest.fixture(scope="module")
def qmp(definition):
    """A function that asks the guest's own QEMU. It hangs up each time: QEMU talks to one client at a time, and modules are clients, too."""
    def execute(command, **arguments):
        with Monitor(paths.guest_directory(definition["memlab_testbed"], definition["memlab_guest"])) as monitor:
            return monitor.execute(command, arguments)

    return execute
