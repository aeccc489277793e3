"""The text form ``name(key=value, ...)`` that names a noise on the command line, in YAML and in reports."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from ssl_bench.errors import UserError


@dataclass(frozen=True)
class Spec:
    """A parsed spec: a name and its arguments (literals, words, lists, further specs). ``str()`` gives the text."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={_text(value)}" for key, value in self.arguments.items())
        return f"{self.name}({inside})"


def parse_spec(text: str) -> Spec:
    """Read ``name`` or ``name(key=value, ...)``; values are Python literals, lists of them, or specs.

    Nothing is evaluated: only the grammar of Python is borrowed.

    Raises: UserError that points at the place.
    """
    text = text.strip()
    try:
        # ``from`` is a word of Python's own; "fr0m" has its length, so that columns stay true.
        tree = ast.parse(re.sub(r"\bfrom(?=\s*=)", "fr0m", text), mode="eval").body
    except SyntaxError as error:
        column = max((error.offset or 1) - 1, 0)
        raise _error(text, column, "cannot be read here") from error
    value = Spec(tree.id) if isinstance(tree, ast.Name) else _value(text, tree)
    if isinstance(value, Spec):
        return value
    raise _error(text, 0, "is not a name")


def _value(text: str, node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[node.id]
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call):
        return _call(text, node)
    if isinstance(node, ast.List):
        return [_value(text, item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(text, item) for item in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _error(text, node.col_offset, "is neither a literal nor a spec") from error


def _call(text: str, node: ast.Call) -> Spec:
    if not isinstance(node.func, ast.Name):
        raise _error(text, node.col_offset, "is not a plain name")
    if node.args:
        raise _error(text, node.args[0].col_offset, "needs a key: write name(key=value)")
    arguments: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise _error(text, keyword.value.col_offset, "is given twice or has no key")
        key = "from" if keyword.arg == "fr0m" else keyword.arg
        arguments[key] = _value(text, keyword.value)
    return Spec(node.func.id, arguments)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(_text(item) for item in value) + ")"
    if isinstance(value, str) and value.isidentifier():
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value) if isinstance(value, Spec) else repr(value)


def _error(text: str, column: int, what: str) -> UserError:
    marked = text[:column] + ">>>" + text[column:]
    return UserError(f"spec {text!r}: {what}: {marked!r}")
