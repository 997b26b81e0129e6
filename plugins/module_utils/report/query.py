# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JMESPath over facts and reports."""
from __future__ import annotations

from ansible_collections.memlab.testbed.plugins.module_utils.errors import TestbedError
from ansible_collections.memlab.testbed.plugins.module_utils.report.plain import plain

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError:
    jmespath = None
    JMESPathError = ValueError


def query(data, expression):
    """What the JMESPath ``expression`` finds in ``data``, ``None`` where it finds nothing.

    Raises :class:`TestbedError` of one line that names the expression.
    """
    compiled = compile_expression(expression)
    try:
        return compiled.search(plain(data))
    except (JMESPathError, TypeError, ValueError) as exc:  # the library lets errors of Python's own through, as for a slice with step 0
        raise TestbedError("the JMESPath expression %s cannot be evaluated (%s)" % (_one_line(plain(expression)), _reason(exc)))


def compile_expression(expression):
    """The library's compiled expression. Raises :class:`TestbedError` for what is none."""
    if jmespath is None:
        raise TestbedError("the Python library jmespath is not installed on the controller", remedy="install it for the Python that runs Ansible")
    if not isinstance(expression, str) or not expression.strip():
        raise TestbedError("%.60r is not a JMESPath expression" % (expression,))
    expression = plain(expression)
    try:
        return jmespath.compile(expression)
    except JMESPathError as exc:
        # The first line says what, the others draw an arrow under the expression.
        raise TestbedError("not a JMESPath expression: %s (%s)" % (_one_line(expression), _reason(exc)))


def _reason(exc):
    return _one_line(str(exc).split(":\n", maxsplit=1)[0].split("\n", maxsplit=1)[0])


def _one_line(text):
    return " ".join(text.split())
