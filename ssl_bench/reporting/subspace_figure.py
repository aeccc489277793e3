"""Accuracy against the variance that a PCA subspace really holds: a curve a side, controls as marks."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from ssl_bench.reporting.drawings import Drawing, Panel
from ssl_bench.reporting.numbers import count, percent
from ssl_bench.reporting.palette import INK, LINES, MUTED
from ssl_bench.reporting.spread import Spread
from ssl_bench.reporting.subspaces import SIDES, Point, SubspacePart

COLOURS = {"top": LINES[0], "bottom": LINES[1], "random": MUTED}
MARKS = {"top": "o", "bottom": "s", "random": "D"}


def subspace_drawing(part: SubspacePart) -> Drawing:
    """The figure of a part; a bar is the deviation over seeds."""
    known = part.known

    def draw(axes: Axes) -> None:
        for side in ("top", "bottom", "random"):
            _draw_side(axes, side, [(point, value) for point, value in known if point.side == side])
        for point, value in known:
            if point.side == SIDES[0]:
                axes.axhline(100 * value.mean, color=INK, linewidth=0.8, linestyle=(0, (6, 3)), label=point.name)
        if part.chance is not None:
            axes.axhline(100 * part.chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), label="chance")
        axes.set_xlim(-2, 102)
        axes.set_xlabel("share of the training images' variance, %")
        axes.set_ylabel(f"top-1 of the {part.accuracy}, %")

    note = f"{part.accuracy}; bars are the deviation over seeds"
    panel = Panel(part.title, note, _description(part, known), draw)
    return Drawing("subspaces", part.title, (panel,), (4.6, 3.7), key=True)


def _draw_side(axes: Axes, side: str, found: Sequence[tuple[Point, Spread]]) -> None:
    """What was asked for by share is joined by a line; controls stand alone, hollow but for the random ones."""
    for control in (False, True):
        chosen = [(point, value) for point, value in found if point.control == control]
        if not chosen:
            continue
        hollow = control and side != "random"
        axes.errorbar(
            [100 * (point.variance or 0.0) for point, _ in chosen],
            [100 * value.mean for _, value in chosen],
            yerr=[100 * (value.sd or 0.0) for _, value in chosen],
            color=COLOURS[side],
            marker=MARKS[side],
            markersize=4.5,
            markerfacecolor="none" if hollow else COLOURS[side],
            linestyle="none" if control else "-",
            elinewidth=0.8,
            label=f"{side}, control" if hollow else side,
        )


def _description(part: SubspacePart, known: Sequence[tuple[Point, Spread]]) -> str:
    """The figure in words: the ends of both curves; the table has the rest."""
    words = [f"Accuracy of the {part.accuracy} against the share of variance held, {count(len(known))} subspaces"]
    for side in ("top", "bottom"):
        curve = [(point, value) for point, value in known if point.side == side and not point.control]
        if curve:
            ends = [f"{percent(value.mean)} % at {percent(point.variance)} %" for point, value in (curve[0], curve[-1])]
            words.append(f"{side} from {ends[0]} of the variance to {ends[1]}")
    return "; ".join([*words, "the table below has the numbers"])
