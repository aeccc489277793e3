"""Rows and curves as Markdown tables, rounded for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.durations import SECONDS
from benchmarks.growth import fitted_exponent
from benchmarks.results import Curve, Row

NOTHING = "\N{EN DASH}"
SHARES = "%"
# Short names of what a row may have beside its rate. None is for machines only.
LABELS: dict[str, str | None] = {
    "startup_seconds": "start-up",
    "first_seconds": "first",
    "cpu_seconds": "CPU",
    "memory_mb": "MB",
    "roofline_share": "of peak",
    "gflop_per_image": "GFLOP/image",
    "us_per_view": "µs/view",
    "eigenvalue_error": "error",
    "top1_percent": "top-1, %",
    "compile_seconds": "compiling",
    "paid_back_after_steps": "paid back after steps",
    "whole_run_seconds": "whole run",
    "steps_a_turn": None,
}


def three(value: float) -> str:
    """Three significant digits, thousands separated."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def duration(seconds: float) -> str:
    """Seconds with a unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(seconds) >= 0.9995 * size:
            return f"{three(seconds / size)} {unit}"
    return f"{three(seconds / 1e-6)} µs"


def spread(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Two quartiles."""
    # Of one turn there are none.
    return NOTHING if low is None or high is None or low == high else f"{write(low)} to {write(high)}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> str:
    """A Markdown table; all columns but the first ``texts`` are numbers."""
    rule = ["---" if at < texts else "---:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def tables_of(rows: Sequence[Row]) -> list[str]:
    """A table a unit, in the order in which the units come; shares are turned, so that cases are columns."""
    units = list(dict.fromkeys(row.unit for row in rows))
    by_unit = [(unit, [row for row in rows if row.unit == unit]) for unit in units]
    return [_shares(some) if unit.startswith(SHARES) else _rates(unit, some) for unit, some in by_unit]


def _rates(unit: str, rows: Sequence[Row]) -> str:
    extras = [name for name in dict.fromkeys(key for row in rows for key in row.extra) if _is_shown(name, unit, rows)]
    head = ["case", "contestant", "time" if unit == SECONDS else unit, "quartiles", "times faster", "quartiles"]
    lines, case = [], None
    for row in rows:
        cells = ["" if row.case == case else row.case, row.name, *_numbers(row)]
        lines.append([*cells, *(_extra(name, row.extra.get(name)) for name in extras)])
        case = row.case
    return table([*head, *(LABELS.get(name) or name.replace("_", " ") for name in extras)], lines, 2)


def _is_shown(name: str, unit: str, rows: Sequence[Row]) -> bool:
    if name in LABELS and LABELS[name] is None:
        return False
    # Of steps that are done over and over for a second, the processor's seconds say nothing.
    return (name != "cpu_seconds" or unit == SECONDS) and any(_is_plain(row.extra.get(name)) for row in rows)


def _is_plain(value: Any) -> bool:
    """Whether something fits in a cell."""
    return isinstance(value, int | float | str)


def _numbers(row: Row) -> list[str]:
    if row.median is None:
        return [NOTHING, row.error or NOTHING, NOTHING, NOTHING]
    write = duration if row.unit == SECONDS else three
    found = [write(row.median), spread(row.low, row.high, write)]
    return [*found, NOTHING if row.ratio is None else three(row.ratio), spread(row.ratio_low, row.ratio_high, three)]


def _extra(name: str, value: Any) -> str:
    if not _is_plain(value):
        return NOTHING
    if isinstance(value, str):
        return value
    if name.endswith("_seconds"):
        return duration(value)
    return f"{100 * value:.0f} %" if name.endswith("_share") else three(value)


def _shares(rows: Sequence[Row]) -> str:
    cases, names = (list(dict.fromkeys(found)) for found in ([row.case for row in rows], [row.name for row in rows]))
    values = {(row.name, row.case): row.median for row in rows}
    lines = []
    for name in names:
        shares = [values.get((name, case)) for case in cases]
        lines.append([name, *(NOTHING if share is None else f"{share:.1f}" for share in shares)])
    return table([rows[0].unit, *cases], lines, 1)


def curves_table(curves: Sequence[Curve]) -> str:
    """A row a curve: the exponents, expected and measured."""
    head = ["what", "against", "from", "to", "time expected", "time measured", "memory measured", "because"]
    lines = [
        [
            *(curve.what, curve.against, three(min(curve.sizes)), three(max(curve.sizes)), f"{curve.expected:g}"),
            *(_exponent(curve.fitted), _exponent(fitted_exponent(curve.sizes, curve.memory)), curve.why),
        ]
        for curve in curves
    ]
    return table(head, lines, 2)


def _exponent(value: float) -> str:
    # Adding 0 makes a 0 of what rounding made -0.
    return f"{round(value, 2) + 0:.2f}"


def curve_table(curve: Curve) -> str:
    """A column a size: time, and peak of memory."""
    head = [curve.against, *map(three, curve.sizes)]
    megabytes = [three(value / 2**20) for value in curve.memory]
    return table(head, [["time", *map(duration, curve.seconds)], ["MB", *megabytes]], 1)
