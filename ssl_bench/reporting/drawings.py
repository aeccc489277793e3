"""Which figures a dataset has, each as panels that can be drawn one by one (the page) or together (papers)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ssl_bench.reporting.bands import BASES, QUANTITIES, Curves, Edges, Quantity, by_edges, mean_curves
from ssl_bench.reporting.figures import Line, canvas, draw_bands, draw_lines, draw_losses, power_of_ten, span_of
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.palette import INK, line_colour
from ssl_bench.spectrum.names import BASIS_NAMES, QUANTITY_NAMES

Where = Literal["lower center", "outside lower center"]
SMALL = (3.4, 2.1)
WIDE = (6.4, 3.0)


@dataclass(frozen=True)
class Panel:
    """One set of axes: whose it is, what a reader who does not see it is told, and how it is drawn."""

    label: str
    note: str
    description: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Args:
        name: Of its file.
        title: What it shows.
        panels: One at least.
        size: Of a panel, in inches.
        margins: What a panel's labels need at the left and below, in inches.
        key: Whether its lines are named beside it.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]
    size: tuple[float, float] = SMALL
    margins: tuple[float, float] = (0.62, 0.4)
    key: bool = False

    def add_key(self, figure: Figure, axes: Axes, where: Where = "outside lower center") -> int:
        """Name the lines below the axes; returns how many rows that took."""
        handles, labels = axes.get_legend_handles_labels()
        if not self.key or not labels:
            return 0
        columns = min(3, len(labels))
        figure.legend(handles, labels, loc=where, ncols=columns)
        return math.ceil(len(labels) / columns)

    def alone(self, panel: Panel) -> Figure:
        """One of its panels as a figure of its own, laid out by the margins: quick, and all panels alike."""
        width, height = self.size
        with canvas(width, height) as figure:
            axes = figure.add_subplot()
            panel.draw(axes)
            below = self.margins[1] + 0.19 * self.add_key(figure, axes, "lower center")
            figure.subplots_adjust(self.margins[0] / width, below / height, 1 - 0.08 / width, 1 - 0.08 / height)
            return figure


def numbered(block: Block) -> list[tuple[Group, int]]:
    """Configurations with their place among those compared, or among the reference lines: what colours go by."""
    return [(group, index) for groups in (block.main, block.references) for index, group in enumerate(groups)]


def loss_drawing(block: Block) -> Drawing | None:
    """Training loss, a panel a configuration; ``None`` where none was logged."""
    panels = []
    for group in block.groups:
        seeds = [points for run in group.runs if (points := run.losses())]
        if seeds:
            lines = "one line" if len(seeds) == 1 else f"{len(seeds)} lines"
            description = f"Training loss of {group.label} against samples seen, {lines}"
            panels.append(Panel(group.label, seeds_of(len(seeds)), description, _losses_of(seeds)))
    return Drawing("losses", "Training loss", tuple(panels)) if panels else None


def band_drawings(block: Block) -> list[Drawing]:
    """Which band when, a figure a basis and quantity that was followed over training."""
    return [
        drawing
        for basis in BASES
        for quantity in QUANTITIES
        if (drawing := band_drawing(block, basis, quantity)) is not None
    ]


def band_drawing(block: Block, basis: str, quantity: Quantity) -> Drawing | None:
    """One quantity in one basis, all configurations on one axis of samples; ``None`` without curves."""
    found = list(_followed(block, basis, quantity))
    if not found:
        return None
    span = span_of([samples for _, _, curves in found for samples in curves.samples])
    title = f"{QUANTITY_NAMES[quantity].capitalize()}, {BASIS_NAMES[basis]}"
    panels = []
    for group, cut, curves in found:
        what = f"{len(cut)} bands at {len(curves.samples)} snapshots; the table below has the numbers"

        def draw(axes: Axes, curves: Curves = curves, cut: Edges = cut) -> None:
            draw_bands(axes, curves, cut, basis, quantity, span)

        note = f"{group.note}; {seeds_of(curves.n)}"
        panels.append(Panel(group.label, note, f"{title}: {group.label}, {what}", draw))
    return Drawing(f"bands-{basis}-{quantity}".replace("_", "-"), title, tuple(panels), (3.4, 1.9), (0.9, 0.4))


def probe_drawing(block: Block) -> Drawing | None:
    """Linear probe by configuration: seeds, mean, interval, chance. ``None`` where nothing was probed."""
    probed = [(group, index) for group, index in numbered(block) if group.linear is not None]
    if not probed:
        return None

    def draw(axes: Axes) -> None:
        for row, (group, index) in enumerate(probed):
            assert group.linear is not None
            colour, values = line_colour(index, group.reference), [100 * value for value in group.linear.values]
            if group.linear.interval is not None:
                low, high = (100 * value for value in group.linear.interval)
                axes.plot([low, high], [row, row], color=colour, linewidth=2, alpha=0.5, solid_capstyle="butt")
            axes.plot(values, [row] * len(values), "o", color=colour, markersize=4, markerfacecolor="none")
            axes.plot([100 * group.linear.mean], [row], "|", color=colour, markersize=11, markeredgewidth=2)
        if block.chance is not None:
            axes.axvline(100 * block.chance, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_ylim(len(probed) - 0.5, -0.5)
        axes.set_yticks(range(len(probed)), [group.label for group, _ in probed])
        axes.set_xlabel("linear probe, top-1, %")

    description = "Linear probe by configuration: circles are seeds, bars the mean, lines the 95 % interval"
    panel = Panel(block.dataset, "", f"{description}; chance is dotted", draw)
    return Drawing("probe", "Linear probe", (panel,), (6.4, 0.9 + 0.28 * len(probed)))


def lines_drawing(
    name: str, title: str, lines: Sequence[Line], labels: tuple[str, str], logarithmic: tuple[bool, bool]
) -> Drawing | None:
    """Curves of all configurations in one panel, with a legend; ``None`` without any."""
    if not lines:
        return None

    def draw(axes: Axes) -> None:
        draw_lines(axes, lines)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        if logarithmic[0]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(power_of_ten))
        if logarithmic[1]:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))

    words = f"{labels[1]} against {labels[0]} of {', '.join(line.label for line in lines)}"
    return Drawing(name, title, (Panel(title, "", words, draw),), WIDE, (0.62, 0.48), key=True)


def seeds_of(number: int) -> str:
    """A number of seeds in words."""
    return "1 seed" if number == 1 else f"{number} seeds"


def _losses_of(seeds: Sequence[Sequence[tuple[int, float]]]) -> Callable[[Axes], None]:
    return lambda axes: draw_losses(axes, seeds)


def _followed(block: Block, basis: str, quantity: Quantity) -> Iterator[tuple[Group, Edges, Curves]]:
    """What was measured more than once."""
    for cut, members in by_edges(block.groups, basis).items():
        for group, runs in members:
            curves = mean_curves(runs, basis, quantity)
            if curves is not None and len(curves.samples) > 1:
                yield group, cut, curves
