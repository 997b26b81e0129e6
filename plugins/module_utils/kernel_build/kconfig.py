# -*- coding: utf-8 -*-
# Copyright: (c) 2026, memlab.testbed contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a symbol is not as asked: the kernel's Kconfig files, read as far as their dependencies go.

The language is described in the kernel's Documentation/kbuild/kconfig-language.rst (6.1 to 7.3). What the kernel's own ``conf`` made of a configuration
is the truth; this only explains it.
"""
from __future__ import annotations

import os
import re

_TOKEN = re.compile(r"\s*(?:(&&|\|\||!=|<=|>=|[=<>!()])|\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|([A-Za-z0-9_./-]+))")
_LEVEL = {"n": 0, "m": 1, "y": 2}
_TYPES = ("bool", "tristate", "string", "int", "hex")


class Symbol(object):
    """What the Kconfig files say of one symbol, over all of its definitions."""

    def __init__(self, name):
        self.name = name
        self.kind = None
        self.definitions = []
        self.selected_by = []


class Definition(object):
    """One ``config`` entry: where it is, its ``depends`` (its own and those around it) and the conditions of its prompt (``None``: it has none)."""

    def __init__(self, where, depends):
        self.where = where
        self.depends = list(depends)
        self.prompt = None
        self.in_choice = False


class Kconfig(object):
    """The symbols of a source tree for one architecture."""

    def __init__(self, tree, srcarch="x86"):
        self.tree = tree
        self.symbols = {}
        self._variables = {"SRCARCH": srcarch, "ARCH": srcarch, "srctree": tree, "HEADER_ARCH": srcarch}
        # what surrounds the line being read: (closing word, condition, whether a choice)
        self._around = []
        self._read("Kconfig")

    def symbol(self, name):
        """The symbol, or ``None`` where no Kconfig file defines it."""
        found = self.symbols.get(name)
        return found if found is not None and found.definitions else None

    def _known(self, name):
        return self.symbols.setdefault(name, Symbol(name))

    def _expand(self, text):
        return re.sub(r"\$\(?(\w+)\)?", lambda found: self._variables.get(found.group(1), found.group(0)), text)

    def _read(self, name):
        try:
            with open(os.path.join(self.tree, name), encoding="utf-8", errors="replace") as stream:
                lines = _joined(stream.read().split("\n"))
        except OSError:
            return
        entry, depth = None, len(self._around)
        number = 0
        while number < len(lines):
            line = re.sub(r"\s#.*$", "", lines[number]) if "#" in lines[number] and '"' not in lines[number] else lines[number]
            number += 1
            words = line.split(None, 1)
            if not words or words[0].startswith("#"):
                continue
            word, rest = words[0], words[1].strip() if len(words) > 1 else ""
            if word in ("help", "---help---"):
                number = _after_help(lines, number)
            elif word in ("source", "rsource", "osource", "orsource"):
                path = self._expand(rest.strip("\"'"))
                self._read(os.path.join(os.path.dirname(name), path) if word in ("rsource", "orsource") else path)
                entry = None
            elif word in ("config", "menuconfig"):
                entry = self._entry(rest, "%s:%d" % (name, number))
            elif word in ("menu", "choice", "if"):
                entry = ["end" + word, [rest] if word == "if" else [], word == "choice"]
                self._around.append(entry)
            elif word in ("endmenu", "endchoice", "endif"):
                if len(self._around) > depth:
                    self._around.pop()
                entry = None
            elif word in ("comment", "mainmenu"):
                entry = ["", [], False]
            elif entry is not None:
                self._attribute(entry, word, rest)
        del self._around[depth:]

    def _entry(self, name, where):
        conditions = [condition for around in self._around for condition in around[1]]
        definition = Definition(where, conditions)
        definition.in_choice = any(around[2] for around in self._around)
        symbol = self._known(name)
        symbol.definitions.append(definition)
        return symbol, definition

    def _attribute(self, entry, word, rest):
        around = isinstance(entry, list)
        if word == "depends" and rest.startswith("on"):
            (entry[1] if around else entry[1].depends).append(rest[2:].strip())
        elif word == "visible" and around and rest.startswith("if"):
            entry[1].append(rest[2:].strip())
        elif around:
            return
        elif word in _TYPES or word == "prompt" or word in ("def_bool", "def_tristate"):
            if word != "prompt":
                entry[0].kind = word.replace("def_", "")
            if rest.startswith(("\"", "'")) and not word.startswith("def_"):
                entry[1].prompt = [_condition(rest)] if _condition(rest) else []
        elif word in ("select", "imply"):
            target = rest.split()
            if word == "select" and target:
                self._known(target[0]).selected_by.append((entry[0].name, _condition(rest), entry[1].depends))

    # why

    def unmet(self, name, wanted, values):
        """Sentences on why symbol ``name`` did not become ``wanted``, at least one.

        :arg values: what the configuration came out as, symbol to value; absent ones are ``n``.
        """
        symbol = self.symbol(name)
        if symbol is None:
            near = [other for other in sorted(self.symbols) if self.symbol(other) and (name in other or other in name) and len(other) > 3]
            return ["there is no such symbol in this source" + (", near it are %s" % ", ".join(near[:4]) if near else "")]
        if wanted in _LEVEL and symbol.kind not in ("bool", "tristate", None) or wanted not in _LEVEL and symbol.kind in ("bool", "tristate"):
            return ["it is of type %s" % symbol.kind]
        level = _LEVEL.get(wanted, 2)
        if level < value_of(values.get(name, "n")):
            by = ["%s=%s" % (other, values[other]) for other, condition, depends in symbol.selected_by
                  if other in values and values[other] != "n" and (not condition or evaluate(condition, values))]
            if by:
                return ["it is selected by %s" % ", ".join(by)]
        if wanted == "m" and symbol.kind == "bool":
            return ["it is of type bool, so it cannot be a module"]
        if wanted == "m" and values.get("MODULES", "n") != "y":
            return ["without MODULES nothing can be a module"]
        found = []
        for definition in symbol.definitions:
            clauses = definition.depends + (definition.prompt or [])
            bad = [part for clause in clauses for part in conjuncts(clause) if evaluate(part, values) < max(level, 1)]
            if bad:
                found.append("%s: depends on %s" % (definition.where, " && ".join("%s%s" % (part, _values(part, values)) for part in dict.fromkeys(bad))))
        if len(found) == len(symbol.definitions):
            return found
        if all(definition.prompt is None for definition in symbol.definitions):
            by = sorted({other for other, condition, depends in symbol.selected_by})
            return ["it cannot be asked for: " + ("only %s select it" % ", ".join(by[:6]) if by else "its value is computed")]
        if any(definition.in_choice for definition in symbol.definitions):
            return ["it is one of a choice, of which another was taken"]
        return ["its dependencies are met: the kernel's Kconfig gives it another value (a range, or an option of the compiler)"]


def _joined(lines):
    """Lines that go on with a backslash, joined; empty ones stand for the others, so that line numbers stay."""
    for number in range(len(lines) - 2, -1, -1):
        if lines[number].endswith("\\"):
            lines[number], lines[number + 1] = lines[number][:-1] + " " + lines[number + 1], ""
    return lines


def _after_help(lines, number):
    """The line after a help text: the first that is indented less than the text's first one (kconfig-language.rst, "help")."""
    indent = None
    while number < len(lines):
        text = lines[number].expandtabs()
        if text.strip():
            here = len(text) - len(text.lstrip())
            if indent is None:
                if here == 0:
                    break
                indent = here
            elif here < indent:
                break
        number += 1
    return number


