# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Loading a testbed file: read, merged with its defaults, validated completely. Nothing is started before this has succeeded."""
from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Dict

from ansible_collections.memlab.testbed.plugins.module_utils.emulation import schema, strict_yaml, topology, validation
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host

PLUGIN = "memlab.testbed.qemu"
SUFFIXES = (".qemu.yml", ".qemu.yaml")
# Ansible gives some of these names a meaning of its own, testbed is the group of all guests, the others are files beside the guests' directories.
RESERVED = ("all", "ungrouped", "localhost", "testbed", "keys", "known_hosts", "id_ed25519", "warm")

# A host's name may have dots, as an inventory has them.
GUEST_NAME = r"[a-z][a-z0-9_-]*([.][a-z0-9_-]+)*"
guest_name = schema.matching(GUEST_NAME, "a guest's name: a small letter, then small letters, digits, _, - or single dots")


@dataclass(frozen=True)
class Testbed:
    name: str
    path: str
    guests: Dict[str, topology.Guest]

    __test__ = False  # pytest collects classes called Test*


@dataclass(frozen=True)
class _File:
    """The top level of a testbed file."""

    plugin: Annotated[str, schema.matching(PLUGIN.replace(".", r"\."), PLUGIN)]
    testbed: Annotated[str, schema.name]
    guests: Annotated[Dict[str, Any], schema.mapping]
    defaults: Annotated[Dict[str, Any], schema.mapping] = field(default_factory=dict)


def load(path, physical_memory=None):
    """The :class:`Testbed` that the file ``path`` declares.

    :arg physical_memory: bytes of RAM of the machine that is to run the guests; ``None`` (listing them) leaves that check out.
    Raises :class:`TestbedError`: one line that names the file and, where they apply, the guest and the key path.
    """
    path = os.path.abspath(path)
    return parse(Host().read_bytes(path), path, physical_memory)


def parse(text, path, physical_memory=None):
    """As :func:`load`, of a file's text that may not be there yet."""
    file_name = os.path.basename(path)
    place = file_name
    try:
        declared = schema.record(_File)(strict_yaml.read(text), "")
        if not declared.guests:
            raise schema.Refused("guests", "none is declared")
        guests = {}
        for name, value in declared.guests.items():
            where = schema.below("guests", name)
            if guest_name(name, where) in RESERVED:
                raise schema.Refused(where, "%s is a name that Ansible or the testbed uses itself" % name)
            value = {} if value is None else schema.mapping(value, where)
            place = "%s: guest %s" % (file_name, name)
            guests[name] = topology.read_guest(name, {**declared.defaults, **value})
            validation.check(guests[name], physical_memory)
            place = file_name
        validation.check_together(guests.values(), physical_memory)
    except (schema.Refused, TestbedError) as exc:
        raise TestbedError("%s: %s" % (place, exc))
    except RecursionError:
        raise TestbedError("%s: nested too deeply, or within itself" % place)
    return Testbed(name=declared.testbed, path=path, guests=guests)
