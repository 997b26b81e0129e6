# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A kernel on trial: installed beside the others, chosen for one boot, then confirmed or taken away.

The file :data:`RECORD` says on the host how far a trial has come, so that a run that lost its controller, its connection or its power is
gone on with, or undone, by the next.
"""
from __future__ import annotations

import collections
import json
import os
import time

from ansible_collections.memlab.testbed.plugins.module_utils.boot import files, gate, loader, packages, safeguards
from ansible_collections.memlab.testbed.plugins.module_utils.devices import boot_line, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

RECORD = "/var/lib/memlab/kernel-trial.json"

# release; packages: as packages.describe returns them; directory: where they are on this host, and are removed, or None; parameters: of the one boot;
# watchdog, deadline: seconds; kexec: whether firmware is left out
Wanted = collections.namedtuple("Wanted", "release packages directory parameters watchdog deadline kexec")


def record(host):
    """What is written down of a trial, or ``None``."""
    try:
        found = json.loads(host.read_optional(RECORD) or "null")
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("release"), str):
        return None
    lists = {name: found[name] for name in ("known", "fresh", "brought") if name in found}
    return found if all(isinstance(each, list) and all(isinstance(word, str) for word in each) for each in lists.values()) else None


def arm(host, wanted, check_mode=False):
    """Install and choose for one boot. Returns a dict: changed, stage, release, release_before, default_before, held_before, packages, repaired, watchdog,
    and warnings where the new kernel has no watchdog, or this one's log is not whole.

    ``stage`` is ``armed``, ``booted`` where the kernel runs already but is not the default yet, or ``accepted`` where nothing is left to do.
    Everything that can be known is refused before the first change; what fails after that is undone. Raises :class:`TestbedError`.
    """
    if check_mode:
        return _arm(host, wanted, check_mode)
    packages.check_distribution(host)
    with packages.alone(host):
        return _arm(host, wanted, check_mode)


def _arm(host, wanted, check_mode):
    boot, before = _examine(host, wanted)
    earlier = record(host)
    answer = {"changed": False, "release": wanted.release, "release_before": loader.running(host), "default_before": before.id, "repaired": [],
              "held_before": (earlier or {}).get("held_before", boot.held()), "packages": [entry["package"] for entry in wanted.packages],
              "watchdog": safeguards.drivers(host, loader.running(host))}
    if answer["release_before"] == wanted.release:
        written = earlier if earlier and earlier["release"] == wanted.release else {}
        if before.release == wanted.release and not written:
            return dict(answer, stage="accepted")
        # where nothing is written down, somebody has booted it by hand: what comes back is the default
        answer.update(stage="booted", release_before=before.release)
        return dict(answer, **{name: written[name] for name in ("release_before", "default_before") if name in written})
    half = packages.interrupted(host)
    if half:
        answer["repaired"].append("dpkg had been interrupted at %s" % ", ".join(half))
    if earlier:
        answer["repaired"].append("a trial of %s had not come to its end" % earlier["release"])
    answer.update(changed=True, stage="armed")
    if check_mode:
        return answer  # the files are brought when they are needed, and that is known by this answer
    absent = [path for path in _paths(wanted) if not host.exists(path)]
    if absent:
        raise TestbedError("there is no package %s" % absent[0])
    if earlier and earlier["release"] != wanted.release:
        _abandon(host, earlier)
        earlier = None
    known = packages.states(host)
    fresh = [entry["package"] for entry in wanted.packages if known.get(entry["package"], ("",))[0] in ("", "not-installed", "config-files")]
    # what an earlier run had installed afresh is still the trial's to take away
    fresh += [name for name in (earlier or {}).get("fresh", []) if name not in fresh]
    brought, gap = _paths(wanted) if wanted.directory else [], gate.log_since_start(host)[1]
    written = dict(answer, fresh=fresh, brought=brought, known=gate.troubles(host), begun=time.time(), stage="installing")
    files.put(host, RECORD, json.dumps(written, indent=1, sort_keys=True) + "\n")
    try:
        with signals.as_errors():
            said = _change(host, boot, before, wanted, bool(half))
    except TestbedError as exc:
        raise _undone(host, exc)
    files.put(host, RECORD, json.dumps(dict(written, stage="armed"), indent=1, sort_keys=True) + "\n")
    for path in brought:
        files.put(host, path, None)
    os.sync()
    warnings = said["warnings"] + ([gap] if gap else [])
    return dict(answer, watchdog=said["watchdog"], **({"warnings": warnings} if warnings else {}))


def _examine(host, wanted):
    """(loader, entry that is the default now). Raises :class:`TestbedError` for whatever can be known beforehand."""
    packages.check_descriptions(wanted.packages)
    packages.check_distribution(host)
    boot_line.check(wanted.parameters)
    if not 5 <= wanted.watchdog <= 2046:
        raise TestbedError("watchdog: %d is not from 5 to 2046 seconds" % wanted.watchdog)
    if wanted.deadline <= wanted.watchdog:
        raise TestbedError("deadline: %d s are not more than the watchdog's %d" % (wanted.deadline, wanted.watchdog))
    boot, running = loader.find(host), loader.running(host)
    before = boot.default()
    if before is None or before.release is None:
        raise TestbedError("%s starts no kernel of this system by default" % boot.name, remedy="choose one with memlab.testbed.boot_entry")
    before = boot.for_release(before.release) or before
    if running not in (before.release, wanted.release):
        raise TestbedError("kernel %s runs, and %s is the default: a failed trial would not come back to what runs" % (running, before.release),
                           remedy="make one of both what the other is, with memlab.testbed.boot_entry or a reboot")
    known = packages.states(host)
    missing = [entry for entry in wanted.packages if known.get(entry["package"]) != ("installed", entry["version"])]
    if wanted.release in (running, before.release):
        if missing:
            raise TestbedError("%s is the running kernel or the default, and %s differs from what is installed" % (wanted.release, missing[0]["file"]),
                               remedy="give the new kernel a release of its own (LOCALVERSION)")
        return boot, before
    reason = boot.why_not_alone(before)
    if reason:
        raise TestbedError("a failed trial would not come back by itself: " + reason,
                           remedy="give it --unrestricted (CLASS in /etc/grub.d/10_linux), and the submenu that it is in, or set GRUB_DISABLE_SUBMENU=y")
    own = host.run(["dpkg", "--print-architecture"]).strip() if host.live else None
    for entry in wanted.packages:
        if own and entry["architecture"] not in (own, "all"):
            raise TestbedError("%s is for %s, and this host is %s" % (entry["file"], entry["architecture"], own))
    reason = None if wanted.kexec else boot.why_not_once(host)
    if reason:
        raise TestbedError("a kernel cannot be tried for one boot: " + reason)
    if wanted.kexec and not any(host.exists(place + "/kexec") for place in ("/usr/sbin", "/sbin")):
        raise TestbedError("the tool kexec is not installed", remedy="install kexec-tools, or let the host reboot through its firmware")
    brought_to = wanted.directory if wanted.directory and host.exists(wanted.directory) else None
    packages.check_space(host, missing, boot.copies(before), brought_to)
    return boot, before


def _change(host, boot, before, wanted, interrupted):
    """Returns what :func:`arm` answers of the watchdog."""
    names = record(host)["watchdog"]
    if interrupted:
        packages.repair(host)
    if not boot.pinned() or boot.default().id != before.id:
        boot.set_default(before)
    safeguards.put(host, names, wanted.watchdog, wanted.deadline)
    packages.install(host, _paths(wanted))
    for name in ("vmlinuz", "initrd.img"):
        place = "/boot/%s-%s" % (name, wanted.release)
        if not host.exists(place) or not os.stat(host.path(place)).st_size:
            raise TestbedError("the packages are installed, but there is no %s" % place)
    if boot.for_release(wanted.release) is None:
        boot.update()
    entry = boot.for_release(wanted.release)
    if entry is None:
        raise TestbedError("the packages are installed, but %s has no entry for %s" % (boot.name, wanted.release))
    now = boot.default()
    if now is None or now.id != before.id:
        raise TestbedError("installing %s has made %s the default" % (wanted.release, now and now.id))
    drivers, built = safeguards.of_kernel(host, names, wanted.release)
    given = safeguards.parameters(wanted.parameters, wanted.watchdog, built)
    boot.put_trial(entry, given)
    if wanted.kexec:
        host.run(["kexec", "--load", "/boot/vmlinuz-" + wanted.release, "--initrd=/boot/initrd.img-" + wanted.release,
                  "--command-line=" + boot.command_line(loader.choose(boot, boot.trial_id))])
    else:
        boot.set_once(loader.choose(boot, boot.trial_id))
    return {"watchdog": drivers, "warnings": safeguards.lacks(host, drivers, names, wanted.release)}


def _paths(wanted):
    """Where the package files are on this host."""
    return [os.path.join(wanted.directory, entry["file"]) if wanted.directory else entry["path"] for entry in wanted.packages]


def _undone(host, failure):
    with signals.deferred():
        try:
            _abandon(host, record(host))
            failure.details.append("undone: the packages are removed, the default entry is what it was")
        except TestbedError as exc:
            failure.details.append("could not undo: %s" % exc.summary)
            failure.changed = True
    return failure


def accept(host, release, keep=None, check_mode=False):
    """Make the running kernel the default and end its trial. Returns a dict: changed, removed (releases), warnings. Raises :class:`TestbedError`.

    :arg keep: kernels to keep beside the running one and the earlier default when the trial ends; ``None`` keeps all. What is removed is gone for good.
    """
    if keep is not None and keep < 0:
        raise TestbedError("keep: %d is not a number of kernels" % keep)
    boot, running = loader.find(host), loader.running(host)
    if running != release:
        raise TestbedError("%s cannot be made the default: %s runs" % (release, running))
    entry, now, earlier = loader.choose(boot, release), boot.default(), record(host)
    # by its release, too: a menu that was written anew may have given its entry another id
    before = [found.release for found in boot.entries() if earlier and found.id == earlier.get("default_before")]
    before += [earlier["release_before"]] if earlier and isinstance(earlier.get("release_before"), str) else []
    installed = packages.kernels(host)
    move = now is None or now.id != entry.id or not boot.pinned()
    # once it has ended nobody knows the earlier default any more, which is to stay
    gone = packages.surplus(installed, {running, release} | set(before), keep) if keep is not None and earlier else []
    changed, said = bool(move or earlier or gone), []
    if changed and not check_mode:
        if move:
            boot.set_default(entry)
        if boot.default().id != entry.id:
            raise TestbedError("%s was told to start %s by default, and would start %s" % (boot.name, entry.id, boot.default().id))
        try:
            if gone:
                with packages.alone(host, timeout=120):
                    packages.purge(host, [installed[name] for name in gone])
        except TestbedError as exc:
            # the new kernel is accepted for all that
            said.append("kernels that are not to be kept could not be removed: %s" % exc.summary)
            gone = [name for name in gone if name not in packages.kernels(host)]
        _end(host, boot)
        os.sync()
    return dict({"changed": changed, "removed": gone, "release": release}, **({"warnings": said} if said else {}))


def abandon(host, release=None, names=(), check_mode=False):
    """Take a trial back: no one-shot, no entry of its own, none of the packages that it brought. Returns a dict: changed, removed (packages), remembered.

    :arg release: of the kernel, where no trial of it is written down any more; :arg names: its packages then.
    Raises :class:`TestbedError`, with nothing changed, when that kernel runs or is the default.
    """
    written = record(host)
    if release and (written is None or written["release"] != release):
        owner = packages.kernels(host).get(release)
        written = {"release": release, "fresh": list(names) or ([owner] if owner else []), "begun": time.time()}
    if written is None:
        return {"changed": False, "removed": [], "remembered": []}
    if check_mode:
        return _abandon(host, written, check_mode)
    with packages.alone(host):
        return _abandon(host, written)


def _abandon(host, written, check_mode=False):
    """Within packages.alone(). :arg written: as :func:`record` returns it."""
    boot, running = loader.find(host), loader.running(host)
    now = boot.default()
    for word, used in (("runs", running), ("is the default", now and now.release)):
        if used == written["release"]:
            raise TestbedError("kernel %s cannot be taken away: it %s" % (used, word))
    known, unknown = packages.states(host), packages.unfinished(host)
    # where dpkg was cut off before it wrote its database, it is told to remove what it may not know: it passes over that
    there = [name for name in written.get("fresh", []) if unknown or known.get(name, ("not-installed",))[0] != "not-installed"]
    changed = bool(there) or record(host) is not None
    left = gate.remembered(host, written.get("begun", 0.0))
    if changed and not check_mode:
        _end(host, boot, keep_record=True)
        packages.purge(host, there)
        if packages.interrupted(host):
            packages.repair(host)
        _empty_modules(host, written["release"])
        for path in written.get("brought", []):
            files.put(host, path, None)
        after = boot.default()
        if now and (after is None or after.id != now.id):
            files.put(host, RECORD, None)
            raise TestbedError("removing %s has made %s the default" % (written["release"], after and after.id))
        if written.get("held_before") is False:
            _let_go(boot, now)
        files.put(host, RECORD, None)
        os.sync()
    return {"changed": changed, "removed": there, "remembered": left}


def _let_go(boot, entry):
    """Do not hold the default any more, unless it would then be another kernel than ``entry``'s: one that was installed meanwhile."""
    boot.let_go()
    after = boot.default()
    if entry and (after is None or after.release != entry.release):
        boot.set_default(boot.for_release(entry.release) or entry)


def _end(host, boot, keep_record=False):
    once = boot.once()
    if once is not None and once.id == boot.trial_id:
        boot.set_once(None)
    boot.put_trial(None, [])
    safeguards.remove(host)
    if not keep_record:
        files.put(host, RECORD, None)


def _empty_modules(host, release):
    """What depmod has left in a directory whose modules are gone."""
    directory = "/lib/modules/" + release
    names = host.listdir(directory)
    if names and all(name.startswith("modules.") for name in names):
        for name in names:
            files.put(host, "%s/%s" % (directory, name), None)
        os.rmdir(host.path(directory))
