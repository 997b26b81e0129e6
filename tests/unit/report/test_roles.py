# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The roles verify and report, run by ansible-playbook on facts that are there already."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        memmap: "{{ lookup('ansible.builtin.file', inventory_dir ~ '/facts.json') | from_json }}"
        cacheable: true
    - ansible.builtin.import_role:
        name: memlab.testbed.report
    - ansible.builtin.import_role:
        name: memlab.testbed.verify
      vars:
        verify_gather: false
        verify_assertions: "{{ asserted | default([]) }}"
"""


MODULE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        memmap: "{{ lookup('ansible.builtin.file', inventory_dir ~ '/facts.json') | from_json }}"
        cacheable: true
    - memlab.testbed.memory_report:
        path: "{{ path | default(omit) }}"
        variable: "{{ variable | default(omit) }}"
      run_once: true
"""


@pytest.fixture(name="play")
def make_play(tmp_path, collection, gathered, declared):
    """Runs both roles on facts of a machine where everything is as declared; returns exit code and output."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "facts.json").write_text(json.dumps(gathered()))
    (directory / "play.yml").write_text(PLAY)
    # The declaration is a template, as an inventory's may be.
    hosts = {"all": {"hosts": {"cxlhost": {"ansible_connection": "local", "first": "0x1", "memory_devices": declared}}}}
    hosts["all"]["hosts"]["cxlhost"]["memory_devices"][0]["serial"] = "{{ first }}"
    (directory / "hosts.json").write_text(json.dumps(hosts))

    def run(*arguments):
        environment = dict(os.environ, MEMLAB_CACHE=str(tmp_path / "cache"), ANSIBLE_CONFIG=str(collection / "ansible.cfg"), LC_ALL="C.UTF-8",
                           ANSIBLE_INVENTORY_ENABLED="yaml", ANSIBLE_FORCE_COLOR="0", ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"))
        done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", str(directory / "hosts.json"), *arguments,
                               str(directory / "play.yml")], env=environment, cwd=str(collection), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout
    return run


def test_report_and_verify(play, tmp_path):
    code, output = play()
    assert code == 0, output
    assert "        0x1 dax0.0  512M  4/4     movable  1     device         device  tables, flags, zones  8M on node 1\n" in output
    assert "All 17 statements hold." in output
    written = json.loads((tmp_path / "cache/reports/site.json").read_text())
    assert written["hosts"]["cxlhost"]["devices"][1]["memmap"]["nodes"] == {"0": 8 << 20}
    assert "changed=0 " in play()[1]


def test_check_mode_writes_no_report_and_shows_what_it_would_be(play, tmp_path):
    code, output = play("--check", "--diff")
    assert code == 0 and '+    "cxlhost": {' in output and "changed=1 " in output, output
    assert not (tmp_path / "cache").exists()


def test_a_report_that_cannot_be_written_is_said(play, tmp_path):
    (tmp_path / "cache").write_text("a file")
    code, output = play()
    assert code == 2 and "cannot write %s/cache/reports/site.json (" % tmp_path in output, output
    assert "Traceback" not in output


def test_memory_report_in_four_steps(play, tmp_path):
    """Check mode, run, run again, check again, and without a file."""
    (tmp_path / "site/play.yml").write_text(MODULE)
    path, changes = tmp_path / "made/for/it.json", []
    for check in (True, False, False, True):
        code, output = play(*["--check"] * check, "-e", "path=%s" % path)
        assert code == 0 and "0x1 dax0.0  512M  4/4     movable  1     device" in output and "As JSON: %s" % path in output, output
        changes.append((re.search(r"changed=(\d)", output).group(1), path.exists()))
    assert changes == [("1", False), ("1", True), ("0", True), ("0", True)]
    assert path.stat().st_mode & 0o777 == 0o644 and list(json.loads(path.read_text())["hosts"]) == ["cxlhost"]
    path.unlink()
    code, output = play("-e", json.dumps({"variable": "elsewhere", "elsewhere": [{"serial": "0x1", "memmap": "dram"}]}))
    assert code == 0 and "changed=0 " in output and "As JSON" not in output and not path.exists(), output
    # what another variable declares is what is wanted
    assert "0x1 dax0.0  512M  4/4     movable  1     dram" in output, output


def test_memory_report_refuses_what_it_does_not_know(play, tmp_path):
    (tmp_path / "site/play.yml").write_text(MODULE.replace("variable:", "colour:"))
    code, output = play("-e", "variable=blue")
    assert code == 2 and "colour" in output and "Traceback" not in output, output


def test_everything_that_fails_is_said(play):
    code, output = play("--check", "-e", json.dumps({"asserted": [{"expression": "length(devices) > `2`", "message": "too few devices"}, {"expression": "["}],
                                                     "memory_devices": [{"serial": "0x1", "memmap": "dram"}]}))
    assert code == 2, output
    assert "4 of 11 statements do not hold:\n" in output
    for line in ("memory device 0x1 (dax0.0), blocks 32-35: memmap: wanted dram (no page on a device's memory), found self, 8M on node 1",
                 "too few devices: length(devices) > `2` returned false", "not a JMESPath expression: ["):
        assert "\n        %s" % line in output
    assert "Traceback" not in output
