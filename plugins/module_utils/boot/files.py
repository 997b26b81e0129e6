# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Small files of ours on a host, replaced in one step and on the disk when the step is done."""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


def put(host, place, text, mode=0o644):
    """Replace a file in one step; ``None`` removes it. :arg text: or bytes. Returns whether it was not so already. Raises :class:`TestbedError`."""
    real = host.path(place)
    try:
        if text is None:
            if not os.path.lexists(real):
                return False
            os.unlink(real)
            return True
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        if os.path.isfile(real) and host.read_bytes(place) == data and os.stat(real).st_mode & 0o777 == mode:
            return False
        os.makedirs(os.path.dirname(real), mode=0o755, exist_ok=True)
        # hidden: neither grub-mkconfig nor mkinitramfs nor systemd takes it for one of theirs
        new = os.path.join(os.path.dirname(real), ".%s.new" % os.path.basename(real))
        with open(new, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(new, mode)
        os.replace(new, real)
        directory = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True
    except OSError as exc:
        raise TestbedError("cannot %s %s (%s)" % ("remove" if text is None else "write", place, errno_name(exc.errno)))


def link(host, place, target):
    """Make a symbolic link, whatever was there. Raises :class:`TestbedError`."""
    real = host.path(place)
    try:
        os.makedirs(os.path.dirname(real), mode=0o755, exist_ok=True)
        if os.path.lexists(real):
            os.unlink(real)
        os.symlink(target, real)
    except OSError as exc:
        raise TestbedError("cannot write %s (%s)" % (place, errno_name(exc.errno)))
