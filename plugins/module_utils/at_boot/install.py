# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The service that sets declared memory up at boot, as declared state: files, links, and systemd told of them."""
from __future__ import annotations

import collections
import contextlib
import os
import re

from ansible_collections.memlab.testbed.plugins.module_utils.at_boot import bundle, declared_file, hold, units
from ansible_collections.memlab.testbed.plugins.module_utils.boot.files import put
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# declared: declared_file.Declared; python: the interpreter's path; timeout: seconds that the service may take
Settings = collections.namedtuple("Settings", "declared python timeout")

PATHS = (units.PROGRAM, declared_file.PATH, units.MODPROBE, units.SYSTEM + "/" + units.HOLD, units.SYSTEM + "/" + units.SERVICE)
# Removed with the last file in them.
DIRECTORIES = ("/usr/local/lib/memlab", "/etc/memlab")


def files(settings):
    """``{path: bytes}`` of all that is installed. Raises :class:`TestbedError` for settings that could not work."""
    if not re.fullmatch(r"/[A-Za-z0-9._/+-]+", settings.python):
        raise TestbedError("python: %.80r is not an absolute path" % settings.python)
    if not settings.declared.wait < settings.timeout < 86400:
        raise TestbedError("timeout: %d s are not more than the %g s that the service waits for devices" % (settings.timeout, settings.declared.wait))
    texts = {declared_file.PATH: declared_file.dump(settings.declared), units.MODPROBE: units.modprobe(),
             units.SYSTEM + "/" + units.HOLD: units.hold_unit(),
             units.SYSTEM + "/" + units.SERVICE: units.service_unit(settings.python, settings.timeout)}
    return dict({path: text.encode("utf-8") for path, text in texts.items()}, **{units.PROGRAM: bundle.program()})


def apply(host, settings, present, check_mode=False):
    """The whole step. Returns ``(changed, before, after)``, the latter two ``{path: text}`` for a diff. Raises :class:`TestbedError`.

    :arg settings: :class:`Settings`, or ``None`` with ``present`` false.
    """
    wanted = files(settings) if present else {}
    if present and not host.exists(settings.python):
        raise TestbedError("this host has no %s" % settings.python, remedy="say with python which interpreter the service is to be run by")
    if not host.exists("/run/systemd/system"):
        if not present and not any(host.exists(path) for path in PATHS):
            return False, {}, {}
        raise TestbedError("this host is not run by systemd (there is no /run/systemd/system)")
    found = {path: host.read_bytes(path) for path in PATHS if host.exists(path)}
    stale = [path for path in PATHS if found.get(path) != wanted.get(path)]
    links = _links(host)
    relink = links != (set(units.WANTED) if present else set())
    held = not present and host.exists(hold.MARK)
    changed = bool(stale) or relink or held
    if changed and not check_mode:
        _change(host, stale, wanted, present, relink)
    return changed, _shown(found, links), _shown(wanted, units.WANTED if present else ())


def _change(host, stale, wanted, present, relink):
    if not present:
        # A unit that has done its work goes on being known until it is stopped. To stop it does nothing to memory.
        for unit in units.WANTED:
            if host.exists("%s/%s" % (units.SYSTEM, unit)):
                host.run(["systemctl", "disable", "--now", "--quiet", unit])
        hold.release(host)
    for path in stale:
        put(host, path, wanted.get(path))
    for directory in DIRECTORIES:
        with contextlib.suppress(OSError):
            os.rmdir(host.path(directory))
    host.run(["systemctl", "daemon-reload"])
    if present and relink:
        host.run(["systemctl", "enable", "--quiet"] + sorted(units.WANTED))
    if not present:
        _forget_failure(host)
    left = _links(host) ^ (set(units.WANTED) if present else set())
    if left:
        raise TestbedError("systemctl ended well, but %s is %s" % (", ".join(sorted(left)), "not enabled" if present else "still enabled"))


def _forget_failure(host):
    """systemd remembers a failed unit whose file has gone."""
    known = host.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--state=failed"])
    failed = [unit for unit in units.WANTED if unit in known.split()]
    if failed:
        host.run(["systemctl", "reset-failed"] + failed)


def _links(host):
    return {unit for unit, target in units.WANTED.items() if host.exists("%s/%s.wants/%s" % (units.SYSTEM, target, unit))}


def _shown(found, links):
    """For a diff: texts as they are, of the program its size."""
    texts = {path: "%d bytes\n" % len(content) if path == units.PROGRAM else content.decode("utf-8", "replace") for path, content in found.items()}
    texts.update(("%s/%s.wants/%s" % (units.SYSTEM, units.WANTED[unit], unit), "enabled\n") for unit in links)
    return texts
