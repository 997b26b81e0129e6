# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Findings about CXL memory devices and the memory windows that lead to them."""
from __future__ import annotations

import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import cxl, decode_order, interleave, region_plan
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.finding import PROBLEM, found, mebibytes, when
from ansible_collections.memlab.testbed.plugins.module_utils.doctor.readings import ACPI_CXL, CEDT, PCI
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

# PCI class of CXL memory devices (CXL 3.1, 8.1.12.1): memory controller, CXL
CXL_MEMORY_CLASS = "0x0502"


def no_window(readings):
    """The firmware describes no memory window (CFMWS), so the memory of CXL devices is nowhere in the address space.

    Evidence: memory devices without a root decoder, the ACPI object and table for CXL.
    Remedy: firmware settings of the platform (QEMU: cxl-fmw); CONFIG_CXL_ACPI and its driver.
    """
    if readings.windows or not (readings.memory_devices or _pci_devices(readings)):
        return
    host = readings.host
    driver = host.link_name("/sys/bus/platform/devices/ACPI0017:00/driver")
    acpi = host.exists(ACPI_CXL) or host.exists("/sys/devices/platform/ACPI0017:00")
    yield found(PROBLEM, "there are CXL memory devices and no memory window that leads to them", {"host": "memory windows"},
                [(cxl.BUS, "%d memory devices, no root decoder with a size" % len(readings.memory_devices)),
                 (ACPI_CXL, "present" if acpi else None), (CEDT, "present" if host.exists(CEDT) else None),
                 ("/sys/bus/platform/devices/ACPI0017:00/driver", driver or ("cxl_acpi" if readings.bus.names("root[0-9]+") else None))],
                "let the firmware describe windows (CEDT with a CFMWS each; in a testbed file cxl.windows)" if readings.bus.names("root[0-9]+") or not acpi else
                "load cxl_acpi, which reads the windows from the CEDT")


def memory_device_unbound(readings):
    """A CXL memory device is on the PCI bus, and no driver made a working memory device of it.

    Evidence: its PCI class and its driver, or the memory device without the driver cxl_mem.
    Remedy: load cxl_pci and cxl_mem; the kernel log tells why a driver gave up.
    """
    known = {device.pci for device in readings.memory_devices}
    for address in _pci_devices(readings):
        if address not in known:
            yield found(PROBLEM, "the CXL memory device is on the PCI bus, and no driver has made a memory device of it", {"memory_devices": [address]},
                        [("%s/%s/class" % (PCI, address), readings.text("%s/%s/class" % (PCI, address))),
                         ("%s/%s/driver" % (PCI, address), readings.host.link_name("%s/%s/driver" % (PCI, address)))],
                        "load cxl_pci; where it has the device, the kernel log says why it gave up (mailbox, media not ready)")
    for device in readings.memory_devices:
        if not device.enabled:
            yield found(PROBLEM, "the memory device is there, and its driver cxl_mem did not set it up", readings.members([device.name]),
                        [("%s/%s/driver" % (cxl.BUS, device.name), None)],
                        "load cxl_mem and cxl_port; the kernel log says why a driver gave up; under QEMU a reboot leaves decoding switched on in the device, "
                        "which only a power cycle clears")


def no_fitting_window(readings):
    """No memory window takes a region of these memory devices: none leads to their host bridges, takes their kind of memory, or has room.

    Evidence: each window with its kinds, host bridges and free room.
    Remedy: other devices, another kind, or other firmware settings.
    """
    if not readings.windows:
        return
    taken = {name for region in readings.regions for name in region.members}
    groups = [(entry.subject, members, [entry.entry.type]) for entry in readings.wanted for members in [readings.memory_devices_of(entry)]
              if members and None not in members and readings.region_of(entry) is None]
    groups = groups or [(readings.members([device.name]), [device], [kind for kind in ("ram", "pmem") if getattr(device, kind)])
                        for device in readings.memory_devices if device.name not in taken and device.enabled]
    for subject, members, kinds in groups:
        bridges = {member.bridge for member in members}
        # A device of none that is declared may go with others; a declared set has to be met exactly.
        leading = [window for window in readings.windows if (bridges == set(window.bridges) if readings.wanted else bridges <= set(window.bridges))]
        fitting = [window for window in leading if any(getattr(window, kind) for kind in kinds)]
        largest = max([size for window in fitting for size in _pieces(readings, window)], default=0)
        reason = ("no memory window leads to %s and nothing else" % ", ".join(sorted(map(str, bridges))) if not leading else
                  "the memory windows of its host bridge take no %s" % " or ".join(kinds or ["memory that it has"]) if not fitting else
                  "the memory windows that fit are full" if largest < region_plan.EXTENT * len(members) else None)
        if reason:
            yield found(PROBLEM, reason, subject, [("%s/%s" % (cxl.BUS, window.name), _described(readings, window)) for window in readings.windows],
                        "name devices that share a window, or have the firmware make one for their host bridges" if not leading else
                        "make a region of the kind the window takes" if not fitting else
                        "remove a region that fills it; what is ordinary RAM since boot, only the firmware can give back")


