"""Variance is not perception: own classifiers on top, bottom and random subspaces of principal components."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from ssl_bench.findings.evidence import BySeed, Evidence, Row, by_seed, own_classifier
from ssl_bench.findings.pictures import COLOURS, curves_figure, draw_points
from ssl_bench.findings.verdict import Effect, Outcome, Verdict, differences
from ssl_bench.reporting.numbers import NOTHING, count, percent
from ssl_bench.reporting.spread import spread
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

WHOLE = "all pixels"
TOP, BOTTOM = "top(share=0.9)", "bottom(share=0.2)"
HALVES = "top(components=0.5)", "bottom(components=0.5)"
RANDOM = "random(like=top(share=0.9))"
# Figure 1 of the paper, digitised (half a point either way), and its abstract: variance held in percent, accuracy.
PUBLISHED = {
    "top": ((48.3, 0.9), (55.7, 3.6), (63.0, 4.8), (70.4, 9.1), (77.8, 15.0), (85.2, 32.2), (92.6, 50.1), (100, 58.7)),
    "bottom": ((0, 0.9), (1.9, 24.9), (4.2, 31.9), (6.8, 41.2), (9.8, 48.6), (13.9, 52.8), (19.9, 55.1), (51.7, 58.5)),
}
CAPTION = (
    "A classifier trained and tested on images of which some principal components are left. Held: the share of the "
    "training images' variance that the kept components really have. Top-1 of the classifier on test images in "
    "percent, mean ± sd over seeds."
)


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``less_is_more``, ``some_less_is_more`` and ``dimension``."""
    points = {name: _points(rows) for name, rows in evidence.rows.items()}
    abstract = [(_pair(name, BOTTOM, TOP), found.get(BOTTOM, {}), found.get(TOP, {})) for name, found in points.items()]
    halves = [
        (_pair(name, *HALVES), found.get(HALVES[0], {}), found.get(HALVES[1], {})) for name, found in points.items()
    ]
    controls = [(_pair(name, TOP, RANDOM), found.get(TOP, {}), found.get(RANDOM, {})) for name, found in points.items()]
    curves = tuple(_best_crossing(name, rows) for name, rows in evidence.rows.items())
    dimension = (*differences(halves, "not below"), *differences(controls, "above"))
    return Outcome(
        {
            "less_is_more": Verdict(differences(abstract, "above")),
            "some_less_is_more": Verdict(curves),
            "dimension": Verdict(dimension),
        },
        tables=tuple(_table(name, rows) for name, rows in evidence.rows.items()),
        figure=_figure(evidence),
        description="Accuracy against the share of variance held, beside the published curve",
    )


def _points(rows: Sequence[Row]) -> dict[str, BySeed]:
    """Accuracy by seed, by subspace."""
    names = dict.fromkeys(_name(row) for row in rows)
    return {name: by_seed([row for row in rows if _name(row) == name], own_classifier) for name in names}


def _name(row: Row) -> str:
    return (row.get("subspace") or {}).get("spec") or row["settings"].get("dataset.subspace") or WHOLE


def _held(row: Row) -> float | None:
    return 1.0 if _name(row) == WHOLE else (row.get("subspace") or {}).get("variance")


def _pair(name: str, first: str, second: str) -> str:
    return f"{name.removeprefix('variance_')}, {first} less {second}"


def _best_crossing(name: str, rows: Sequence[Row]) -> Effect:
    """Of all bottom subspaces and top ones that hold more, the pair in which the bottom one leads by most.

    The p-value is corrected over all such pairs, among which this one was chosen.
    """
    points = _points(rows)
    held = {_name(row): share for row in rows if (share := _held(row)) is not None}
    asked = [one for one in points if "share=" in one and "like=" not in one]
    pairs = [
        (_pair(name, low, high), points[low], points[high])
        for low in asked
        for high in asked
        if low.startswith("bottom") and high.startswith("top") and held.get(low, 1) < held.get(high, 0)
    ]
    found = [one for one in differences(pairs, "above") if one.value is not None]
    if not found:
        return Effect(name, None, None, None, 0, None)
    # "Somewhere" fails only where every pair fails: one that cannot be told comes before those that do.
    return max(found, key=lambda one: ({True: 2, None: 1, False: 0}[one.held], one.value or 0.0))


def _table(name: str, rows: Sequence[Row]) -> Table:
    lines = []
    for spec, values in _points(rows).items():
        facts = next(((row.get("subspace") or {}) for row in rows if _name(row) == spec), {})
        shown = spread(list(values.values())) if values else None
        accuracy = NOTHING if shown is None else percent(shown.mean)
        accuracy += f" ± {percent(shown.sd)}" if shown is not None and shown.sd is not None else ""
        share = facts.get("variance", 1.0 if spec == WHOLE else None)
        dimensions = count(facts.get("components")) if facts else NOTHING
        cells = Cell(f"{100 * share:.4g}" if share is not None else NOTHING), Cell(dimensions), Cell(accuracy)
        lines.append(Line((Cell(spec), *cells, Cell(str(len(values))))))
    columns = (Cell("subspace"), Cell("held, %"), Cell("components"), Cell("top-1, %"), Cell("n"))
    return Table(f"{name.removeprefix('variance_')}. {CAPTION}", columns, tuple(lines))


def _figure(evidence: Evidence) -> Figure:
    """A panel a dataset, and one of the published curve."""
    figure, panels = curves_figure(len(evidence.rows) + 1, "share of the variance held, %", "top-1, %")
    for axes, (name, rows) in zip(panels, evidence.rows.items(), strict=False):
        held = {_name(row): _held(row) for row in rows}
        points = _points(rows)
        for side in ("top", "bottom"):
            mine = [
                spec for spec in points if spec.startswith(f"{side}(share") and points[spec] and held[spec] is not None
            ]
            curve = sorted((100 * (held[spec] or 0), [100 * value for value in points[spec].values()]) for spec in mine)
            draw_points(axes, curve, side)
        whole = points.get(WHOLE)
        if whole:
            level = 100 * sum(whole.values()) / len(whole)
            axes.axhline(level, color="#222222", linewidth=0.8, linestyle=(0, (6, 3)), label=WHOLE)
        axes.set_title(f"{name.removeprefix('variance_')}, ours")
    for side, published in PUBLISHED.items():
        shares, accuracies = zip(*published, strict=True)
        panels[-1].plot(shares, accuracies, color=COLOURS[side], marker="o", markersize=3, label=side)
    panels[-1].set_title("TinyImageNet, published")
    panels[-1].legend(frameon=False)
    return figure
