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
    from jmespath.functions import Functions
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
    """The library's compiled expression. Raises :class:`TestbedError` for what is none, whatever it would be asked of."""
    if jmespath is None:
        raise TestbedError("the Python library jmespath is not installed on the controller", remedy="install it for the Python that runs Ansible")
    if not isinstance(expression, str) or not expression.strip():
        raise TestbedError("%.60r is not a JMESPath expression" % (expression,))
    expression = plain(expression)
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as exc:
        # The first line says what, the others draw an arrow under the expression.
        raise TestbedError("not a JMESPath expression: %s (%s)" % (_one_line(expression), _reason(exc)))
    for wrong in _wrong_calls(compiled.parsed):
        raise TestbedError("not a JMESPath expression: %s (%s)" % (_one_line(expression), wrong))
    return compiled


def _wrong_calls(node):
    """What is wrong with each call that no facts can put right: the library looks at calls only where it comes by them."""
    if node["type"] == "function_expression":
        name, given = node["value"], len(node["children"])
        signature = Functions.FUNCTION_TABLE.get(name, {}).get("signature")
        if signature is None:
            yield "there is no function %s" % name
        elif given < len(signature) or given > len(signature) and not signature[-1].get("variadic"):
            yield "the function %s takes %d argument%s%s, here %d" % (name, len(signature), "" if len(signature) == 1 else "s",
                                                                      " or more" if signature and signature[-1].get("variadic") else "", given)
    for child in filter(None, node["children"] if node["type"] != "slice" else ()):
        yield from _wrong_calls(child)


def _reason(exc):
    return _one_line(str(exc).split(":\n", maxsplit=1)[0].split("\n", maxsplit=1)[0])


def _one_line(text):
    return " ".join(text.split())
