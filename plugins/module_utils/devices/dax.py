# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Dax devices as the kernel shows them below ``/sys/bus/dax``, and their moves between drivers.

The knob ``memmap_on_memory`` is an intent, kept per device and acted on when kmem adds the memory
(Documentation/ABI/testing/sysfs-bus-dax; drivers/dax/bus.c:memmap_on_memory_store, 6.12). Kernel 6.1 has no such file.
"""
from __future__ import annotations

import collections
import errno
import re

from ansible_collections.memlab.testbed.plugins.module_utils.devices import holds, signals
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError, errno_name
from ansible_collections.memlab.testbed.plugins.module_utils.memory.blocks import block_ids, block_size, blocks_of_range
from ansible_collections.memlab.testbed.plugins.module_utils.placement import physical_map

BUS = "/sys/bus/dax"
BOOT_PARAMETER = "/sys/module/memory_hotplug/parameters/memmap_on_memory"

# name; driver's name or None; knob: True, False, None where the kernel has none; node the memory would go to or None; ranges: ((first byte, last byte), ...)
DaxDevice = collections.namedtuple("DaxDevice", "name driver knob node ranges")


def read(host, name):
    """One dax device. Raises :class:`TestbedError` when it is gone or its ranges cannot be read (they are root's only)."""
    base = "%s/devices/%s" % (BUS, name)
    if not host.exists(base):
        raise TestbedError("the dax device %s is gone" % name)
    ranges = []
    mappings = [entry for entry in host.listdir(base) if re.fullmatch("mapping[0-9]+", entry)]
    for entry in sorted(mappings, key=lambda word: int(word[7:])):
        ranges.append((host.read_int("%s/%s/start" % (base, entry)), host.read_int("%s/%s/end" % (base, entry))))
    knob = host.read_optional(base + "/memmap_on_memory")
    return DaxDevice(name, host.link_name(base + "/driver"), None if knob is None else knob == "1", _node(host, base), tuple(ranges))


def _node(host, base):
    """The kernel hides the file where there is no node (drivers/dax/bus.c:dev_dax_visible, 6.1 to 7.3)."""
    text = host.read_optional(base + "/target_node") or ""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def read_all(host):
    return [read(host, name) for name in host.listdir(BUS + "/devices")]


def size(device):
    """Bytes of a device."""
    return sum([last + 1 - first for first, last in device.ranges])


def whole_blocks(device, block_size):
    """Ids of the memory blocks that kmem makes of a device, and the bytes it leaves unused.

    kmem trims every range to whole blocks (drivers/dax/kmem.c:dax_kmem_range, 6.1 to 7.3).
    """
    blocks = []
    for first, last in device.ranges:
        blocks.extend(blocks_of_range(first, last + 1 - first, block_size))
    return blocks, size(device) - len(blocks) * block_size


def hot_added(host, devices, block_size):
    """Set of the ids of all memory blocks that dax devices brought. Blocks that were online when a driver let go of its device are still there.

    :arg devices: all :class:`DaxDevice` of the machine; memory whose device is gone counts, too.
    """
    present = block_ids(host)
    brought = {number for device in devices for number in whole_blocks(device, block_size)[0]}
    return brought.intersection(present).union(physical_map.hot_added(host, present, block_size))


def boot_parameter(host):
    """``Y``, ``N`` or ``force``; ``None`` where the kernel was built without CONFIG_MHP_MEMMAP_ON_MEMORY."""
    return host.read_optional(BOOT_PARAMETER)


def no_self_hosting(host):
    """Why the kernel will not keep a device's memmap on the device: an error, or ``None`` when the boot parameter allows it."""
    value = boot_parameter(host)
    if value is None:
        return TestbedError("this kernel cannot keep a memmap on the device: it has no %s" % BOOT_PARAMETER,
                            remedy="use a kernel with CONFIG_MHP_MEMMAP_ON_MEMORY, or memmap: dram", lasting=True)
    if value in ("N", "0"):
        return TestbedError("the boot parameter memory_hotplug.memmap_on_memory is off (%s reads %s)" % (BOOT_PARAMETER, value),
                            remedy="boot with memory_hotplug.memmap_on_memory=1; it cannot be changed at run time", lasting=True)
    return None


def no_knob(host, name):
    """The error for a device without the knob."""
    return TestbedError("%s has no knob memmap_on_memory, so its memmap cannot be put on the device" % name,
                        remedy="the knob came with kernel 6.8; this is %s" % release(host), lasting=True)


def write_knob(host, name, value):
    """Set the intent. Raises :class:`TestbedError` with the errno in words; writing the value that is there already is harmless."""
    path = "%s/devices/%s/memmap_on_memory" % (BUS, name)
    try:
        host.write(path, "1" if value else "0")
    except FileNotFoundError:
        raise TestbedError("%s has no knob memmap_on_memory" % name, remedy="it came with kernel 6.8; this is %s" % release(host), lasting=True)
    except OSError as exc:
        if exc.errno == errno.EOPNOTSUPP:
            raise no_self_hosting(host) or TestbedError(
                "the kernel will not keep a memmap on %s (EOPNOTSUPP) although the boot parameter is on" % name,
                remedy="its page size, struct page size or memory block size do not allow it here; use memmap: dram", lasting=True)
        if exc.errno == errno.EBUSY:
            raise TestbedError("the knob of %s cannot change while kmem has the device (EBUSY)" % name)
        raise TestbedError("cannot write %s (%s)" % (path, errno_name(exc.errno)))


def probe_self_hosting(host, device):
    """Ask the kernel itself whether it would self-host, leaving the knob as it is.

    Writing 1 is refused with EOPNOTSUPP before anything else is looked at; on a device that kmem has with 0 the
    answer of a capable kernel is EBUSY. Raises :class:`TestbedError` when it would not.
    """
    refusal = no_self_hosting(host)
    if refusal:
        raise refusal
    if device.knob is None:
        raise no_knob(host, device.name)
    if device.driver == "kmem" and not device.knob:
        try:
            host.write("%s/devices/%s/memmap_on_memory" % (BUS, device.name), "1")
        except OSError as exc:
            if exc.errno == errno.EBUSY:
                return
        write_knob(host, device.name, True)
        return
    with signals.deferred():
        write_knob(host, device.name, True)
        if not device.knob:
            write_knob(host, device.name, False)


def bind(host, name, driver="kmem"):
    """Give an unbound device, and no other, to ``driver``, whatever kind of device it is. Raises :class:`TestbedError`: nothing is bound then.

    ``auto_online_blocks`` must be held at ``offline``: see :func:`_bind_by_name`.
    """
    try:
        _write_driver(host, name, driver, "bind")
    except OSError as exc:
        if exc.errno != errno.ENODEV:
            raise _refused(name, "bind", driver, exc)
        _bind_by_name(host, name, driver)
    if host.link_name("%s/devices/%s/driver" % (BUS, name)) != driver:
        raise TestbedError("%s took no device %s although it said so" % (driver, name))


def _bind_by_name(host, name, driver):
    """For a kind of device that the driver does not take by itself: kmem and NVDIMM, device_dax and CXL or hmem; on 6.1 kmem and all.

    Writing ``new_id`` attaches every unbound device that the driver takes (drivers/dax/bus.c:do_id_store, 6.1 to 7.3), so those are
    released again at once. The name is taken off the driver's list, or the device would come to it again whenever it is free.
    """
    free = {device.name for device in read_all(host) if device.driver is None and device.name != name}
    # Noted first, so that the next run takes the name off the list where this one is killed.
    holds.note(host, "%s/drivers/%s/remove_id" % (BUS, driver), name, name)
    try:
        _write_driver(host, name, driver, "new_id")
        try:
            for other in read_all(host):
                if other.name in free and other.driver is not None:
                    leave(host, other)
            if host.link_name("%s/devices/%s/driver" % (BUS, name)) is None:
                # new_id hides why a driver refused, bind does not
                _write_driver(host, name, driver, "bind")
        finally:
            _write_driver(host, name, driver, "remove_id")
    except OSError as exc:
        raise _refused(name, "bind", driver, exc)
    finally:
        holds.note(host, "%s/drivers/%s/remove_id" % (BUS, driver), None, None)


def unbind(host, name, driver):
    """Take a device from ``driver``. For kmem every block must be offline: otherwise the kernel leaks the range until reboot."""
    try:
        _write_driver(host, name, driver, "unbind")
    except OSError as exc:
        raise _refused(name, "unbind", driver, exc)


def leave(host, device):
    """As :func:`unbind`, unless :func:`refuse_partial` has something against it. ``device`` is as read after it was bound."""
    refuse_partial(host, device)
    unbind(host, device.name, device.driver)


def refuse_partial(host, device):
    """The kernel might crash: drivers/dax/kmem.c:dev_dax_kmem_remove of 6.12 follows a null pointer for a range that was not added."""
    missing = device.driver == "kmem" and set(whole_blocks(device, block_size(host))[0]).difference(block_ids(host))
    if missing and not host.exists("%s/devices/%s/state" % (BUS, device.name)):
        raise TestbedError("%s was added in part, and the kernel may crash when it is released: it stays with kmem" % device.name)


def _write_driver(host, name, driver, action):
    path = "%s/drivers/%s/%s" % (BUS, driver, action)
    try:
        host.write(path, name)
    except FileNotFoundError:
        raise TestbedError("the driver %s is not loaded" % driver, remedy="the kernel needs %s" % _OPTIONS.get(driver, "it"))


def _refused(name, action, driver, exc):
    return TestbedError("%s: %s of %s failed (%s)" % (name, action, driver, errno_name(exc.errno)), remedy=_BIND_REMEDIES.get(exc.errno))


_OPTIONS = {"kmem": "CONFIG_DEV_DAX_KMEM", "device_dax": "CONFIG_DEV_DAX"}

_BIND_REMEDIES = {
    errno.ENODEV: "the driver does not take this kind of device",
    errno.ENOSPC: "the device holds no whole memory block",
    errno.ENOMEM: "there was no memory for the memmap",
    errno.EBUSY: "its address range is in use; a range whose blocks were online when the device was last unbound stays so until reboot",
    errno.EEXIST: "its address range is memory already",
    errno.ENXIO: "the device has no bytes",
    errno.EINVAL: "the device has no target node, or its range cannot be made memory; the kernel log says which",
    errno.E2BIG: "the range lies beyond what the kernel can address",
    errno.ERANGE: "the range lies beyond what the kernel can address",
}


def release(host):
    return host.read_optional("/proc/sys/kernel/osrelease") or "of unknown version"
