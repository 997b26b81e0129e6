# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Role kernel_build on a builder that is reached by ssh: what it shows, what it brings, and what it refuses.

The source is a makefile that knows a kernel's targets.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile

import pytest

# Compiling ends when the test has seen that it goes on, or after half a minute.
MAKEFILE = """\
allnoconfig:
\t@cat $(KCONFIG_ALLCONFIG) > $(KCONFIG_CONFIG)
all:
\t@echo "  CC      mm/a.o"; for i in $$(seq 300); do [ -e %s ] && break; sleep 0.1; done; echo $(LOCALVERSION) | tee $(O)/vmlinux $(O)/image > $(O)/System.map
kernelrelease:
\t@echo 6.1.0$(LOCALVERSION)
image_name:
\t@echo image
"""

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  become: "{{ becoming | default(false) }}"
  environment:
    MEMLAB_CACHE: "{{ builder_cache }}"
  tasks:
    - ansible.builtin.include_role:
        name: memlab.testbed.kernel_build
      when: by_role | default(true)
    - memlab.testbed.kernel_build:
        source: "{{ kernel_build_source }}"
        base: {name: allnoconfig}
      delegate_to: builder
      register: built
      when: not by_role | default(true)
    - ansible.builtin.copy:
        content: "{{ (kernel_build_artifact | default(built.artifact | default({}))) | to_json }}"
        dest: "{{ answer }}"
        mode: "0600"
      become: false
      changed_when: false
      check_mode: false
"""


class Run:
    """A run of the play: exit code, output, and the artifact that it ends with."""

    def __init__(self, code, output, answer):
        self.code, self.output = code, output
        self.artifact = json.loads(answer.read_text()) if code == 0 else None

    def changed(self):
        return int(re.search(r"changed=(\d+)", self.output).group(1))


@pytest.fixture(name="build")
def building(tmp_path, collection, ssh):
    """``build(*arguments, **variables)``; ``build.go`` is what compiling waits for."""
    source = tmp_path / "linux"
    go = tmp_path / "go"
    for name, text in {"Makefile": MAKEFILE % go, "Kconfig": "config A\n\tbool\n", "scripts/Kbuild.include": ""}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, encoding="ascii")
    with tarfile.open(tmp_path / "linux.tar", "w") as stream:
        stream.add(source, "linux")
    digest = hashlib.sha256((tmp_path / "linux.tar").read_bytes()).hexdigest()
    common = {"ansible_python_interpreter": sys.executable}
    reached = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": int(ssh[4]), "ansible_ssh_private_key_file": ssh[6],
               "ansible_ssh_args": " ".join(ssh[1:3] + ssh[7:-1])}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": {"localhost": {"ansible_connection": "local"}, "builder": reached}, "vars": common}}))
    (tmp_path / "playbook.yml").write_text(PLAYBOOK)
    environment = dict(os.environ, MEMLAB_CACHE=str(tmp_path / "here"), ANSIBLE_CONFIG=str(collection / "ansible.cfg"), LC_ALL="C.UTF-8", ANSIBLE_NOCOLOR="1",
                       ANSIBLE_INVENTORY_ENABLED="yaml", ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"), ANSIBLE_REMOTE_TEMP=str(tmp_path / "remote"))
    known = {"answer": str(tmp_path / "answer"), "builder_cache": str(tmp_path / "there"), "kernel_build_builder": "builder",
             "kernel_build_fragments": ["CONFIG_A=y"], "kernel_build_ccache": False, "kernel_build_install": False,
             "kernel_build_source": {"tarball": str(tmp_path / "linux.tar"), "digest": digest}}

    def build(*arguments, **variables):
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", str(tmp_path / "inventory.json"), *arguments,
                   "-e", json.dumps(dict(known, **variables)), str(tmp_path / "playbook.yml")]
        output = []
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            for line in run.stdout:
                output.append(line)
                if line.startswith("localhost: compiling: "):
                    go.touch()
        return Run(run.returncode, "".join(output), tmp_path / "answer")

    build.go = go
    return build


def files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_builder_s_progress_is_shown_and_its_packages_are_brought(build, tmp_path):
    """The play's become is not the build's: nothing here could become anybody."""
    done = build(becoming=True, ansible_become_exe="/nonexistent")
    assert done.code == 0, done.output
    assert "localhost: compiling: " in done.output and done.changed() == 1
    here = tmp_path / "here" / "kernels" / done.artifact["key"]
    assert done.artifact["directory"] == str(here)
    assert done.artifact["packages"] == [str(path) for path in here.glob("*.deb")] and len(done.artifact["packages"]) == 1
    brought, made = files(here), files(tmp_path / "there" / "kernels" / done.artifact["key"])
    assert json.loads(brought.pop("manifest.json")) == json.loads(made.pop("manifest.json")) and brought == made
    assert not list((tmp_path / "here" / "kernels").glob(".*"))
    again = build()
    assert (again.code, again.changed(), again.artifact) == (0, 0, done.artifact), again.output


@pytest.mark.parametrize("becoming", [False, True])
def test_the_module_brings_what_whoever_the_task_becomes_has_built(build, tmp_path, becoming):
    build.go.touch()
    done = build(by_role=False, becoming=becoming, ansible_become_method="su")
    assert done.code == 0, done.output
    assert done.artifact["directory"] == str(tmp_path / "here" / "kernels" / done.artifact["key"])
    known = json.loads((tmp_path / "here" / "kernels" / done.artifact["key"] / "manifest.json").read_text())
    for name, entry in known["artifacts"].items():
        assert hashlib.sha256((tmp_path / "here" / "kernels" / done.artifact["key"] / name).read_bytes()).hexdigest() == entry["sha256"]


def test_check_mode_builds_nothing(build, tmp_path):
    done = build("--check")
    assert (done.code, done.artifact) == (0, {}), done.output
    assert not (tmp_path / "there").exists() and not (tmp_path / "here").exists()


@pytest.mark.parametrize("variables, said", [
    ({}, "The builder lacks memlab-cc-99: installing is switched off by kernel_build_install"),
    ({"kernel_build_fuzz": 4}, "fuzz is the number of context lines that may differ, 0 to 3, not 4"),
    ({"kernel_build_patches": ["no-such-series"]}, "there is no series 'no-such-series'"),
    ({"kernel_build_config_base": "host"}, "name the host (kernel_build_config_host)"),
])
def test_what_cannot_be_is_refused_before_tools_are_installed(build, tmp_path, variables, said):
    done = build(kernel_build_compiler="memlab-cc-99", **variables)
    assert done.code == 2 and said in " ".join(done.output.replace("\\", "").split()), done.output
    assert "The builder lacks" not in done.output or not variables
    assert not (tmp_path / "there").exists() and not (tmp_path / "here").exists()
