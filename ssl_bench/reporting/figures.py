"""The figures of a report: one small panel a configuration, on axes shared by all panels of a kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ssl_bench.reporting.bands import Curves, Edges, Quantity
from ssl_bench.reporting.numbers import band_range
from ssl_bench.reporting.svg import to_svg

INK, MUTED, LINE = "#222222", "#666666", "#2b5c8a"
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.facecolor": "none",
    "axes.edgecolor": "#999999",
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
}
POINTS = 200


@dataclass(frozen=True)
class Span:
    """An axis of samples seen: the first positive and the last number, and whether 0 is on it too."""

    first: int
    last: int
    zero: bool


def loss_panel(seeds: Sequence[Sequence[tuple[int, float]]], name: str, description: str) -> str:
    """Loss against samples seen, a line a seed, on axes of its own: losses of different objectives do not compare."""
    with _figure(3.4, 2.1) as figure:
        axes = figure.add_axes((0.19, 0.2, 0.78, 0.74))
        for points in seeds:
            samples, losses = zip(*_thin(points), strict=True)
            axes.plot(samples, losses, color=LINE, alpha=0.75, marker="o" if len(samples) == 1 else None, markersize=3)
        every = [samples for points in seeds for samples, _ in points]
        _samples_axis(axes, Span(min(every), max(every), zero=False))
        axes.set_ylabel("loss")
        axes.yaxis.set_label_coords(-0.19, 0.5)
        return to_svg(figure, name, description)


def band_panel(
    curves: Curves, cut: Edges, basis: str, quantity: Quantity, span: Span, name: str, description: str
) -> str:
    """Above, a curve a band; below, the same numbers as a heat map, bands downwards.

    Args:
        curves: Values of each band at each snapshot.
        cut: The bands' ranges.
        basis: ``pca`` or ``radial``.
        quantity: What is drawn.
        span: The axis of samples seen that all panels share.
        name: Prefix of the ids.
        description: Alternative text.
    """
    bands = len(cut)
    with _figure(3.4, 3.3) as figure:
        left = 0.26
        above = figure.add_axes((left, 0.56, 0.97 - left, 0.41))
        below = figure.add_axes((left, 0.125, 0.97 - left, 0.4))
        for index, colour in enumerate(band_colours(bands)):
            above.plot(curves.samples, curves.values[:, index], color=colour, clip_on=True)
            below.plot(
                [-0.02],
                [index + 0.5],
                "s",
                color=colour,
                markersize=4,
                transform=below.get_yaxis_transform(),
                clip_on=False,
            )
        if quantity == "relative_error":
            above.axhline(0.5, color=MUTED, linewidth=0.6, linestyle=(0, (3, 2)))
        above.set_ylim(*((-0.03, 1.03) if quantity == "decodability" else (-0.03, 1.25)))
        above.set_ylabel("R²" if quantity == "decodability" else "relative error")
        mesh = below.pcolormesh(
            column_edges(curves.samples, span),
            np.arange(bands + 1),
            np.clip(curves.values.T, 0, 1),
            cmap=colour_map(quantity),
            norm=Normalize(0, 1),
            linewidth=0.3,
        )
        # Cells of a vector image show hairlines at their borders unless drawn with an edge of their own colour.
        mesh.set_edgecolor("face")
        below.set_ylim(bands, 0)
        below.set_yticks(np.arange(bands) + 0.5, [band_range(basis, low, high) for low, high in cut])
        below.tick_params(axis="y", length=0, pad=7)
        below.set_ylabel("component" if basis == "pca" else "cycles per pixel")
        for axes in (above, below):
            _samples_axis(axes, span)
            axes.yaxis.set_label_coords((0.03 - left) / (0.97 - left), 0.5)
        above.tick_params(axis="x", labelbottom=False)
        above.set_xlabel("")
        return to_svg(figure, name, description)


def band_colours(count: int) -> list[str]:
    """A colour a band, dark for band 0 to light, told apart also without colour vision."""
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, count))
    return [to_hex(colour) for colour in colours]


def colour_map(quantity: Quantity) -> str:
    """Dark where a band is learned: high decodability, low error."""
    return "YlGnBu" if quantity == "decodability" else "YlGnBu_r"


def colour_stops(quantity: Quantity, count: int = 9) -> list[str]:
    """The heat maps' colours from 0 to 1, evenly spaced."""
    return [to_hex(colour) for colour in matplotlib.colormaps[colour_map(quantity)](np.linspace(0, 1, count))]


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """A figure in the report's style, sizes in inches; without pyplot, so that no global state is left."""
    with matplotlib.rc_context(STYLE):
        yield Figure(figsize=(width, height), facecolor="none")


def _samples_axis(axes: Axes, span: Span) -> None:
    """Samples seen on a log axis; where there is a 0, a short linear piece leads from it to the first positive one."""
    if span.zero:
        axes.set_xscale("symlog", linthresh=span.first, linscale=0.35)
    else:
        axes.set_xscale("log")
    axes.set_xlim(0 if span.zero else span.first / 1.1, span.last * 1.1)
    axes.xaxis.set_major_locator(FixedLocator([*([0] if span.zero else []), *_ticks(span)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
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


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def column_edges(samples: Sequence[int], span: Span) -> list[float]:
    """Borders between snapshots: halfway on the axis, which is linear up to the first positive snapshot."""
    inner = [later / 2 if earlier == 0 else math.sqrt(earlier * later) for earlier, later in pairwise(samples)]
    return [0.0 if samples[0] == 0 else samples[0] / 1.1, *inner, min(samples[-1] ** 2 / inner[-1], span.last * 1.1)]


def _thin(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most about 200 points, evenly spread on a log axis, the last included."""
    if len(points) <= POINTS:
        return list(points)
    chosen = np.unique(np.geomspace(1, len(points), POINTS).round().astype(int)) - 1
    return [points[index] for index in chosen]
