"""Settings from a YAML file and ``key=value`` words: nested, not yet validated. Imports no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssl_bench.errors import UserError, did_you_mean
from ssl_bench.yaml_files import DEEPEST, TOO_DEEP, read_yaml, read_yaml_file

SHORT_FORMS = ("objective", "backbone", "dataset")


def load_config(file: str | Path | None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The nested settings of a YAML file with ``key=value`` overrides applied; not yet validated.

    ``file`` is a path, or the name of a configuration shipped with the package (``cifar10``).

    Raises: UserError if the file is not there or not a mapping, or an override is not ``key=value``.
    """
    raw: dict[str, Any] = {} if file is None else _read_yaml(find_config(file))
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise UserError(f"{override!r} is not key=value, nor a configuration file")
        _assign(raw, key.strip(), parse_value(value))
    return expand_short_forms(raw)


def find_config(file: str | Path) -> Path:
    """The path of a YAML file given as a path or as the name of a shipped configuration.

    Raises: UserError if there is none.
    """
    path = Path(file)
    with contextlib.suppress(OSError, ValueError):  # no name a file could have
        if path.is_file():
            return path
    folders = shipped_folders()
    shipped = {item.stem: item for folder in folders if folder.is_dir() for item in sorted(folder.glob("*.yaml"))}
    if str(file) in shipped:
        return shipped[str(file)]
    raise UserError(
        f"no configuration {str(file)!r}: neither a file nor a shipped one; {did_you_mean(str(file), shipped)}"
    )


def shipped_folders() -> list[Path]:
    """Where configurations lie: inside an installed package, and beside it in a checkout."""
    return [Path(__file__).parent / "configs", Path(__file__).parent.parent / "configs"]


def parse_value(text: str, depth: int = 0) -> Any:
    """The value of an override: YAML, except that a list may hold noise specs with commas of their own.

    ``[autoencoder, gaussian(sigma=0.1), [0.2, 0.35]]`` splits at the commas outside any bracket.

    Raises: UserError for lists in lists in lists, ``depth`` of them already.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        if depth >= DEEPEST:
            raise UserError(f"{text[:20]}...: {TOO_DEEP}")
        return [parse_value(item, depth + 1) for item in _split(text[1:-1])]
    if "(" in text:
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
        return text[1:-1] if quoted else text
    try:
        value = read_yaml(text, "value")
    except UserError:
        return text
    return value if isinstance(value, str | int | float | bool | None) else text


def expand_short_forms(raw: Mapping[str, Any]) -> dict[str, Any]:
    """``objective: mae`` stands for ``objective: {name: mae}``; likewise backbone and dataset, and lists of them."""
    full = dict(raw)
    for key in SHORT_FORMS:
        if key in full and not isinstance(full[key], Mapping):
            full[key] = {"name": full[key]}
    return full


def _read_yaml(path: Path) -> dict[str, Any]:
    """The settings of a file; an empty one has none.

    Raises: UserError if it cannot be read, or holds anything but keys that are words, and values.
    """
    raw = read_yaml_file(path)
    if raw is not None and not isinstance(raw, dict):
        raise UserError(f"{path}: must hold keys and values, not a {type(raw).__name__}")
    return _with_words(raw or {}, str(path))


def _with_words(section: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Settings whose keys are words all the way down.

    Raises: UserError for the first that is none, such as ``no:``, which YAML takes for false.
    """
    for key in section:
        if not isinstance(key, str):
            raise UserError(f"{where}: key {key!r} is no word: YAML reads it as {type(key).__name__}; quote it")
    return {key: _with_words(value, where) if isinstance(value, Mapping) else value for key, value in section.items()}


def _assign(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested settings, in place; a section given in its short form is opened first."""
    *parents, last = key.split(".")
    if len(parents) >= DEEPEST:
        raise UserError(f"{key[:40]}...: {TOO_DEEP}")
    here = raw
    for parent in parents:
        below = here.get(parent, {})
        if not isinstance(below, dict):
            below = {"name": below}
        here[parent] = below = dict(below)
        here = below
    if not parents and last in SHORT_FORMS and isinstance(here.get(last), dict) and not isinstance(value, dict):
        here[last] = {**here[last], "name": value}
    else:
        here[last] = value


def _split(text: str) -> list[str]:
    parts, depth, start, quote = [], 0, 0, ""
    for position, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]
