"""What a comparison came to, without when and how fast: two of these are equal, or something was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_bench.files import read_json, read_tensors, seal_of_tensors
from ssl_bench.runs.directory import RunDirectory

# Keys, at any depth, of what says when, where and how fast.
CIRCUMSTANCES = frozenset({"seconds"})


def outcome(out: Path) -> dict[str, Any]:
    """Every number of a comparison, by file and place: summary, measurements, logs, and a hash of each snapshot.

    Raises: UserError if a file is not there or damaged.
    """
    found: dict[str, Any] = {}
    _flatten("summary.json", read_json(out / "summary.json"), found)
    for folder in sorted((out / "runs").iterdir()):
        run = RunDirectory(folder)
        found[f"{folder.name} status"] = run.record()["status"]
        for file in (run.evaluation_file, run.spectrum_file):
            _flatten(f"{folder.name}/{file.name}", read_json(file), found)
        for row in run.metrics():
            if row["name"] != "images_per_second":
                found[f"{folder.name} {row['name']} at step {row['step']}"] = row["value"]
        for step, file in run.snapshots().items():
            read_tensors(file)  # which says whether they are what the hash is of
            found[f"{folder.name} snapshot {step}"] = seal_of_tensors(file)
    return found


def difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The first place where two comparisons differ, in words; ``None`` if they do not."""
    for key in sorted({*one, *other}):
        if one.get(key) != other.get(key):
            return f"{key}: {one.get(key)!r} and {other.get(key)!r}"
    return None


def _flatten(place: str, value: Any, found: dict[str, Any]) -> None:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        found[place] = value
        return
    for key, inner in items:
        if key not in CIRCUMSTANCES:
            _flatten(f"{place} {key}", inner, found)
