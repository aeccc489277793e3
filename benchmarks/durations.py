"""Rows of what is done as a whole, such as a probe: seconds, where fewer are better, instead of items a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.contest import Timing
from benchmarks.results import Row, quartiles, rows_of

SECONDS = "s"


def seconds_of(case: str, timings: Sequence[Timing]) -> list[Row]:
    """A row a contestant, in seconds a work. As ever, ``ratio`` is how many times faster the first contestant is."""
    rows = rows_of(case, SECONDS, timings)
    return [_in_seconds(row, timing) for row, timing in zip(rows, timings, strict=True)]


def _in_seconds(row: Row, timing: Timing) -> Row:
    if row.error is not None:
        return row
    low, median, high = quartiles(timing.seconds)
    # What never started, such as a command, has no time until it was ready.
    extra = {
        name: value for name, value in row.extra.items() if value or name not in ("startup_seconds", "first_seconds")
    }
    return replace(row, median=median, low=low, high=high, extra=extra)
