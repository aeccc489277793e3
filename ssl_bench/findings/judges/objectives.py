"""Four objectives, one protocol: linear probe and k-NN on one backbone, one dataset."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from ssl_bench.findings.evidence import Evidence, Row, by_seed, linear, nearest, select
from ssl_bench.findings.pictures import PALETTE, curves_figure
from ssl_bench.findings.tables import spread_cell
from ssl_bench.findings.verdict import Outcome, Verdict, differences
from ssl_bench.reporting.numbers import count
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

RECONSTRUCTIONS = ("autoencoder", "denoising", "mae")
COMPARED = (*RECONSTRUCTIONS, "simclr")
EVERY = (*COMPARED, "supervised", "random", "pixels")


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``comparing_wins``, ``noise_helps`` and ``learning_pays``."""
    rows = evidence.every()
    probes = {name: by_seed(select(rows, objective=name), linear) for name in EVERY}

    def above(*pairs: tuple[str, str]) -> Verdict:
        return Verdict(
            differences([(f"{one} less {other}", probes[one], probes[other]) for one, other in pairs], "above")
        )

    return Outcome(
        {
            "comparing_wins": above(*(("simclr", other) for other in RECONSTRUCTIONS)),
            "noise_helps": above(("denoising", "autoencoder")),
            "learning_pays": above(*((one, "random") for one in COMPARED)),
        },
        tables=(_table(rows),),
        figure=_figure(rows),
        description="Linear probe of each objective, a point a seed, beside the reference lines",
    )


def _table(rows: Sequence[Row]) -> Table:
    lines = []
    for name in EVERY:
        mine = select(rows, objective=name)
        if not mine:
            continue
        noise = next((row["noise"] for row in mine if row["noise"]), None)
        label = f"{name}, {noise}" if noise else name
        cells = spread_cell(by_seed(mine, linear), percent=True), spread_cell(by_seed(mine, nearest), percent=True)
        seen = Cell(count(mine[0]["samples_seen"]))
        lines.append(Line((Cell(label), *cells, Cell(str(len(by_seed(mine, linear)))), seen), name not in COMPARED))
    columns = ("", "linear probe, %", "k-NN, %", "n", "images seen")
    caption = "Top-1 on test images, mean ± sd over seeds. The last rows are reference lines."
    return Table(caption, tuple(Cell(column) for column in columns), tuple(lines))


def _figure(rows: Sequence[Row]) -> Figure:
    figure, (axes,) = curves_figure(1, "linear probe, %", "")
    figure.set_size_inches(5.2, 2.6)
    names = [name for name in EVERY if by_seed(select(rows, objective=name), linear)]
    for place, name in enumerate(names):
        values = [100 * value for value in by_seed(select(rows, objective=name), linear).values()]
        colour = PALETTE[0] if name in COMPARED else PALETTE[4]
        axes.plot(values, [place] * len(values), "o", color=colour, markersize=4, alpha=0.8)
        axes.plot([sum(values) / len(values)], [place], "|", color=colour, markersize=14, markeredgewidth=2)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    return figure
