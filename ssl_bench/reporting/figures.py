"""The figures of a report, drawn with matplotlib: each function draws into the axes it is given.

The page shows them one a configuration, beside what its script draws from the same numbers; papers get them together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ssl_bench.reporting.bands import Curves, Edges, Quantity, Values
from ssl_bench.reporting.numbers import band_range
from ssl_bench.reporting.palette import DASHES, FRAME, INK, MUTED, dash, heat_map_colours, line_colour

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": FRAME,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "text.parse_math": False,
    "legend.frameon": False,
}
POINTS = 200
SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


@dataclass(frozen=True)
class Span:
    """An axis of samples seen: the first positive and the last number, and whether 0 is on it too."""

    first: int
    last: int
    zero: bool


@dataclass(frozen=True)
class Line:
    """A curve with its name and which of the report's colours it has."""

    label: str
    index: int
    reference: bool
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@contextmanager
def canvas(width: float, height: float, layout: Literal["constrained"] | None = None) -> Iterator[Figure]:
    """A figure in the report's style, sizes in inches; without pyplot, so that no global state is left."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), facecolor="none", layout=layout)


def span_of(every: Sequence[int]) -> Span:
    """The axis on which all of these numbers of samples lie."""
    positive = [samples for samples in every if samples > 0]
    return Span(min(positive, default=1), max(positive, default=1), zero=0 in every)


def draw_losses(axes: Axes, seeds: Sequence[Sequence[tuple[int, float]]]) -> None:
    """Loss against samples seen, a line a seed, on axes of its own: losses of different objectives do not compare."""
    for points in seeds:
        samples, losses = zip(*_thin(points), strict=True)
        marker = "o" if len(samples) == 1 else None
        axes.plot(samples, losses, color=line_colour(0, False), alpha=0.75, marker=marker, markersize=3)
    every = [samples for points in seeds for samples, _ in points]
    samples_axis(axes, Span(min(every), max(every), zero=False))
    axes.set_ylabel("loss")


def draw_bands(axes: Axes, curves: Curves, cut: Edges, basis: str, quantity: Quantity, span: Span) -> None:
    """What is held of each band after so many samples: bands downwards, more ink is more learned."""
    bands = len(cut)
    mesh = axes.pcolormesh(
        column_edges(curves.samples, span),
        np.arange(bands + 1),
        np.ma.masked_invalid(learned(curves.values, quantity).T),
        cmap=heat_map_colours(),
        norm=Normalize(0, 1),
        linewidth=0.3,
    )
    # Cells of a vector image show hairlines at their borders unless drawn with an edge of their own colour.
    mesh.set_edgecolor("face")
    axes.set_ylim(bands, 0)
    axes.set_yticks(np.arange(bands) + 0.5, [band_range(basis, low, high) for low, high in cut])
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("component" if basis.endswith("pca") else "cycles per pixel")
    samples_axis(axes, span)


def learned(values: Values, quantity: Quantity) -> Values:
    """How much of a band is learned, in 0..1: its decodability, or what of it a reconstruction does not miss."""
    return np.clip(values if quantity == "decodability" else 1 - values, 0, 1)


def draw_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """Curves in the colours and dashes that their configurations have everywhere, intervals as bands behind them."""
    for line in lines:
        colour, style = line_colour(line.index, line.reference), DASHES[dash(line.index, line.reference)]
        if line.low is not None and line.high is not None and len(line.x) > 1:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        marker = "o" if len(line.x) == 1 else None
        axes.plot(line.x, line.y, color=colour, linestyle=style, marker=marker, markersize=3, label=line.label)


def draw_map(axes: Axes, rows: Values, columns: Values, values: Values, most: float) -> None:
    """A map over frequencies, rows vertical: more ink is more. Shapes: ``(h,)``, ``(w,)``, ``(h, w)``."""
    share = np.ma.masked_invalid(np.clip(values / most if most > 0 else values * 0, 0, 1))
    mesh = axes.pcolormesh(
        _borders(columns), _borders(rows), share, cmap=heat_map_colours(), norm=Normalize(0, 1), linewidth=0.3
    )
    mesh.set_edgecolor("face")
    axes.set_aspect("equal")
    axes.set_xlabel("across, cycles per pixel")
    axes.set_ylabel("down")


def samples_axis(axes: Axes, span: Span) -> None:
    """Samples seen on a log axis; where there is a 0, a short linear piece leads from it to the first positive one."""
    if span.zero:
        axes.set_xscale("symlog", linthresh=span.first, linscale=0.35)
    else:
        axes.set_xscale("log")
    axes.set_xlim(0 if span.zero else span.first / 1.1, span.last * 1.1)
    axes.xaxis.set_major_locator(FixedLocator([*([0] if span.zero else []), *_ticks(span)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlabel("samples seen")


def _ticks(span: Span) -> list[float]:
    """Powers of ten; in a narrow span also their multiples, or just its end."""
    for multiples in ((1,), (1, 2, 5)):
        powers = range(math.floor(math.log10(span.first)), math.ceil(math.log10(span.last)) + 1)
        found = [float(factor * 10**power) for power in powers for factor in multiples]
        ticks = [tick for tick in found if span.first * 1.2 <= tick <= span.last * 1.05]
        if len(ticks) >= 2:
            return ticks
    return [float(span.last)]


def short(value: float) -> str:
    """A large number in few letters."""
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def power_of_ten(value: float, _: object = None) -> str:
    """A tick of a logarithmic axis: as it is near 1, as a power of ten elsewhere."""
    if value <= 0 or 1e-3 < value < 1e4:
        return f"{value:g}"
    return f"10{str(round(math.log10(value))).translate(SUPERSCRIPTS)}"


def column_edges(samples: Sequence[int], span: Span) -> list[float]:
    """Borders between snapshots: halfway on the axis, which is linear up to the first positive snapshot."""
    if len(samples) == 1:
        return [0.0 if span.zero else span.first / 1.1, span.last * 1.1]
    inner = [later / 2 if earlier == 0 else math.sqrt(earlier * later) for earlier, later in pairwise(samples)]
    return [0.0 if samples[0] == 0 else samples[0] / 1.1, *inner, min(samples[-1] ** 2 / inner[-1], span.last * 1.1)]


def _borders(centres: Values) -> Values:
    """Borders of cells around evenly spaced centres."""
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    borders: Values = np.append(centres - step / 2, centres[-1] + step / 2)
    return borders


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most about 200 points, evenly spread on a log axis, the last included."""
    if len(points) <= POINTS:
        return list(points)
    chosen = np.unique(np.geomspace(1, len(points), POINTS).round().astype(int)) - 1
    return [points[index] for index in chosen]
