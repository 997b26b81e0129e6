# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""KVM or TCG, asked of the installed QEMU with kernels of a few instructions."""
from __future__ import annotations

import json
import os

import pytest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation import accelerator, kernel_image
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# 32-bit code. ICH9's PM1a control register is port 0x604 once the firmware has set it up: S5 with SLP_EN is 0x2000.
SWITCH_OFF = b"\x66\xba\x04\x06\x66\xb8\x00\x20\x66\xef\xf4\xeb\xfd"
# lidt of an empty table, then int3: a triple fault.
CRASH = b"\x0f\x01\x1d\x07\x00\x10\x00\xcc" + bytes(6)
HANG = b"\xf4\xeb\xfd"


@pytest.fixture(name="image")
def fixture_image(tmp_path, monkeypatch, pvh_kernel):
    """``image(code)``: directory of an image whose kernel is that code."""
    monkeypatch.setenv("MEMLAB_CACHE", str(tmp_path / "cache"))

    def make(code):
        (tmp_path / "kernel").write_bytes(pvh_kernel(code))
        (tmp_path / "initrd").write_bytes(b"070701")
        return str(tmp_path)
    return make


def test_the_kernels_of_this_test_are_ones(pvh_kernel):
    assert kernel_image.has_pvh_entry(pvh_kernel(SWITCH_OFF))


def test_a_guest_that_switches_itself_off_has_run(image):
    assert accelerator.runs_a_guest("tcg", image(SWITCH_OFF)) == (True, None)


@pytest.mark.parametrize("code", [CRASH, HANG])
def test_a_guest_that_crashes_or_hangs_has_not(image, monkeypatch, code):
    monkeypatch.setattr(accelerator, "_PATIENCE", 3)
    assert accelerator.runs_a_guest("tcg", image(code)) == (False, "a guest did not come up in 3 s")


def test_what_qemu_says_is_the_reason(image):
    directory = image(SWITCH_OFF)
    os.unlink(os.path.join(directory, "kernel"))
    works, why_not = accelerator.runs_a_guest("tcg", directory)
    assert not works
    assert why_not == "could not open kernel file '%s/kernel': No such file or directory" % directory


def test_the_choice_rests_on_a_guest_that_ran_and_is_remembered(image, tmp_path):
    directory = image(SWITCH_OFF)
    works, why_not = accelerator.runs_a_guest("kvm", directory)
    chosen = accelerator.choose(directory)
    openable = os.path.exists("/dev/kvm") and os.access("/dev/kvm", os.R_OK | os.W_OK)
    assert chosen[0] == ("kvm" if works else "tcg")
    assert chosen[1] in ("there is no /dev/kvm", "/dev/kvm may not be opened by this user", "a probe guest ran under it",
                         "KVM opens but runs no guest: %s" % why_not)
    kept = tmp_path / "cache" / "accelerator.json"
    assert kept.exists() == openable
    assert accelerator.choose(directory) == chosen


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps({"circumstances": {}, "accelerator": "kvm", "reason": "another machine's"})])
def test_an_answer_that_does_not_fit_is_not_used(image, tmp_path, content):
    kept = tmp_path / "kept.json"
    kept.write_text(content, encoding="ascii")
    directory = image(SWITCH_OFF)
    now = accelerator.circumstances()
    chosen, reason = accelerator._kept_or_found(str(kept), now, directory)
    assert reason != "another machine's"
    assert json.loads(kept.read_text(encoding="ascii")) == {"circumstances": now, "accelerator": chosen, "reason": reason}
    kept.write_text(json.dumps({"circumstances": now, "accelerator": "kvm", "reason": "kept"}), encoding="ascii")
    assert accelerator._kept_or_found(str(kept), now, directory) == ("kvm", "kept")


def test_no_qemu_is_said(image, monkeypatch):
    monkeypatch.setattr(accelerator, "QEMU", "memlab-no-such-qemu")
    with pytest.raises(TestbedError, match="memlab-no-such-qemu is not installed: run the role memlab.testbed.controller"):
        accelerator.runs_a_guest("tcg", image(SWITCH_OFF))
    with pytest.raises(TestbedError, match="memlab-no-such-qemu cannot be run"):
        accelerator.qemu_version()


def test_the_hypervisor_bit_is_hidden():
    for name in ("kvm", "tcg"):
        assert accelerator.arguments(name)[-1].endswith(",-hypervisor")
        assert accelerator.arguments(name, hypervisor_bit=True)[-1].endswith(",+hypervisor")


def test_only_emulated_processors_hide_fast_strings():
    assert accelerator.arguments("tcg") == ["-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm,-hypervisor"]
    assert accelerator.arguments("kvm") == ["-accel", "kvm", "-cpu", "host,-hypervisor"]
