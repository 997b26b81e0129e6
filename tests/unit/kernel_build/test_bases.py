# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each base of a configuration with fragments over it, by the kernel's own conf as Debian packs it (kconfig-frontends-nox), on a small Kconfig tree."""
from __future__ import annotations

import pytest

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.host import Host
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build import configuration
from ansible_collections.memlab.testbed.plugins.module_utils.kernel_build.kbuild import Kbuild

MAKEFILE = """\
allnoconfig olddefconfig:
\t@kconfig-conf --$@ Kconfig
defconfig:
\t@kconfig-conf --defconfig=x86_defconfig Kconfig
told:
\t@echo "$(CROSS_COMPILE)$(LLVM)$(LLVM_IAS)$(KCPPFLAGS)$(KRUSTFLAGS) $(ARCH) $(KCONFIG_CONFIG)"
"""

KCONFIG = """\
choice
\tprompt "rate"
\tdefault HZ_250
config HZ_100
\tbool "100"
config HZ_250
\tbool "250"
config HZ_1000
\tbool "1000"
endchoice

config NET
\tbool "net"
\tdefault y

config TCP
\tbool "tcp"
\tdepends on NET

config CRASH
\tbool "crash"
\tdepends on ABSENT

config SYSTEM_TRUSTED_KEYS
\tstring "keys"
"""

DEFCONFIG = "CONFIG_HZ_1000=y\nCONFIG_TCP=y\nCONFIG_SYSTEM_TRUSTED_KEYS=\"debian/certs/keys.pem\"\n"
WHOLE = "# CONFIG_HZ_100 is not set\n# CONFIG_HZ_250 is not set\n%sCONFIG_NET=y\n" % DEFCONFIG
BASES = [{"name": "defconfig"}, {"name": "mine.config", "content": DEFCONFIG}, {"name": "host", "content": WHOLE}]


@pytest.fixture(name="configured")
def fixture_configured(tmp_path):
    """``configured(base, fragment)``: the values that come out."""
    source = tmp_path / "source"
    source.mkdir()
    for name, text in (("Makefile", MAKEFILE), ("Kconfig", KCONFIG), ("x86_defconfig", DEFCONFIG)):
        (source / name).write_text(text, encoding="ascii")

    def make(base, fragment=""):
        kbuild = Kbuild(Host(), str(source), str(tmp_path / "objects"), {})
        return configuration.parse(configuration.make(kbuild, base, [{"name": "f", "content": fragment}]), "x")

    return make


@pytest.mark.parametrize("base", BASES, ids=[base["name"] for base in BASES])
def test_what_a_base_holds_stays_but_for_what_is_asked(configured, base):
    assert configured(base) == {"HZ_100": "n", "HZ_250": "n", "HZ_1000": "y", "NET": "y", "TCP": "y", "SYSTEM_TRUSTED_KEYS": '""'}
    assert configured(base, "# CONFIG_NET is not set") == {"HZ_100": "n", "HZ_250": "n", "HZ_1000": "y", "NET": "n", "SYSTEM_TRUSTED_KEYS": '""'}


def test_allnoconfig_holds_nothing_but_what_is_asked(configured):
    found = configured({"name": "allnoconfig"}, "CONFIG_NET=y")
    assert found == {"HZ_100": "n", "HZ_250": "y", "HZ_1000": "n", "NET": "y", "TCP": "n", "SYSTEM_TRUSTED_KEYS": '""'}


@pytest.mark.parametrize("base", BASES + [{"name": "allnoconfig"}], ids=[base["name"] for base in BASES + [{"name": "allnoconfig"}]])
@pytest.mark.parametrize("rate", ["HZ_100", "HZ_250", "HZ_1000"])
def test_one_of_a_choice_can_be_asked_for_over_any_base(configured, base, rate):
    values = configured(base, "CONFIG_%s=y" % rate)
    assert [name for name in values if name.startswith("HZ_") and values[name] == "y"] == [rate]


def test_two_of_a_choice_cannot(configured):
    with pytest.raises(TestbedError, match="CONFIG_HZ_100 .f.: wanted y, got n: it is one of a choice, of which another was taken"):
        configured({"name": "defconfig"}, "CONFIG_HZ_100=y\nCONFIG_HZ_250=y")


@pytest.mark.parametrize("base", ["allnoconfig", "defconfig"])
def test_a_symbol_that_does_not_exist_is_not_just_off(configured, base):
    assert "CRASH" not in configured({"name": base}, "# CONFIG_CRASH is not set\nCONFIG_NET=y")
    with pytest.raises(TestbedError) as failure:
        configured({"name": base}, "# CONFIG_CRASHES is not set\nCONFIG_NET=y")
    assert str(failure.value).splitlines() == [
        "the configuration did not come out as asked: CONFIG_CRASHES does not exist in this source",
        "CONFIG_CRASHES (f): wanted n, got nothing: there is no such symbol in this source, near it are CRASH"]


def test_what_the_caller_s_shell_has_set_does_not_count(configured, tmp_path, monkeypatch):
    for name in ("ARCH", "CROSS_COMPILE", "LLVM", "LLVM_IAS", "KCPPFLAGS", "KRUSTFLAGS", "KCONFIG_CONFIG", "MAKEFLAGS"):
        monkeypatch.setenv(name, "e")
    kbuild = Kbuild(Host(), str(tmp_path / "source"), str(tmp_path / "objects"), {})
    assert kbuild.answers("told") == ["%s .config" % kbuild.srcarch]
