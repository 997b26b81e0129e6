# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The host's memory after a restart that nobody attends, and what is left of it when the declaration does not hold. In the order of the file."""
from __future__ import annotations

import re

import pytest

from ansible_collections.memlab.testbed.molecule.conftest import TESTBED

GUEST = "boothost"
SERVICE = "memlab-memory.service"
KMEM = {"serial": "0x1", "memmap": "device"}
DRAM = {"serial": "0x2", "memmap": "dram", "zone": "kernel", "amount": 2}
NVDIMM = {"nvdimms": ["0x1"], "namespace": {"name": "ram", "mode": "devdax", "map": "mem"}, "mode": "system-ram", "memmap": "dram", "allow_data_loss": True}
WHOLE = [KMEM, DRAM, NVDIMM]
SPARE = {"serial": "0x3", "memmap": "dram"}
# Seconds that the service waits for a device that does not come.
WAIT = 12


@pytest.fixture(autouse=True)
def in_the_order_of_the_file(definition):
    """All tests are of the one guest: pytest puts those that say so before those that do not."""


@pytest.fixture(scope="module")
def on_guest(controller):
    """A function that has the guest's shell run a command: no module of anybody's. Returns exit code and output."""
    def run(command):
        done = controller.finish(controller.start("ansible", "-i", TESTBED, GUEST, "-m", "ansible.builtin.raw", "-a", command))
        code, output = re.search(r"rc=(\d+) >>\n(.*)", done.output, re.DOTALL).groups()
        noise = ("Shared connection to 127.0.0.1 closed.", "non-zero return code")
        return int(code), "\n".join(line for line in output.splitlines() if line not in noise).strip()
    return run


@pytest.fixture(scope="module")
def declare(controller):
    """A function that installs the service with a declaration."""
    def install(entries, **settings):
        done = controller.module(GUEST, "memory_boot_service", memory_devices=entries, **settings)
        assert done.code == 0, done.output
    return install


@pytest.fixture(scope="module")
def restart(controller, definition, on_guest):
    """A function that starts the guest anew, from outside, and waits until its systemd has nothing more to do. Returns what systemd then calls it."""
    def again(**options):
        done = controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=GUEST, state="restarted", **options)
        assert done.code == 0, done.output
        return on_guest("systemctl is-system-running --wait")[1]
    return again


@pytest.fixture(scope="module")
def provisioned(controller):
    done = controller.play("memlab.testbed.provision", memory_devices=WHOLE, provision_hosts=GUEST)
    assert done.code == 0, done.output
    return controller.state(GUEST)


def journal(on_guest):
    """What the service itself has said since the boot, line by line."""
    return on_guest("SYSTEMD_COLORS=0 journalctl -b -u %s -o cat _TRANSPORT=stdout --no-pager" % SERVICE)[1].splitlines()


def hot(state):
    """Block -> zone of online memory that is not the guest's own 2 GiB."""
    return {int(number): block["zones"] for number, block in state["blocks"].items() if int(number) >= 32 and block["state"] == "online"}


def unit_seconds(on_guest, unit, start, end):
    """Seconds between two moments of a unit's life."""
    said = dict(line.split("=") for line in on_guest("systemctl show -p %s,%s %s" % (start, end, unit))[1].splitlines())
    return (int(said[end]) - int(said[start])) / 1e6


def test_the_service_is_declared_state(controller, provisioned, on_guest):
    controller.four_steps(GUEST, "memory_boot_service", memory_devices=WHOLE)
    assert on_guest("systemctl is-enabled %s memlab-memory-hold.service" % SERVICE) == (0, "enabled\nenabled")
    assert controller.state(GUEST) == provisioned


def test_a_restarted_host_has_its_memory(controller, provisioned, restart, on_guest):
    assert restart() == "running"
    found = controller.state(GUEST)
    assert found["boot"] != provisioned["boot"]
    # where each block is, its zone, its node and its own first pages; regions, drivers, knobs; policies put back
    for key in ("blocks", "devices", "zones", "auto_online_blocks", "drivers_autoprobe", "left_behind"):
        assert found[key] == provisioned[key], key
    assert {serial: (entry["driver"], entry["knob"]) for serial, entry in found["devices"].items()} == {"0x1": ("kmem", "1"), "0x2": ("kmem", "0")}
    assert [line.split(":")[0] for line in journal(on_guest)] == ["0x1", "ram", "0x2"]


def test_a_device_that_is_gone_leaves_all_memory_offline(controller, declare, restart, on_guest):
    # the first one missing is named, and the others may take longer than that to appear
    declare([SPARE] + WHOLE, wait=WAIT, timeout=300)
    assert restart() == "degraded"
    assert hot(controller.state(GUEST)) == {}
    assert journal(on_guest)[0].startswith("nothing was brought online: no CXL memory device with serial 0x3")
    # the boot waited for the device as long as it may, and for nothing else
    assert unit_seconds(on_guest, SERVICE, "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic") < 240


