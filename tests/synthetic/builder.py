# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A program in mmdebstrap's place."""
from __future__ import annotations

# mmdebstrap's least: an archive with a kernel, an initrd and what dpkg knows. It counts its runs.
BUILDER = """
for archive; do :; done
echo run >> {0}/runs
tree=$(mktemp -d -p {0})
mkdir -p "$tree/boot" "$tree/var/lib/dpkg"
echo kernel > "$tree/boot/vmlinuz-6.12"
echo initrd > "$tree/boot/initrd.img-6.12"
printf 'Package: udev\\nVersion: 257-1\\n' > "$tree/var/lib/dpkg/status"
tar --create --file "$archive" --directory "$tree" .
"""
