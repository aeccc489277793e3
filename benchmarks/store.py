"""A machine's results in one JSON file: a section that is measured again replaces the one there, the others stay."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import Curve, Row, Section
from ssl_bench.errors import UserError
from ssl_bench.files import read_json, write_json

SCHEMA = 1
# All sections there are, in the order in which they are measured and shown.
SECTIONS = ("augmentation", "step", "profile", "compiling", "accuracy", "evaluation", "moments", "growth", "demo")


@dataclass(frozen=True)
class Entry:
    """One section in the file.

    Attributes:
        section: What was measured; ``None`` if it never succeeded.
        measured: When, by which command, on what; of the attempt that ``section`` is from.
        error: Why the last attempt failed, and when; ``None`` if it did not.
    """

    section: Section | None
    measured: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


def read(file: Path) -> dict[str, Entry]:
    """The entries by section; none where there is no file.

    Raises: UserError if the file cannot be read, or is of another form.
    """
    if not file.exists():
        return {}
    content = read_json(file)
    if content.get("schema") != SCHEMA or not isinstance(content.get("sections"), dict):
        raise UserError(f"{file} holds no results of this benchmark: choose another --name, or move it away")
    try:
        return {name: _entry(raw) for name, raw in content["sections"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{file} holds results that cannot be read ({type(error).__name__}: {error}): "
            "choose another --name, or move it away"
        ) from error


def enter(file: Path, section: Section, measured: dict[str, Any]) -> None:
    """Put a section in the place of the one of its name, in one step."""
    _write(file, {**read(file), section.name: Entry(section, measured)})


def enter_failure(file: Path, name: str, error: str, measured: dict[str, Any]) -> None:
    """Note that a section could not be measured. Earlier results of it stay, with the note."""
    entries = read(file)
    before = entries.get(name, Entry(None, measured))
    note = f"{measured['created']}: {error}"
    _write(file, {**entries, name: Entry(before.section, before.measured, note)})


def _write(file: Path, entries: dict[str, Entry]) -> None:
    # Unknown ones, of a later version, come last.
    names = sorted(entries, key=lambda name: SECTIONS.index(name) if name in SECTIONS else len(SECTIONS))
    sections = {name: _plain(asdict(entries[name])) for name in names}
    write_json(file, {"schema": SCHEMA, "name": file.stem, "sections": sections})


def _entry(raw: dict[str, Any]) -> Entry:
    made = None
    if raw["section"] is not None:
        parts = dict(raw["section"])
        parts["rows"] = [Row(**row) for row in parts["rows"]]
        parts["curves"] = [Curve(**curve) for curve in parts["curves"]]
        made = Section(**parts)
    return Entry(made, raw["measured"], raw["error"])


def _plain(value: Any) -> Any:
    """JSON has no infinity and no NaN: what is not a number is nothing."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
