"""Accuracy against what it cost, a figure an axis and a kind of accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ssl_bench.reporting.drawings import Drawing, lines_drawing, numbered
from ssl_bench.reporting.effort import AccuracyCurve
from ssl_bench.reporting.figures import Line
from ssl_bench.reporting.groups import Block

AXES = {
    "samples": "images seen",
    "seconds": "seconds of training",
    "flops": "floating point operations of training",
}


def effort_drawings(block: Block, curves: Sequence[AccuracyCurve]) -> Iterator[Drawing]:
    """Accuracies of different kinds do not compare, and are never in one figure."""
    places = {group.label: index for group, index in numbered(block)}
    for number, measure in enumerate(dict.fromkeys(curve.measure for curve in curves)):
        alike = [curve for curve in curves if curve.measure == measure]
        for axis, words in AXES.items():
            lines = [line for curve in alike if (line := _line(curve, axis, places[curve.label])) is not None]
            name = f"effort-{axis}" + (f"-{number + 1}" if number else "")
            title = f"Accuracy of the {measure} against {words}"
            drawing = lines_drawing(name, title, lines, (words, "top-1, %"), (True, False))
            if drawing is not None:
                yield drawing


def _line(curve: AccuracyCurve, axis: str, index: int) -> Line | None:
    """Without what cost nothing, which has no place on a logarithmic axis; ``None`` where costs are not known."""
    costs: Sequence[float | None] = getattr(curve, axis)
    kept = [row for row, cost in enumerate(costs) if cost is not None and cost > 0]
    if not kept:
        return None
    x = [float(costs[row] or 0.0) for row in kept]
    mean, low, high = ([100 * values[row] for row in kept] for values in (curve.mean, curve.low, curve.high))
    return Line(curve.label, index, curve.reference, x, mean, low, high)
