# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing a file on the controller whole or not at all."""
from __future__ import annotations

import os
import tempfile

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name


def store(path, content, check_mode=False, mode=0o600):
    """``(changed, text before)``. A file that holds the same already is left alone. Raises :class:`TestbedError`.

    :arg content: text, or bytes, for which the text before is empty. :arg mode: permissions of a new file: what is in it may be meant for few eyes.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    try:
        before = b""
        if os.path.lexists(path):
            with open(path, "rb") as stream:
                before = stream.read()
            if before == data:
                return False, before.decode("utf-8", "replace") if data is not content else ""
        if not check_mode:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".memlab-")
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                os.chmod(temporary, mode)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        return True, before.decode("utf-8", "replace") if data is not content else ""
    except OSError as exc:
        raise TestbedError("cannot write %s (%s)" % (path, errno_name(exc.errno)))
