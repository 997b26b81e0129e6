# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CXL regions on the guest ``regions``: made, removed and refused, as the guest's own /sys tells it."""
from __future__ import annotations

import json

import pytest

GUEST = "regions"
MIB = 1 << 20
FIRST, SECOND, ACROSS = 0, 1, 2  # the guest's memory windows, in the order of the testbed file

# Regions of the CXL bus, each with the serial numbers behind its targets; decoders in use; NVDIMM regions and namespaces; drivers of dax devices.
LOOK = """
import glob, json, os
C, N = "/sys/bus/cxl/devices/", "/sys/bus/nd/devices/"
def text(path):
    return open(path).read().strip()
def link(path):
    return os.path.basename(os.readlink(path)) if os.path.islink(path) else None
windows = {os.path.basename(path): int(text(path + "/start"), 16) for path in glob.glob(C + "decoder0.*")}
def region(path):
    serials = []
    for position in range(int(text(path + "/interleave_ways"))):
        endpoint = os.path.dirname(os.path.realpath(C + text("%s/target%d" % (path, position))))
        serials.append(int(text(os.path.realpath(endpoint + "/uport") + "/serial"), 16))
    window = os.path.basename(os.path.dirname(os.path.realpath(path)))
    return {"mode": text(path + "/mode"), "serials": serials, "size": int(text(path + "/size"), 16), "granularity": int(text(path + "/interleave_granularity")),
            "committed": text(path + "/commit"), "start": int(text(path + "/resource"), 16), "window": sorted(windows.values()).index(windows[window])}
print(json.dumps({
    "regions": sorted((region(path) for path in glob.glob(C + "region*")), key=lambda found: found["start"]),
    "decoders": sum(int(text(path)) for path in glob.glob(C + "*/decoders_committed")),
    "nvdimm": [[int(text(path + "/resource"), 16), link(path + "/driver")] for path in glob.glob(N + "region*")],
    "namespaces": [text(path + "/alt_name") for path in glob.glob(N + "namespace*") if int(text(path + "/size"))],
    "drivers": [link(path + "/driver") for path in glob.glob("/sys/bus/dax/devices/dax*")],
    "autoprobe": text("/sys/bus/dax/drivers_autoprobe")}))
"""


@pytest.fixture(autouse=True)
def only_here(host):
    if host.backend.get_connection_type() != "ansible" or host.backend.host != GUEST:
        pytest.skip("this is about the guest regions")


@pytest.fixture(name="look")
def looker(host):
    def look():
        done = host.run("python3 -c %s", LOOK)
        assert done.rc == 0, done.stderr
        return json.loads(done.stdout)
    return look


@pytest.fixture(name="regions")
def caller(controller):
    """Runs the module; what a test made is gone when it ends."""
    made = []

    def call(*entries, check=False):
        made.extend(entries)
        return controller.module(GUEST, "cxl_region", check=check, regions=list(entries))
    yield call
    gone = {json.dumps([entry["memory_devices"], entry.get("type")]): dict(memory_devices=entry["memory_devices"], type=entry.get("type", "ram"),
                                                                         state="absent", allow_data_loss=True) for entry in made}
    for entry in gone.values():
        pass


def summary(found):
    return [(region["window"], region["mode"], region["serials"], region["size"] // MIB, region["granularity"]) for region in found["regions"]]
