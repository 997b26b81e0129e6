# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Importing this makes the collection's module_utils importable where no Ansible is, from a checkout or from the archive of record_capture.py."""
from __future__ import annotations

import os
import sys
import types

_HERE = os.path.dirname(os.path.abspath(__file__))
# In an archive this file lies at its top, beside plugins/; _HERE is then the archive, a file.
ROOT = _HERE if os.path.isfile(_HERE) else os.path.dirname(_HERE)

for _name, _path in (("ansible_collections", []), ("ansible_collections.memlab", []), ("ansible_collections.memlab.testbed", [ROOT])):
    if _name not in sys.modules:
        sys.modules[_name] = types.ModuleType(_name)
        sys.modules[_name].__path__ = _path
