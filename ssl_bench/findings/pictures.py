"""The few ways in which findings draw: panels of curves over an axis, seeds as points."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_bench.reporting.figures import STYLE

# Told apart without colour vision, on white.
PALETTE = ("#2b5c8a", "#a8501c", "#4d7f3a", "#7a4b93", "#5c6370", "#b08900", "#00767a", "#a03050")
COLOURS = {"top": PALETTE[0], "bottom": PALETTE[1]}


def curves_figure(panels: int, across: str, upwards: str) -> tuple[Figure, list[Axes]]:
    """Panels side by side with common names of their axes."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * panels + 0.4, 2.9), layout="constrained")
        axes = [figure.add_subplot(1, panels, place + 1) for place in range(panels)]
    for one in axes:
        one.set_xlabel(across)
    axes[0].set_ylabel(upwards)
    return figure, axes


def draw_points(
    axes: Axes, curve: Sequence[tuple[float, Sequence[float]]], name: str, colour: str | None = None
) -> None:
    """A line through means, each seed a point."""
    if not curve:
        return
    colour = colour or COLOURS.get(name, PALETTE[0])
    places = [place for place, _ in curve]
    axes.plot(places, [statistics.fmean(values) for _, values in curve], color=colour, label=name)
    for place, values in curve:
        axes.plot([place] * len(values), list(values), "o", color=colour, markersize=3, alpha=0.7)


def legend_beside(axes: Axes) -> None:
    """A legend to the right of a panel, if anything in it has a name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
