"""What is wrong with settings, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ssl_bench.errors import did_you_mean

# Characters of a wrong value that a message repeats.
LONGEST_SHOWN = 200


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """The first error of a validation, in words."""
    # An unknown key is the likelier cause of a missing one.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    # Parts such as "literal['a','b']" name a branch of a type, which is no place a user knows.
    place = [str(part) for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][-1])  # which may be no word, and so no part of the place
        above = place[: len(place) - place[-1:].count(unknown)]
        return f"unknown key '{'.'.join([*above, unknown])}'; {did_you_mean(unknown, _known_keys(model, above))}"
    if first["type"] == "missing":
        return f"'{key}' is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{key}' = {_shown(first['input'])}: {message}" if key else message


def _shown(value: Any) -> str:
    """A value as a message shows it: not all of a long one."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _known_keys(model: type[BaseModel], place: Sequence[str]) -> list[str]:
    for part in place:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return list(model.model_fields)
