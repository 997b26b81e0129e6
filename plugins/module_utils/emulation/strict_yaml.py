# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text of a testbed file to plain data: safe YAML, where a key that stands twice in one mapping is an error and not a silent loss."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError

try:
    import yaml
except ImportError:
    yaml = None
    SafeLoader = object
else:
    SafeLoader = yaml.SafeLoader


class _Loader(SafeLoader):

    def compose_mapping_node(self, anchor):
        # Here, not when constructing: merged keys (<<) are still apart from the mapping's own.
        node = super(_Loader, self).compose_mapping_node(anchor)
        seen = set()
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode):
                if (name.tag, name.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, "the key %.60r stands twice" % name.value, name.start_mark)
                seen.add((name.tag, name.value))
        return node

    def construct_object(self, node, deep=False):
        try:
            return super(_Loader, self).construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError):
            # PyYAML's way to say that 2001-99-99 is no date
            raise yaml.constructor.ConstructorError(None, None, "%.60r is not a value of its kind" % (node.value,), node.start_mark)


def read(text):
    """Plain data from ``text`` (bytes or str). Raises :class:`TestbedError`, one line, with the line's number where there is one."""
    if yaml is None:
        raise TestbedError("PyYAML is not installed", remedy="install ansible-core, which brings it, for the Python that runs this")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise TestbedError("%s%s" % ("line %d: " % (mark.line + 1) if mark else "", _one_line(exc.problem or exc.context)))
    except yaml.YAMLError as exc:
        raise TestbedError("not YAML: %s" % _one_line(str(exc)))
    except RecursionError:
        raise TestbedError("nested too deeply")


def _one_line(text):
    return " ".join(text.split())
