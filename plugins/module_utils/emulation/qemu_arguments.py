# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A validated guest as QEMU understands it: arguments for its start, and QMP commands to plug memory devices while it runs.

Ids are the declared names; none has a dot, so an id with a dot (``pcie.0``) is free for other uses. Everything here is text: nothing is run.
"""
from __future__ import annotations

import os

from ansible_collections.memlab.testbed.plugins.module_utils.emulation.schema import nearest
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.topology import NVDIMM_ALIGN
from ansible_collections.memlab.testbed.plugins.module_utils.emulation.validation import FIRST_BUS, bus_count
from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.sizes import format_size


def machine_arguments(guest, files, cold_plug=True):
    """Arguments for the machine with its memory, processors, NUMA nodes, CXL topology and NVDIMMs.

    :arg files: directory of the persistent backings, see :func:`backing_files`.
    :arg cold_plug: whether the memory devices that sit in a port are there from the start; otherwise none is, and all ports are empty.
    """
    arguments = ["-machine", _machine(guest), "-m", _memory(guest), "-smp", _processors(guest)]
    arguments += _nodes(guest) + _host_bridges(guest)
    if cold_plug:
        for where, bridge, port in guest.cxl.memory_ports():
            if port.device is not None:
                for command, properties in memory_device_commands(guest, port.device, files):
                    arguments += _argument(command, properties)
    return arguments + _nvdimms(guest, files)


def backing_files(guest):
    """Name to bytes of each file that keeps persistent memory or labels: those of devices that can be plugged later, too."""
    found = {}
    for device in guest.cxl.memory_devices:
        if device.persistent:
            found[device.name + "-persistent"] = device.persistent
            found[device.name + "-lsa"] = device.label_area
    for nvdimm in guest.nvdimms:
        found[nvdimm.name + "-nvdimm"] = nvdimm.backing
    return found


def memory_device_commands(guest, name, files, port=None):
    """QMP commands, as (command, arguments), that plug the memory device ``name`` in.

    :arg port: the port's name; by default the one it is declared in, else the first that is declared empty.
    Raises :class:`TestbedError` for a device or port that the guest does not have.
    """
    device = _device(guest, name)
    commands, properties = [], {"driver": "cxl-type3", "id": name, "bus": _port(guest, name, port), "sn": device.serial}
    if device.volatile:
        commands.append(("object-add", {"qom-type": "memory-backend-ram", "id": name + "-volatile", "share": True, "size": device.volatile}))
        properties["volatile-memdev"] = name + "-volatile"
    if device.persistent:
        commands.append(("object-add", _file_backend(name + "-persistent", device.persistent, files)))
        commands.append(("object-add", _file_backend(name + "-lsa", device.label_area, files)))
        properties["persistent-memdev"] = name + "-persistent"
        properties["lsa"] = name + "-lsa"
    return commands + [("device_add", properties)]


def memory_device_backends(guest, name):
    """Ids of the objects to delete (``object-del``) once QEMU has said DEVICE_DELETED for the memory device ``name``."""
    return [properties["id"] for command, properties in memory_device_commands(guest, name, "") if command == "object-add"]


def slot_numbers(guest):
    """Port name to the number of its slot in the guest's ``/sys/bus/pci/slots``."""
    numbers = {}
    for bridge in guest.cxl.host_bridges:
        for port in bridge.root_ports:
            for holder in [port] + (port.switch.downstream_ports if port.switch else []):
                numbers[holder.name] = len(numbers) + 1
    return numbers


# parts of the command line

def _machine(guest):
    options = ["q35"]
    if guest.cxl.host_bridges:
        options.append("cxl=on")
    if guest.nvdimms:
        options.append("nvdimm=on")
    if guest.numa.hmat:
        options.append("hmat=on")
    for index, window in enumerate(guest.cxl.windows):
        prefix = "cxl-fmw.%d." % index
        options += ["%stargets.%d=%s" % (prefix, place, target) for place, target in enumerate(window.targets)]
        options += ["%ssize=%s" % (prefix, format_size(window.size)), "%sinterleave-granularity=%s" % (prefix, format_size(window.granularity))]
    return ",".join(options)


def _memory(guest):
    headroom = ",slots=%d,maxmem=%s" % (guest.slots, format_size(guest.max_memory)) if guest.slots else ""
    return format_size(guest.memory) + headroom


def _processors(guest):
    # A socket each when they are in several nodes: Linux warns of a cache that two nodes share.
    several = sum(1 for node in guest.numa.nodes if node.cpus) > 1
    return "%d,sockets=%d" % (guest.cpus, guest.cpus if several else 1)


