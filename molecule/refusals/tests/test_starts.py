# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Guests that cannot start, do not come up, or are interrupted: a message, and no QEMU and no disk left."""
from __future__ import annotations

import os
import shutil
import signal
import socket
import sys

import pytest

PIPELINE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "scripts", "pipeline.py")


def interrupt(running):
    """Ctrl-C: every process of the terminal's foreground job gets it."""
    os.killpg(running.pid, signal.SIGINT)


def test_a_testbed_file_with_a_mistake(controller, tmp_path):
    wrong = tmp_path / "wrong.qemu.yml"
    wrong.write_text("{plugin: memlab.testbed.qemu, testbed: molecule-wrong, guests: {small: {memory: 512M, colour: red}}}", encoding="utf-8")
    ended = controller.finish(controller.start(sys.executable, PIPELINE, wrong, PYTHONPATH=controller.collections))
    ended.refusal("wrong.qemu.yml: guest small: colour: unknown key")


def test_a_guest_that_dies_while_it_boots(lab):
    bed = lab("molecule-dies", kernel_parameters=["rdinit=/nonexistent"])
    bed.up().refusal("guest small died while it was booting", "serial: ", "Kernel panic")
    assert (bed.processes(), bed.files()) == ([], [])


def test_a_port_that_is_in_use(lab):
    bed = lab("molecule-port")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bed.up(qemu_testbed_ssh_port=port).refusal("port %d on 127.0.0.1 is in use" % port)
    assert (bed.processes(), bed.files()) == ([], [])


def test_an_interrupted_start_leaves_no_guest_and_the_next_one_works_alone(lab, controller):
    bed = lab("molecule-interrupted")
    first = bed.start_up()
    bed.wait_for_qemu(first)
    interrupt(first)
    done = controller.finish(first)
    bed.at_rest()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert (bed.processes(), bed.files()) == ([], []), done.output

    second = bed.start_up()
    bed.wait_for_qemu(second)
    other = controller.module("localhost", "qemu_guest", testbed_file=str(bed.file), name="small")
    other.refusal("guest small of testbed molecule-interrupted is being worked on by another run")
    done = controller.finish(second)
    assert done.code == 0, done.output
    assert len(bed.processes()) == 1


def test_the_pipeline_is_interrupted_and_never_runs_twice_at_once(lab, controller):
    bed = lab("molecule-pipeline")
    first = controller.start(sys.executable, PIPELINE, bed.file, PYTHONPATH=controller.collections)
    bed.wait_for_qemu(first)
    other = controller.finish(controller.start(sys.executable, PIPELINE, bed.file, PYTHONPATH=controller.collections))
    other.refusal("the pipeline of ", "being worked on by another run", str(first.pid))
    assert len(bed.processes()) == 1
    # as a terminal does it: the pipeline's own process gets the signal, its playbook is in a group of its own
    interrupt(first)
    done = controller.finish(first)
    assert done.code == 130, done.output
    assert "Traceback" not in done.output
    assert (bed.processes(), bed.files()) == ([], []), done.output


@pytest.fixture
def on_small_disk():
    """A command's start that gives it a cache directory on a file system of 64 MiB, in a mount namespace of its own."""
    tool = shutil.which("unshare")
    assert tool is not None, "util-linux is part of every Debian system"
    options = ["--mount"] if os.geteuid() == 0 else ["--map-root-user", "--mount"]
    script = "mount -t tmpfs -o size=64M,mode=0700 tmpfs \"$MEMLAB_CACHE\" && \"$@\"; code=$?; echo LEFT; ls -A \"$MEMLAB_CACHE/images\"; exit $code"
    return [tool, *options, "sh", "-c", script, "sh"]


def test_a_disk_without_room_for_the_image(lab, controller, tmp_path, on_small_disk):
    bed = lab("molecule-full")
    cache = tmp_path / "cache"
    cache.mkdir()
    running = controller.start(*on_small_disk, "ansible-playbook", "-i", bed.file, "memlab.testbed.testbed_up", MEMLAB_CACHE=str(cache))
    done = controller.finish(running)
    done.refusal("no room for a guest image", "has 63M free, building takes up to 3G", "MEMLAB_CACHE")
    # listed after the play, before the file system went: nothing half built is left
    left = done.output.partition("\nLEFT\n")[2].split()
    assert left and [name for name in left if not name.endswith(".lock")] == []
