# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The boot loader of a host, whichever it is: what it can start, what it starts by default and what once."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.boot import files, grub, systemd_boot
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

RELEASE = "/proc/sys/kernel/osrelease"


class Grub(object):
    """What GRUB's files say, and the ways to change it."""

    name, trial_id, why_not_once = "grub", grub.TRIAL_ID, staticmethod(grub.why_not_once)

    def __init__(self, host):
        self.host = host

    def entries(self):
        return grub.entries(self.host)

    def default(self):
        return grub.default(self.host, self.entries())

    def once(self):
        return grub.once(self.host, self.entries())

    def for_release(self, release):
        return grub.for_release(self.entries(), release)

    def pinned(self):
        return grub.pinned(self.host)

    def set_default(self, entry):
        grub.pin(self.host, entry)

    def held(self):
        """Whether the default was chosen, so that no installation of a kernel changes it."""
        return self.host.exists(grub.PIN)

    def let_go(self):
        """Take that choice back."""
        grub.unpin(self.host)

    def set_once(self, entry):
        if entry is not None:
            reason = grub.why_not_once(self.host)
            if reason:
                raise TestbedError("an entry cannot be chosen for one boot: " + reason, remedy="put /boot on a plain partition")
        grub.write_environment(self.host, next_entry=None if entry is None else entry.id)

    @staticmethod
    def why_fixed():
        """Why the default cannot be changed now, or ``None``."""
        return None

    def why_not_alone(self, entry):
        """Why an entry would not start without somebody at the console, or ``None``."""
        return grub.why_not_alone(self.host, entry)

    def update(self):
        grub.update(self.host)

    def put_trial(self, entry, parameters):
        """The entry for a boot on trial. :arg entry: ``None`` removes it. Returns whether anything changed."""
        return files.put(self.host, grub.TRIAL, entry and grub.trial_text(entry, parameters))

    @staticmethod
    def copies(entry):
        """Where there is a copy of the kernel, or ``None``: GRUB reads /boot."""
        return None

    @staticmethod
    def command_line(entry):
        return grub.command_line(entry)


class SystemdBoot(object):
    """What systemd-boot's files and variables say, and the ways to change it."""

    name, trial_id, why_not_once = "systemd-boot", systemd_boot.TRIAL_ID, staticmethod(systemd_boot.why_not_once)

    def __init__(self, host):
        self.host = host

    def entries(self):
        return systemd_boot.entries(self.host)

    def default(self):
        return systemd_boot.default(self.host, self.entries())

    def once(self):
        return systemd_boot.once(self.host, self.entries())

    def for_release(self, release):
        return systemd_boot.for_release(self.entries(), release)

    def pinned(self):
        return systemd_boot.pinned(self.host, self.entries())

    def set_default(self, entry):
        systemd_boot.set_default(self.host, entry)

    def held(self):
        return bool(systemd_boot.variable(self.host, "LoaderEntryDefault"))

    def let_go(self):
        if self.held():
            self.host.run(["bootctl", "set-default", ""])

    def set_once(self, entry):
        systemd_boot.set_once(self.host, entry)

    def why_fixed(self):
        return systemd_boot.why_not_once(self.host)

    @staticmethod
    def why_not_alone(entry):
        return None

    def update(self):
        pass  # an entry is a file: there is no list to write anew

    def put_trial(self, entry, parameters):
        if entry is not None:
            return files.put(self.host, systemd_boot.trial_place(entry.place), systemd_boot.trial_text(entry, parameters))
        removed = [files.put(self.host, systemd_boot.trial_place(place), None) for place in systemd_boot.partitions(self.host)]
        return any(removed)

    @staticmethod
    def copies(entry):
        """The partition of an entry, which kernel-install has copied the kernel to."""
        return entry.place

    @staticmethod
    def command_line(entry):
        return systemd_boot.command_line(entry)


def find(host):
    """The host's boot loader. Raises :class:`TestbedError` for one that is not known."""
    if systemd_boot.in_use(host):
        return SystemdBoot(host)
    if host.exists(grub.CONFIGURATION):
        return Grub(host)
    if systemd_boot.installed(host):
        return SystemdBoot(host)
    raise TestbedError("neither GRUB (%s) nor systemd-boot (loader/entries on the EFI system partition) starts this host" % grub.CONFIGURATION,
                       remedy="a kernel can be tried for one boot with these two only")


def running(host):
    """Release of the running kernel."""
    return host.read(RELEASE)


def look(host, loader):
    """What a user sees: loader, entries, default, whether it is held, why it cannot be changed, once, running.

    Entries that start no kernel of this system are left out.
    """
    entry, once = loader.default(), loader.once()
    known = [{"id": found.id, "title": found.title, "release": found.release} for found in loader.entries() if found.release]
    return {"loader": loader.name, "entries": known, "default": entry and entry.id, "default_release": entry and entry.release, "held": loader.held(),
            "fixed": loader.why_fixed(), "once": once and once.id, "running": running(host)}


def choose(loader, word):
    """The entry that a release, an id or a title means. Raises :class:`TestbedError` with what there is."""
    known = loader.entries()
    found = loader.for_release(word) or next((entry for entry in known if word in (entry.id, entry.id.split(">")[-1], entry.title)), None)
    if found is None:
        releases = sorted({entry.release for entry in known if entry.release})
        raise TestbedError("%s has no entry %.80s" % (loader.name, word), remedy="it has kernels %s" % (", ".join(releases) or "none"))
    return found


def apply(host, default=None, once=None, hold=None, check_mode=False):
    """The whole step of module boot_entry. Returns (changed, before, after), both as :func:`look`. Raises :class:`TestbedError` before the first change.

    :arg default: release, id or title of the entry to be the default. :arg once: of the one for the next boot alone; ``""`` for none.
    :arg hold: whether the default stays when kernels are installed; ``None``: as it is, but a default that is chosen stays.
    """
    loader = find(host)
    before = look(host, loader)
    if default and hold is False:
        raise TestbedError("a default that is chosen is held", remedy="leave out hold, or default")
    default = default or (before["default_release"] if hold else None)
    chosen = choose(loader, default) if default else None
    single = choose(loader, once) if once else None
    reason = loader.why_not_once(host) if single else None
    if reason:
        raise TestbedError("no entry can be chosen for one boot: " + reason)
    move = chosen is not None and (before["default"] != chosen.id or not loader.pinned())
    free = hold is False and before["held"]
    aim = once is not None and before["once"] != (single and single.id)
    if check_mode:
        after = dict(before, held=move or before["held"] and not free)
        if move:
            after.update({"default": chosen.id, "default_release": chosen.release})
        if aim:
            after["once"] = single and single.id
        return move or free or aim, before, after
    if move:
        loader.set_default(chosen)
    if free:
        loader.let_go()
    if aim:
        loader.set_once(single)
    after = look(host, loader)
    if chosen is not None and after["default"] != chosen.id:
        raise TestbedError("%s was told to start %s by default, and would start %s" % (loader.name, chosen.id, after["default"]))
    return move or free or aim, before, after
