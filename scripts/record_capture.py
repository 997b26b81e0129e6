# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Record what memlab.testbed.memmap_facts and memlab.testbed.memory_doctor read on a machine, as one archive that can be sent and looked at elsewhere.

    python3 scripts/record_capture.py                      # as root, on the machine itself: writes memmap-capture-<release>.tgz
    python3 scripts/record_capture.py --bundle record.pyz  # anywhere: makes one file to copy to a machine without this collection
    python3 record.pyz                                   # there

Unpack the archive and give its directory as ``sysroot``. Python 3.9 or newer, standard library only; nothing on the machine is changed.

What is recorded, and what never is: plugins/module_utils/capture/recording.py.
"""
from __future__ import annotations

import standalone  # pylint: disable=unused-import

import argparse
import os
import sys
import zipfile

from ansible_collections.memlab.testbed.plugins.module_utils.capture.recording import record
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.placement import kernel


def bundle(target):
    """Write this tool and what it needs as one file that Python runs."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        here = os.path.dirname(os.path.abspath(__file__))
        archive.write(os.path.join(here, "record_capture.py"), "__main__.py")
        archive.write(os.path.join(here, "standalone.py"), "standalone.py")
        directories = set()
        for directory, unused, names in sorted(os.walk(os.path.join(standalone.ROOT, "plugins", "module_utils"))):
            inside = os.path.relpath(directory, standalone.ROOT)
            wanted = [name for name in sorted(names) if name.endswith(".py")]
            for depth in range(1, len(inside.split(os.sep)) + 1):
                parent = "/".join(inside.split(os.sep)[:depth]) + "/"
                # Packages without __init__.py are only found in archives that list their directories.
                if wanted and parent not in directories:
                    directories.add(parent)
                    archive.writestr(parent, "")
            for name in wanted:
                archive.write(os.path.join(directory, name), inside.replace(os.sep, "/") + "/" + name)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", metavar="FILE", help="the archive to write (default: memmap-capture-<release>.tgz)")
    parser.add_argument("--sysroot", default="/", metavar="DIRECTORY", help="record this tree instead of the running machine")
    parser.add_argument("--bundle", metavar="FILE", help="only write this tool as one file to run elsewhere")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.bundle:
            bundle(chosen.bundle)
            return "wrote %s: copy it to the machine and run it with python3, as root" % chosen.bundle
        host = Host(chosen.sysroot)
        output = chosen.output or "memmap-capture-%s.tgz" % (host.read_optional(kernel.OSRELEASE) or "unknown")
        content = record(host).archive()
        # Only root's eyes until the sender decides otherwise: physical addresses and serial numbers.
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            stream.write(content)
        return "wrote %s, %d bytes" % (output, len(content))
    except (TestbedError, OSError) as exc:
        sys.exit("error: %s" % exc)


if __name__ == "__main__":
    print(main())