def _condition(text):
    """What follows ``if`` after a prompt, or after a symbol: an expression, or ``None``."""
    found = re.search(r"\sif\s+(.*)$", re.sub(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", "", " " + text))
    return found.group(1).strip() if found else None


def _tokens(text):
    """Tokens of an expression: operators as they are, symbols as ("symbol", name), constants as ("text", value), a macro call as ("macro", text)."""
    found, place = [], 0
    while place < len(text):
        if text[place].isspace():
            place += 1
        elif text.startswith("$(", place):
            begin, depth = place, 0
            while place < len(text):
                depth += {"(": 1, ")": -1}.get(text[place], 0)
                place += 1
                if depth == 0 and text[place - 1] == ")":
                    break
            found.append(("macro", text[begin:place]))
        else:
            match = _TOKEN.match(text, place)
            if match is None:
                place += 1
                continue
            place = match.end()
            operator, double, single, symbol = match.groups()
            if operator:
                found.append(operator)
            elif symbol is not None:
                found.append(("symbol", symbol))
            else:
                found.append(("text", single if double is None else double))
    return found


def conjuncts(text):
    """The parts that a top-level ``&&`` joins, brackets around the whole taken off."""
    parts, depth, begin = [], 0, 0
    for place, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0 and text.startswith("||", place):
            return [text.strip()]
        if depth == 0 and text.startswith("&&", place):
            parts.append(text[begin:place].strip())
            begin = place + 2
    parts.append(text[begin:].strip())
    if len(parts) == 1 and _bracketed(parts[0]):
        return conjuncts(parts[0][1:-1])
    return [inner for part in parts for inner in (conjuncts(part) if len(parts) > 1 else [part])]


def _bracketed(text):
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for place, char in enumerate(text):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def value_of(text):
    return _LEVEL.get(text, 0)


def evaluate(text, values):
    """An expression's value: 0 (n), 1 (m) or 2 (y). A macro counts as met: it asks the compiler, and is not known here."""
    tokens = _tokens(text)
    place = [0]

    def peek():
        return tokens[place[0]] if place[0] < len(tokens) else None

    def take():
        place[0] += 1
        return tokens[place[0] - 1] if place[0] <= len(tokens) else ("symbol", "n")

    def text_of(token):
        kind, value = token if isinstance(token, tuple) else ("text", token)
        return values.get(value, value if value in _LEVEL or re.match(r"-?\d", value) else "n") if kind == "symbol" else value

    def primary():
        token = take()
        if token == "!":
            return 2 - primary()
        if token == "(":
            found = either()
            if peek() == ")":
                take()
            return found
        if isinstance(token, tuple) and token[0] == "macro":
            return 2
        if peek() in ("=", "!=", "<", ">", "<=", ">="):
            operator, right = take(), take()
            return 2 if _compare(text_of(token), operator, text_of(right)) else 0
        return value_of(text_of(token))

    def both():
        found = primary()
        while peek() == "&&":
            take()
            found = min(found, primary())
        return found

    def either():
        found = both()
        while peek() == "||":
            take()
            found = max(found, both())
        return found

    return either() if tokens else 2


def _compare(left, operator, right):
    try:
        left, right = int(left, 0), int(right, 0)
    except ValueError:
        left, right = str(left), str(right)
    return {"=": left == right, "!=": left != right, "<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator]


def _values(text, values):
    """`` (A=n, B=m)``: the symbols of an expression with their values."""
    names = [token[1] for token in _tokens(text) if isinstance(token, tuple) and token[0] == "symbol" and token[1] not in _LEVEL and not token[1].isdigit()]
    return " (%s)" % ", ".join("%s=%s" % (name, values.get(name, "n")) for name in dict.fromkeys(names)) if names else ""
