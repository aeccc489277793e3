"""What is measured, as it is kept: sections of rows and curves, with the spread of each number."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.contest import Timing


@dataclass(frozen=True)
class Plan:
    """How to measure: on ``device`` (``cpu`` or ``cuda``), ``repeats`` times.

    ``quick`` is a smoke test, of sizes that say nothing.
    """

    device: str = "cpu"
    repeats: int = 5
    threads: int = 2
    quick: bool = False


@dataclass(frozen=True)
class Row:
    """One contestant in one case.

    ``median``, ``low``, ``high``: items a second (or whatever ``unit`` says), with its quartiles. ``ratio``: how many
    times faster the first contestant of the case is than this one, the median over turns, with quartiles. ``extra``:
    further numbers by name, such as ``startup_seconds``, ``memory_mb``, ``roofline_share``. ``error``: why there is
    nothing.
    """

    case: str
    name: str
    unit: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Curve:
    """How cost grows: seconds and peak memory (bytes) at each of several sizes.

    ``expected`` is the exponent that the algorithm has for large sizes, ``fitted`` the one measured: the slope of the
    logarithms over the larger half of the sizes.
    """

    what: str
    against: str
    sizes: list[float]
    seconds: list[float]
    memory: list[float]
    expected: float
    fitted: float
    why: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report. ``notes`` are sentences below its table, such as a profile."""

    name: str
    title: str
    about: str
    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def rows_of(
    case: str, unit: str, timings: Sequence[Timing], extras: Sequence[dict[str, Any]] | None = None
) -> list[Row]:
    """A row a contestant; ratios are to the first, turn by turn, since neighbours in time had the same machine."""
    return [
        _row(case, unit, timing, timings[0], extra)
        for timing, extra in zip(timings, extras or [{}] * len(timings), strict=True)
    ]


def with_extra(row: Row, **extra: Any) -> Row:
    """The row with further numbers beside it."""
    return replace(row, extra={**row.extra, **extra})


def _row(case: str, unit: str, timing: Timing, first: Timing, extra: dict[str, Any]) -> Row:
    if timing.error is not None or not timing.seconds:
        return Row(case, timing.entry.name, unit, error=timing.error or "nothing was measured", extra=extra)
    low, median, high = quartiles(timing.rates)
    about = {
        "startup_seconds": timing.startup,
        "first_seconds": timing.first,
        "memory_mb": timing.memory / 2**20,
        "cpu_seconds": statistics.median(timing.cpu),
        **timing.about,
        **extra,
    }
    if timing is first or first.error is not None or not first.seconds:
        return Row(case, timing.entry.name, unit, median, low, high, extra=about)
    ratios = [ours / theirs for ours, theirs in zip(first.rates, timing.rates, strict=False)]
    ratio_low, ratio, ratio_high = quartiles(ratios)
    return Row(case, timing.entry.name, unit, median, low, high, ratio, ratio_low, ratio_high, about)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third of some numbers."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high
