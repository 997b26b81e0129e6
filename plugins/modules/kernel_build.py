#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernels built from source, once for the same inputs."""
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_build
short_description: Build a kernel's packages, or find those already built
version_added: "0.1.0"
description:
  - Builds a patched kernel on a builder, reproducibly, and keeps it in the user's cache under the digest of its inputs. One that is there is used.
  - Source trees, objects and compiled results are kept as well, so that a changed patch or fragment rebuilds what it touches, and a build that was
    interrupted goes on where it was.
  - While it builds, stage, objects done, of how many, and the time are shown. The packages are brought to the controller.
  - All that can be known is refused before anything is built. That is a source that is not what its digest says, missing tools, a full disk, a patch
    that does not apply, and a symbol that does not come out as asked.
options:
  source:
    description: The source. Exactly one of O(source.package), O(source.tarball) and O(source.repository).
    type: dict
    required: true
    suboptions:
      package:
        description: Debian's source package, such as V(linux-source-6.1), downloaded and verified by apt.
        type: str
      version:
        description: The package's version. By default the newest.
        type: str
      suite:
        description:
          - Debian suite that the package is in, for a builder of another one, by default the builder's own.
          - Without O(source.version), the first version that was the newest stays the one that is used.
        type: str
      tarball:
        description: A tarball, a path on the builder or a URL.
        type: str
      digest:
        description: SHA-256 digest of O(source.tarball), 64 hexadecimal digits. Required with it.
        type: str
      repository:
        description: A git repository, as git takes it.
        type: str
      commit:
        description: Full hash of the commit of O(source.repository).
        type: str
  patches:
    description: Patches in the order in which they apply, see P(memlab.testbed.kernel_patches#lookup).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the patch, for messages and the manifest.
        type: str
        required: true
      content:
        description: The patch's bytes, as base64.
        type: str
        required: true
      strip:
        description: Leading directories to strip from its paths.
        type: int
        default: 1
  fuzz:
    description: How many context lines of a patch may differ. V(0) forbids fuzz.
    type: int
    default: 0
  base:
    description: What the configuration starts from.
    type: dict
    required: true
    suboptions:
      name:
        description: V(allnoconfig), V(tinyconfig), V(defconfig), V(localmodconfig), or with O(base.content) a configuration file's name.
        type: str
        required: true
      content:
        description: Text of a configuration file.
        type: str
      modules:
        description: Names of the modules that the host has loaded, one a line, for V(localmodconfig). What follows a name is not looked at.
        type: str
  fragments:
    description: Configuration fragments over the base. Each symbol in them must come out as asked.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the fragment.
        type: str
        required: true
      content:
        description: Text of the fragment.
        type: str
        required: true
  localversion:
    description: What is added to the kernel's version to make its release. By default C(-memlab.) and the first 8 digits of the key.
    type: str
  compiler:
    description: The compiler. Its package in Debian has the same name.
    type: str
    default: gcc
  jobs:
    description: Jobs that run at once. By default one for each processor.
    type: int
  ccache:
    description: Keep compiled objects in a ccache as well, one for each source.
    type: bool
    default: true
  distcc:
    description: Hosts that compile, too, as distcc's DISTCC_HOSTS names them (V(host/4)). They need the same compiler.
    type: list
    elements: str
    default: []
  progress:
    description: File to write how far the build is to, as JSON. By default one of the module's own that is shown.
    type: path
requirements:
  - gcc, make, binutils, flex, bison, bc, perl, patch, ccache, kmod, dpkg and the headers of libelf and OpenSSL on the builder
author:
  - memlab.testbed contributors (@memlab)
extends_documentation_fragment:
  - memlab.testbed.attributes
  - memlab.testbed.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - A kernel is made from nothing. RV(manifest) says what is in it.
  idempotent:
    support: full
  platform:
    platforms: linux
seealso:
  - module: memlab.testbed.kernel_builder_facts
"""

EXAMPLES = r"""
- name: Debian's 6.1 with the shipped series
  memlab.testbed.kernel_build:
    source:
      package: linux-source-6.1
    patches: "{{ query('memlab.testbed.kernel_patches', './patches') }}"
    base:
      name: allnoconfig
    fragments: "{{ query('memlab.testbed.kernel_fragments', './testbed.config') }}"
"""

RETURN = r"""
artifact:
  description: C(key), C(release), C(directory), C(packages) and C(manifest), paths being the controller's.
  returned: success, in check mode when the artifact is there
  type: dict
manifest:
  description:
    - Digests of source, patches and configuration, versions of compiler and linker, and the artifact's files with their digests.
  returned: success, in check mode when the artifact is there
  type: dict
remarks:
  description: Where a patch applied at an offset, or with fuzz.
  returned: success
  type: list
  elements: str
seconds:
  description: How long it took on the builder.
  returned: success, except in check mode
  type: float
missing:
  description: Tool or header to Debian package, for each that the builder lacks. All else that can be known without them has been checked before.
  returned: failure for want of tools
  type: dict
apt:
  description: Whether the builder has apt.
  returned: failure for want of tools
  type: bool
root:
  description: Whether the module runs as root.
  returned: failure for want of tools
  type: bool
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.memlab.testbed.plugins.module_utils.devices import signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import artifact, build

SOURCE = {name: {"type": "str"} for name in ("package", "version", "suite", "tarball", "digest", "repository", "commit")}
TEXT = {"name": {"type": "str", "required": True}, "content": {"type": "str", "required": True}}


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "dict", "required": True, "options": SOURCE},
            "patches": {"type": "list", "elements": "dict", "default": [], "options": dict(TEXT, strip={"type": "int", "default": 1})},
            "fuzz": {"type": "int", "default": 0},
            "base": {"type": "dict", "required": True,
                     "options": {"name": {"type": "str", "required": True}, "content": {"type": "str"}, "modules": {"type": "str"}}},
            "fragments": {"type": "list", "elements": "dict", "default": [], "options": TEXT},
            "localversion": {"type": "str"},
            "compiler": {"type": "str", "default": "gcc"},
            "jobs": {"type": "int"},
            "ccache": {"type": "bool", "default": True},
            "distcc": {"type": "list", "elements": "str", "default": []},
            "progress": {"type": "path"},
        },
        supports_check_mode=True,
    )
    began = time.monotonic()
    try:
        if module.check_mode:
            key, found = build.look(Host(), module.params)
            there = {} if found is None else {"artifact": artifact.answer(key, found), "manifest": found}
            module.exit_json(changed=found is None, remarks=[], **there)
        with signals.as_errors():
            changed, answer, found, remarks = build.ensure(Host(), module.params, module.params["progress"])
    except TestbedError as exc:
        module.fail_json(**exc.fail_arguments())
    module.exit_json(changed=changed, artifact=answer, manifest=found, remarks=remarks, seconds=round(time.monotonic() - began, 2))


if __name__ == "__main__":
    main()
