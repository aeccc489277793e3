"""The text form ``name(key=value, ...)`` that names a noise on the command line, in YAML and in reports."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

from ssl_bench.errors import UserError

# Letters of a spec: one gain for each component of a large image is a few hundred thousand.
LONGEST = 1_000_000
# Letters of a spec that a message repeats.
SHOWN = 200


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
    if len(text) > LONGEST:
        raise _error(text[:SHOWN], 0, f"{len(text):,} letters are more than a spec has ({LONGEST:,})")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's, about how it would read what is refused below
            # ``from`` is a word of Python's own; "fr0m" has its length, so that columns stay true.
            tree = ast.parse(re.sub(r"\bfrom(?=\s*=)", "fr0m", text), mode="eval").body
        value = Spec(tree.id) if isinstance(tree, ast.Name) else _value(text, tree)
    except SyntaxError as error:
        column = max((error.offset or 1) - 1, 0)
        raise _error(text, column, "cannot be read here") from error
    except (RecursionError, MemoryError) as error:  # the parser's stack, not the machine's memory
        raise _error(text[:SHOWN], 0, "is nested too deeply") from error
    except ValueError as error:  # a null, or half a surrogate pair
        raise _error(text, 0, "holds a letter that no spec has") from error
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
        return _plain(ast.literal_eval(node))
    except (TypeError, ValueError) as error:
        raise _error(text, node.col_offset, "is neither a literal nor a spec") from error


def _plain(value: Any) -> Any:
    """A number or a word.

    Raises: ValueError for what Python has besides: bytes, sets, mappings, ``...``, imaginary numbers.
    """
    if not isinstance(value, str | int | float | None):
        raise ValueError(f"{type(value).__name__} has no place in a spec")
    return value


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
    marked = f"{text[max(column - SHOWN, 0) : column]}>>>{text[column : column + SHOWN]}"
    whole = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return UserError(f"spec {whole!r}: {what}: {marked!r}")
