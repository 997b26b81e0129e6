# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Recorded machines for the doctor, as they are or with something broken."""
from __future__ import annotations

import os
import pathlib
import shutil
import tarfile

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.doctor.diagnose import diagnose
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

UNIT = pathlib.Path(__file__).resolve().parents[1]
ARCHIVES = {path.stem: path for directory in ("captures", "devices/trees") for path in (UNIT / directory).glob("*.tgz")}
CXL = "/sys/bus/cxl/devices"
CONFIG = "/boot/config-6.12.118+deb13-amd64"
MODULES = "/lib/modules/6.12.118+deb13-amd64"


def values(entry):
    """A finding's evidence, file -> value."""
    return {item["file"]: item["value"] for item in entry["evidence"]}


class Patient:
    """A recorded tree that a test may change."""

    def __init__(self, root):
        self.root = root

    def path(self, name):
        return pathlib.Path(str(self.root) + name)

    def put(self, name, text):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")

    def edit(self, name, old, new):
        text = self.path(name).read_text(encoding="utf-8")
        assert old in text
        self.path(name).write_text(text.replace(old, new), encoding="utf-8")

    def remove(self, name):
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def ask(self, *wanted):
        return diagnose(Host(str(self.root)), list(wanted))

    def found(self, finding, *wanted):
        """The findings of one kind."""
        return [entry for entry in self.ask(*wanted)["findings"] if entry["finding"] == finding]

    def only(self, finding, *wanted):
        """The one finding of that kind."""
        entries = self.found(finding, *wanted)
        assert len(entries) == 1, entries
        return entries[0]


@pytest.fixture(name="unpacked", scope="session")
def unpack_archives(tmp_path_factory):
    """The directory of a recorded tree, by name."""
    done = {}

    def unpack(name):
        if name not in done:
            root = tmp_path_factory.mktemp(name)
            with tarfile.open(ARCHIVES[name]) as archive:
                # Its links lead about within the tree, as those of sysfs do. Pythons before 3.11.4 know no filters.
                archive.extraction_filter = getattr(tarfile, "tar_filter", None)
                archive.extractall(root)
            done[name] = root
        return done[name]
    return unpack


@pytest.fixture(name="recorded")
def look_at_recorded(unpacked):
    """A recorded machine, not to be changed."""
    return lambda name: Patient(unpacked(name))


@pytest.fixture(name="broken")
def copy_recorded(unpacked, tmp_path):
    """A copy of a recorded machine, for a test to break."""
    def copy(name):
        root = tmp_path / name
        shutil.copytree(unpacked(name), root, symlinks=True)
        os.chmod(root, 0o755)
        return Patient(root)
    return copy
