"""YAML from people and from files: plain values and no code, no key twice, nothing that grows when it is read.

Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ssl_bench.errors import UserError

# Far beyond any configuration: a design of a noise for large images has a few thousand numbers.
LARGEST_TEXT = 1_000_000
MOST_VALUES = 100_000
DEEPEST = 20
TOO_DEEP = f"nested too deeply: {DEEPEST} levels are as many as there may be"
# In place of the measure of what is being measured.
HOLDS_ITSELF = (0, 0)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which makes nothing but plain values; what it would take silently is refused."""

    def get_single_node(self) -> yaml.Node | None:
        """The root of the only document, looked through before any value is made of it."""
        root: yaml.Node | None = super().get_single_node()
        if root is not None:
            _measure(root, {}, 0)
        return root


def read_yaml(text: str, where: str) -> Any:
    """The value of a YAML text: mappings, lists, strings, numbers, truth values, null and dates.

    Args:
        text: The text.
        where: What it is, for messages.

    Raises: UserError, which names ``where`` and the line, for what is no YAML, a key given twice, a tag that asks for
        an object, a value that cannot be (month 13), nesting below 20 levels, and references (``*name``) that stand
        for more than 100,000 values or for themselves.
    """
    if len(text) > LARGEST_TEXT:
        raise UserError(f"{where}: {len(text):,} characters are more than a configuration has ({LARGEST_TEXT:,})")
    try:
        return _Loader(text).get_single_data()
    except _Refused as error:
        raise UserError(f"{where}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise UserError(f"{where}: not readable as YAML: {line}{error.problem or error.context}") from error
    except RecursionError as error:
        raise UserError(f"{where}: {TOO_DEEP}") from error
    except Exception as error:  # month 13, a number of 5,000 digits, a tag that its text does not fit: all kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{where}: not readable as YAML: {reason}") from error


def read_yaml_file(path: Path) -> Any:
    """The value of a YAML file (:func:`read_yaml`).

    Raises: UserError, which names it, if it cannot be read either.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(4 * LARGEST_TEXT + 1)  # of a file without an end, no more than is refused
        return read_yaml(content.decode("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


class _Refused(Exception):
    """What YAML allows and a configuration may not hold."""


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]], depth: int) -> tuple[int, int]:
    """How many values a node stands for, with all that it refers to, and how many levels deep it is.

    Raises: _Refused.
    """
    line = node.start_mark.line + 1
    if id(node) not in known:
        known[id(node)] = HOLDS_ITSELF
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        values, levels = 1, 1
        for part in _parts(node):
            inner_values, inner_levels = _measure(part, known, depth + 1)
            values, levels = values + inner_values, max(levels, inner_levels + 1)
            if values > MOST_VALUES:
                raise _Refused(f"line {line}: stands for more than {MOST_VALUES:,} values")
        known[id(node)] = values, levels
    elif known[id(node)] == HOLDS_ITSELF:
        raise _Refused(f"line {line}: a value holds itself")
    if depth + known[id(node)][1] > DEEPEST:
        raise _Refused(f"line {line}: {TOO_DEEP}")
    return known[id(node)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode) -> None:
    """Refuse a key that is there twice: the last would win without a word."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line, name = key.start_mark.line + 1, (key.tag, key.value)
        if name in lines:
            raise _Refused(f"line {line}: key {key.value!r} is given twice, first in line {lines[name]}: keep one")
        lines[name] = line