def no_decoder(readings):
    """A host bridge, switch or memory device has no decoder that would take the region of declared memory devices ("failed to set target"): all are in use,
    one was given back before another that is in use, or a region at a higher address goes through it.

    Evidence: its decoders, the regions that have them, and how many count as used.
    Remedy: the order in which the regions can be made.
    """
    taken = {(region.mode, name) for region in readings.regions for name in region.members}
    for entry in readings.wanted:
        members, kind = readings.memory_devices_of(entry), entry.entry.type
        if not members or None in members or any((kind, member.name) in taken for member in members):
            continue
        windows = [window for window in readings.windows if set(window.bridges) == {member.bridge for member in members} and getattr(window, kind)]
        starts = [start for window in windows for start in [_start(readings, window, members, kind, entry.entry.size)] if start is not None]
        refusals = [exc for exc in (_decoded(readings, members, start) for start in starts) if exc is not None]
        if refusals and len(refusals) == len(starts):
            ports = dict.fromkeys(name for member in members for name in member.ports)
            yield found(PROBLEM, refusals[0].summary, entry.subject,
                        [("%s/%s/region" % (cxl.BUS, decoder), readings.text("%s/%s/region" % (cxl.BUS, decoder), needed=False) or None)
                         for port in ports for decoder in readings.bus.names("decoder%s[.][0-9]+" % re.sub("[a-z]+", "", port))] +
                        [("%s/%s/decoders_committed" % (cxl.BUS, port), readings.text("%s/%s/decoders_committed" % (cxl.BUS, port), needed=False))
                         for port in ports], refusals[0].remedy)


def wrong_target_order(readings):
    """The memory devices of a declared region are not in the order of the window's host bridges, or of the ports below them: the kernel refuses to attach them.

    Evidence: the window's targets, and the host bridge of each device in the declared order.
    Remedy: the order that fits.
    """
    for entry in readings.wanted:
        members = readings.memory_devices_of(entry)
        if len(members) < 2 or None in members or readings.region_of(entry) is not None:
            continue
        windows = [window for window in readings.windows if set(window.bridges) == {member.bridge for member in members}]
        if not windows or any(interleave.in_order(members, window.bridges) for window in windows):
            continue
        window = windows[0]
        better, reason = interleave.arrange(members, window.bridges)
        yield found(PROBLEM, "the order of the memory devices does not fit: the window's host bridges take turns, and so do the ports below them",
                    entry.subject,
                    [("%s/%s/target_list" % (cxl.BUS, window.name), ", ".join(map(str, window.bridges)))] +
                    [("%s/%s" % (cxl.BUS, member.name), member.bridge) for member in members],
                    "the order %s fits" % ", ".join(readings.name_of(member) for member in better) if better else
                    "the same number of devices is needed below each host bridge and port: there are %s" % reason)


def serials_not_unique(readings):
    """Memory devices have no serial number, or several have the same: a serial number does not name one of them.

    Evidence: the serial numbers.
    Remedy: name these devices by their PCI addresses.
    """
    alike = [device for device in readings.memory_devices if readings.name_of(device) == device.pci]
    if not alike:
        return
    named = {serial for entry in readings.wanted for serial in entry.memory_devices}
    yield found(when(any(device.serial in named for device in alike)), "%d memory devices have a serial number that is zero or not theirs alone" % len(alike),
                {"memory_devices": [device.pci for device in alike]}, [("%s/%s/serial" % (cxl.BUS, device.name), "%#x" % device.serial) for device in alike],
                "name them by PCI address: %s" % ", ".join(device.pci for device in alike))


def _pci_devices(readings):
    host = readings.host
    return [address for address in host.listdir(PCI) if (host.read_optional("%s/%s/class" % (PCI, address)) or "").startswith(CXL_MEMORY_CLASS)]


def _pieces(readings, window):
    """Bytes of each free piece of a window; a region takes one."""
    return [size for unused, size in region_plan.gaps(window, readings.regions, readings.physical_map or ())]


def _start(readings, window, members, kind, size):
    """Where a region would begin in a window; ``None`` where it has no room. The kernel takes the first free piece that is large enough."""
    free = region_plan.gaps(window, readings.regions, readings.physical_map or ())
    unit, largest = region_plan.EXTENT * len(members), max([length for unused, length in free], default=0)
    size = size or min(min(getattr(member, kind) for member in members) // region_plan.EXTENT * unit, largest // unit * unit)
    return next((start for start, length in free if size and length >= size), None)


def _decoded(readings, members, start):
    """The refusal of :func:`decode_order.check`, or ``None``."""
    try:
        decode_order.check(readings.ports, readings.regions, readings.memory_devices, members, start)
    except TestbedError as exc:
        return exc
    return None


def _described(readings, window):
    kinds = [kind for kind in ("ram", "pmem") if getattr(window, kind)]
    return "%s; to %s; %s free" % (" and ".join(kinds) or "no memory", ", ".join(map(str, window.bridges)), mebibytes(sum(_pieces(readings, window))))
