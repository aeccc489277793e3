"""Alignment by dataset: how far reconstruction and labels are apart, in closed form."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from ssl_bench.evaluation.metrics.correlation import rank_correlation
from ssl_bench.findings.evidence import BySeed, Evidence
from ssl_bench.findings.pictures import PALETTE, curves_figure, legend_beside
from ssl_bench.findings.tables import spread_cell
from ssl_bench.findings.verdict import LEVEL, Effect, Outcome, Test, Verdict, differences
from ssl_bench.findings.welch import welch_difference
from ssl_bench.reporting.numbers import count
from ssl_bench.reporting.paired import paired_difference
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

SHARE = 0.05
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
VARIANCE = 0.9
COLOUR, GREY = "cifar10", "cifar10_grey"
CROPS = ("cifar10_crop8", "cifar10_crop16", "cifar10_crop24", "cifar10")
SIMPLE = ("digits", "fashion_mnist")
Parts = list[Mapping[str, Any]]
TESTS = (
    "Colours and crops of CIFAR-10 are compared by paired t-tests, since their parts are the same images; digits and "
    "Fashion-MNIST against CIFAR-10 by Welch's t-test, since theirs are not."
)
SOURCES = (
    "The datasets are three sources of images: all versions of CIFAR-10, cropped or grey, are one. The rank "
    "correlation counts each as a dataset of its own, and its p-value takes them for independent: it may be too small."
)


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``complexity``, ``colour``, ``crop`` and ``objects``."""
    parts: dict[str, Parts] = {name: answer["parts"] for name, answer in evidence.alignments.items()}
    above = {name: {place: _above_chance(one) for place, one in enumerate(all_)} for name, all_ in parts.items()}

    def higher(*both: tuple[str, str], test: Test) -> Verdict:
        given = [(f"{one} less {other}", above.get(one, {}), above.get(other, {})) for one, other in both]
        return Verdict(tuple(replace(effect, of="parts") for effect in differences(given, "above", test=test)))

    return Outcome(
        {
            "complexity": Verdict((_complexity(parts, above),)),
            "colour": higher((GREY, COLOUR), test=paired_difference),
            "crop": higher(*itertools.pairwise(CROPS), test=paired_difference),
            "objects": higher(*((one, COLOUR) for one in SIMPLE), test=welch_difference),
        },
        remarks=(TESTS, SOURCES),
        tables=(_table(parts, above),),
        figure=_figure(parts),
        description="Alignment above chance against the share of dimensions kept, a line a dataset",
    )


def _at(answer: Mapping[str, Any], share: float) -> int:
    """Place of the latent dimension that is this share of the dimension, one at least."""
    return int(max(1, round(share * answer["dimension"]))) - 1


def _above_chance(answer: Mapping[str, Any], share: float = SHARE) -> float:
    """Alignment with chance at 0 and all at 1."""
    place = _at(answer, share)
    chance = float(answer["chance"][place])
    return (float(answer["alignment"][place]) - chance) / (100 - chance)


def _needed(answer: Mapping[str, Any]) -> int:
    """How many components hold 90 % of the variance."""
    return next(int(k) for k, share in zip(answer["k"], answer["variance_explained"], strict=True) if share >= VARIANCE)


def _complexity(parts: Mapping[str, Parts], above: Mapping[str, BySeed]) -> Effect:
    names = [name for name in parts if parts[name]]
    needed = [statistics.fmean(_needed(one) for one in parts[name]) for name in names]
    found = rank_correlation(needed, [statistics.fmean(above[name].values()) for name in names])
    value, p = found["spearman"], found["p"]
    held = None if value is None or p is None or p >= LEVEL else value < 0
    what = f"rank correlation of components for {VARIANCE:.0%} of the variance with alignment above chance"
    sources = len({COLOUR if name.startswith(COLOUR) else name for name in names})
    of = f"datasets, of {_spelled(sources)} sources of images"
    return Effect(what.replace("%", " %"), value, None, p, len(names), held, unit="", of=of)


def _spelled(number: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(number, str(number))


def _table(parts: Mapping[str, Parts], above: Mapping[str, BySeed]) -> Table:
    lines = []
    for name, answers in parts.items():
        first = answers[0]
        place = _at(first, SHARE)

        def over(key: str, answers: Parts = answers, place: int = place) -> dict[int, float]:
            return {index: float(one[key][place]) for index, one in enumerate(answers)}

        needed = statistics.fmean(_needed(one) for one in answers)
        facts = Cell(count(first["dimension"])), Cell(count(needed)), Cell(count(place + 1))
        measured = (
            spread_cell(over("alignment")),
            spread_cell(over("chance")),
            spread_cell(above[name], percent=True),
            spread_cell(over("held_out"), digits=3),
        )
        lines.append(Line((Cell(name), *facts, *measured, Cell(f"{len(answers)} x {count(first['samples'])}"))))
    columns = (
        "dataset", "dimension", f"components for {100 * VARIANCE:.0f} %", "K",
        "alignment, %", "chance, %", "above chance, %", "held-out R²", "images",
    )  # fmt: skip
    caption = f"At K = {100 * SHARE:.0f} % of the dimension; mean ± sd over parts of the training images."
    return Table(caption, tuple(Cell(column) for column in columns), tuple(lines))


def _figure(parts: Mapping[str, Parts]) -> Figure:
    figure, (axes,) = curves_figure(1, "dimensions kept, % of all", "alignment above chance, %")
    figure.set_size_inches(5.2, 3.4)
    for place, (name, answers) in enumerate(parts.items()):
        shares = [share for share in SHARES if share * answers[0]["dimension"] >= 1]
        heights = [100 * statistics.fmean(_above_chance(one, share) for one in answers) for share in shares]
        axes.plot([100 * share for share in shares], heights, "o-", color=PALETTE[place % 8], markersize=3, label=name)
    axes.set_xscale("log")
    legend_beside(axes)
    return figure
