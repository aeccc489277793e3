"""Which noise helps: the alignment that the closed form predicts, against the probe of trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from ssl_bench.evaluation.metrics.correlation import rank_correlation
from ssl_bench.findings.evidence import BySeed, Evidence, Row, by_seed, linear, nearest
from ssl_bench.findings.pictures import PALETTE, curves_figure, legend_beside
from ssl_bench.findings.tables import spread_cell
from ssl_bench.findings.verdict import LEVEL, Effect, Outcome, Sign, Verdict, differences
from ssl_bench.reporting.numbers import NOTHING, decimal
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

NONE = "no noise"
WHITE = ("gaussian(sigma=0.5)", "gaussian(sigma=1)")
MASK, RED = "mask(ratio=0.75, patch=4)", "power_law(alpha=5, sigma=3)"


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``agreement``, ``white_never_helps``, ``mask_helps`` and ``red_hurts``."""
    rows = [row for row in evidence.every() if row["objective"] in ("autoencoder", "denoising")]
    names = list(dict.fromkeys(row["noise"] or NONE for row in rows))
    probes = {name: by_seed([row for row in rows if (row["noise"] or NONE) == name], linear) for name in names}
    predicted = _predicted(evidence)

    def gain(names: Sequence[str], sign: Sign) -> Verdict:
        pairs = [(f"{name} less {NONE}", probes.get(name, {}), probes.get(NONE, {})) for name in names]
        return Verdict(differences(pairs, sign))

    return Outcome(
        {
            "agreement": Verdict((_agreement(predicted, probes),)),
            "white_never_helps": gain(WHITE, "not above"),
            "mask_helps": gain((MASK,), "above"),
            "red_hurts": gain((RED,), "below"),
        },
        tables=(_table(rows, names, probes, predicted),),
        figure=_figure(probes, predicted),
        description="Linear probe measured against the alignment predicted in 64 dimensions, a point a noise and seed",
    )


def _predicted(evidence: Evidence) -> dict[str, tuple[float, float]]:
    """Alignment (in percent) and held-out R² in the one K asked for, by noise."""
    found: dict[str, tuple[float, float]] = {}
    for answer in evidence.alignments.values():
        plain: dict[str, Any] = {**answer, "noise": NONE}
        for one in (plain, *answer.get("noises", [])):
            found[one["noise"]] = one["alignment"][0], one["held_out"][0]
    return found


def _agreement(predicted: dict[str, tuple[float, float]], probes: dict[str, BySeed]) -> Effect:
    known = [name for name, values in probes.items() if values and name in predicted]
    means = [sum(probes[name].values()) / len(probes[name]) for name in known]
    found = rank_correlation([predicted[name][0] for name in known], means)
    value, p = found["spearman"], found["p"]
    held = None if value is None or p is None or p >= LEVEL else value > 0
    what = "rank correlation of predicted alignment with the mean probe"
    return Effect(what, value, None, p, len(known), held, unit="", of="noises")


def _table(
    rows: Sequence[Row], names: Sequence[str], probes: dict[str, BySeed], predicted: dict[str, tuple[float, float]]
) -> Table:
    order = sorted(names, key=lambda name: -predicted.get(name, (0.0, 0.0))[0])
    lines = []
    for name in order:
        mine = [row for row in rows if (row["noise"] or NONE) == name]
        theory = predicted.get(name)
        words = (NOTHING, NOTHING) if theory is None else (decimal(theory[0], 1), decimal(theory[1], 3))
        cells = spread_cell(probes[name], percent=True), spread_cell(by_seed(mine, nearest), percent=True)
        lines.append(Line((Cell(name), *map(Cell, words), *cells, Cell(str(len(probes[name]))))))
    columns = ("noise", "predicted alignment, %", "predicted held-out R²", "linear probe, %", "k-NN, %", "n")
    caption = "Predicted: of the optimal linear encoder of 64 dimensions. Measured: mean ± sd over seeds, test images."
    return Table(caption, tuple(Cell(column) for column in columns), tuple(lines))


def _figure(probes: dict[str, BySeed], predicted: dict[str, tuple[float, float]]) -> Figure:
    figure, (axes,) = curves_figure(1, "predicted alignment in 64 dimensions, %", "linear probe, %")
    figure.set_size_inches(5.2, 3.4)
    for place, (name, values) in enumerate(probes.items()):
        if name in predicted and values:
            across = [predicted[name][0]] * len(values)
            axes.plot(across, [100 * value for value in values.values()], "o", color=PALETTE[place % 8], label=name)
    legend_beside(axes)
    return figure