def test_memory_that_appears_meanwhile_reaches_no_driver(controller, on_guest):
    """A region made by hand, after a boot on which the declaration did not hold: neither event nor bus binds its dax device."""
    memdev = "$(basename $(dirname $(grep -l '^0x1$' /sys/bus/cxl/devices/mem*/serial)))"
    assert on_guest("cxl create-region -t ram -d decoder0.0 -m %s && udevadm settle" % memdev)[0] == 0
    found = controller.state(GUEST)
    assert found["devices"]["0x1"]["driver"] is None
    assert hot(found) == {}
    assert on_guest("test -e /sys/bus/dax/drivers/kmem")[0] == 1


# One page of data in the namespace, as its owner's program writes it; prints what is there afterwards.
PAGE = """python3 -c 'import glob, mmap, os
(place,) = glob.glob("/sys/bus/dax/drivers/device_dax/dax*")
with mmap.mmap(os.open("/dev/" + os.path.basename(place), os.O_RDWR), 2 << 20) as page:
    page[:8] = page[:8] if page[:8].strip(bytes(1)) else b"precious"
    print(page[:8].decode())'"""


def test_data_at_risk_stays_and_leaves_all_memory_offline(controller, declare, on_guest):
    """A namespace's own program has it again, as on any host, and what it writes is not lost to a declaration that does not say so."""
    assert on_guest(PAGE)[1] == "precious"
    declare([KMEM, DRAM, dict(NVDIMM, allow_data_loss=False)], wait=1)
    assert on_guest("systemctl restart %s" % SERVICE)[0] != 0
    assert hot(controller.state(GUEST)) == {}
    assert any(re.match("nothing was brought online: .*namespace ram.*allow_data_loss", line) for line in journal(on_guest))
    assert on_guest(PAGE)[1] == "precious"


def test_the_limit_of_time(declare, on_guest):
    """The service waits for a device that does not come, and is ended: with its reason."""
    declare(WHOLE + [SPARE], wait=200, timeout=400)
    drop_in = "/run/systemd/system/%s.d" % SERVICE
    try:
        # its Python has to be up by then
        on_guest("mkdir -p %s && printf '[Service]\\nTimeoutStartSec=25\\n' > %s/limit.conf && systemctl daemon-reload" % (drop_in, drop_in))
        assert on_guest("systemctl restart %s" % SERVICE)[0] != 0
        assert on_guest("systemctl show -p Result --value %s" % SERVICE)[1] == "timeout"
        assert any("interrupted by SIGTERM" in line for line in journal(on_guest))
    finally:
        on_guest("rm -r %s && systemctl daemon-reload" % drop_in)


# Started, killed outright as soon as it holds dax devices back, and what systemd calls it when all of it is over.
KILLED = """systemctl start --no-block {0}
for turn in $(seq 1200); do test -e /run/memlab/at-boot && break; sleep 0.1; done
systemctl kill --signal=KILL {0}
for turn in $(seq 1200); do systemctl is-failed --quiet {0} && break; sleep 0.1; done
systemctl show -p Result --value {0}; ls /run/memlab; cat /sys/bus/dax/drivers_autoprobe""".format(SERVICE)


def test_killed_before_it_speaks(on_guest):
    """Its hold is then a killed run's like any other: the next module ends it."""
    assert on_guest(KILLED)[1].split() == ["signal", "held.json", "lock", "0"]
    assert any(line.startswith("killed before it could say what there is (KILL)") for line in journal(on_guest))


def test_it_is_put_right_without_a_restart(controller, definition, on_guest):
    done = controller.module("localhost", "qemu_guest", testbed_file=definition["memlab_testbed_file"], name=GUEST, plugged=["mem_a", "mem_b", "mem_c"])
    assert done.code == 0, done.output
    assert on_guest("systemctl restart %s" % SERVICE) == (0, "")
    found = controller.state(GUEST)
    assert found["devices"]["0x3"]["knob"] == "0" and found["devices"]["0x3"]["driver"] == "kmem"
    # 4 of the first device, 2 of the second, 3 of the NVDIMM, 2 of the spare one
    assert len(hot(found)) == 11
    assert (found["drivers_autoprobe"], found["auto_online_blocks"], found["left_behind"]) == ("1", "online", [])


@pytest.mark.parametrize("text, words", [("{", "is not JSON"), ('{"version": 2}', "version 2")])
def test_a_declaration_that_cannot_be_read(controller, on_guest, text, words):
    before = controller.state(GUEST)
    on_guest("echo '%s' > /etc/memlab/memory.json" % text)
    assert on_guest("systemctl restart %s" % SERVICE)[0] == 1
    assert words in journal(on_guest)[-1]
    assert controller.state(GUEST) == before


def test_nothing_of_it_stays(controller, on_guest):
    before = controller.state(GUEST)
    steps = [controller.module(GUEST, "memory_boot_service", state="absent", check=check) for check in (True, False, False, True)]
    assert [done.result["changed"] for done in steps] == [True, True, False, False]
    left = on_guest("find /etc /usr/local /run ! -path '/run/udev/*' -name '*memlab*' ! -name 'memlab-testbed*' ! -name '*memlab-testbed.conf'")[1]
    assert left == "/run/memlab"
    assert on_guest("systemctl list-units --all --plain --no-legend 'memlab-*'") == (0, "")
    assert controller.state(GUEST) == before