def _nodes(guest):
    arguments = []
    for index, node in enumerate(guest.numa.nodes):
        options = ["node", "nodeid=%d" % index] + ["cpus=%d" % cpu for cpu in node.cpus]
        if node.memory:
            backend = "ram-node%d" % index
            arguments += _argument("object-add", {"qom-type": "memory-backend-ram", "id": backend, "size": node.memory})
            options.append("memdev=" + backend)
        if guest.numa.hmat:
            options.append("initiator=%d" % _initiator(guest, index))
        arguments += ["-numa", ",".join(options)]
    for source, row in enumerate(guest.numa.distances):
        for target, distance in enumerate(row):
            arguments += ["-numa", "dist,src=%d,dst=%d,val=%d" % (source, target, distance)]
    for entry in guest.numa.hmat:
        common = "hmat-lb,initiator=%d,target=%d,hierarchy=memory,data-type=access-" % (entry.initiator, entry.target)
        arguments += ["-numa", "%slatency,latency=%d" % (common, entry.latency)]
        arguments += ["-numa", "%sbandwidth,bandwidth=%s" % (common, format_size(entry.bandwidth))]
    return arguments


def _initiator(guest, index):
    """The node whose processors are nearest to node ``index``: itself, the one of least latency, or the first that has processors."""
    if guest.numa.nodes[index].cpus:
        return index
    ways = sorted((entry.latency, entry.initiator) for entry in guest.numa.hmat if entry.target == index)
    return ways[0][1] if ways else next(number for number, node in enumerate(guest.numa.nodes) if node.cpus)


def _host_bridges(guest):
    arguments, bus, slots = [], FIRST_BUS, slot_numbers(guest)
    for bridge in guest.cxl.host_bridges:
        arguments += _argument("device_add", {"driver": "pxb-cxl", "id": bridge.name, "bus": "pcie.0", "bus_nr": bus})
        bus += bus_count(bridge)
        for number, port in enumerate(bridge.root_ports):
            arguments += _argument("device_add", _slot("cxl-rp", port.name, bridge.name, number, slots))
            if port.switch is not None:
                arguments += _argument("device_add", {"driver": "cxl-upstream", "id": port.switch.name, "bus": port.name})
                for place, downstream in enumerate(port.switch.downstream_ports):
                    arguments += _argument("device_add", _slot("cxl-downstream", downstream.name, port.switch.name, place, slots))
    return arguments


def _slot(driver, name, bus, number, slots):
    return {"driver": driver, "id": name, "bus": bus, "port": number, "chassis": 0, "slot": slots[name]}


def _nvdimms(guest, files):
    arguments = []
    for nvdimm in guest.nvdimms:
        backend = nvdimm.name + "-nvdimm"
        properties = {"driver": "nvdimm", "id": nvdimm.name, "memdev": backend, "node": nvdimm.node}
        if nvdimm.label_area:
            properties["label-size"] = nvdimm.label_area
        # hw/mem/nvdimm.c takes the label area off and rounds down to the backend's alignment: 2 MiB makes that the declared size on any host.
        arguments += _argument("object-add", dict(_file_backend(backend, nvdimm.backing, files), align=NVDIMM_ALIGN))
        arguments += _argument("device_add", properties)
    return arguments


def _file_backend(name, size, files):
    return {"qom-type": "memory-backend-file", "id": name, "share": True, "mem-path": os.path.join(files, name), "size": size}


def _argument(command, properties):
    """The command line's form of a QMP command: ``-object TYPE,key=value`` or ``-device DRIVER,key=value``, commas in values doubled."""
    option, leader = {"object-add": ("-object", "qom-type"), "device_add": ("-device", "driver")}[command]
    rest = ["%s=%s" % (name, _text(value)) for name, value in properties.items() if name != leader]
    return [option, ",".join([properties[leader]] + rest)]


def _text(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace(",", ",,")


def _device(guest, name):
    device = guest.cxl.device(name)
    if device is None:
        known = [device.name for device in guest.cxl.memory_devices]
        raise TestbedError("guest %s has no memory device %s%s" % (guest.name, name, nearest(name, known)))
    return device


def _port(guest, device, wanted):
    ports = [port for where, bridge, port in guest.cxl.memory_ports()]
    if wanted is not None:
        if wanted not in [port.name for port in ports]:
            raise TestbedError("guest %s has no port %s for a memory device%s" % (guest.name, wanted, nearest(wanted, [port.name for port in ports])))
        return wanted
    for port in [port for port in ports if port.device == device] + [port for port in ports if port.device is None]:
        return port.name
    raise TestbedError("guest %s has no empty port for memory device %s" % (guest.name, device))
