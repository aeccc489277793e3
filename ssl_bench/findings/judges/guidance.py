"""Same error, different perception: an autoencoder, and one that was told a little of the labels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from ssl_bench.findings.evidence import (
    BySeed,
    Evidence,
    Row,
    by_seed,
    linear,
    nearest,
    own_classifier,
    select,
    total_error,
)
from ssl_bench.findings.tables import spread_cell
from ssl_bench.findings.verdict import Effect, Outcome, Verdict, differences
from ssl_bench.intervals import mean_interval
from ssl_bench.reporting.tables import Cell, Table
from ssl_bench.reporting.tables import Row as Line

WEIGHT = "objective.guidance"
SMALL, LARGE = 0.01, 0.1
EQUAL = (0.95, 1.05)
LEAST = 5.0


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``same_error``, ``other_perception`` and ``dose``."""
    rows = evidence.every()
    plain = select(rows, objective="autoencoder")
    small, large = _guided(rows, SMALL), _guided(rows, LARGE)
    probes = [by_seed(one, linear) for one in (plain, small, large)]
    gap = differences([(f"linear probe, guided at {SMALL} less plain", probes[1], probes[0])], "above", LEAST)
    dose = differences([(f"linear probe, guided at {LARGE} less {SMALL}", probes[2], probes[1])], "above")
    return Outcome(
        {
            "same_error": Verdict((_ratio(by_seed(small, total_error), by_seed(plain, total_error)),)),
            "other_perception": Verdict(gap),
            "dose": Verdict(dose),
        },
        tables=(_table(rows, plain, small, large),),
    )


def _guided(rows: Sequence[Row], weight: float) -> list[Row]:
    return [row for row in select(rows, objective="guided") if row["settings"].get(WEIGHT) == weight]


def _ratio(guided: BySeed, plain: BySeed) -> Effect:
    """Ratio of the errors over shared seeds, with a 95 % t interval by its logarithm; equal if all of it is within."""
    what = f"error of reconstruction, guided at {SMALL} to plain"
    shared = sorted(guided.keys() & plain.keys())
    logs = [math.log(guided[seed] / plain[seed]) for seed in shared if plain[seed] > 0 and guided[seed] > 0]
    if len(logs) < 2:
        return Effect(what, math.exp(logs[0]) if logs else None, None, None, len(logs), None, unit="")
    low, high = mean_interval(logs)
    interval = math.exp(low), math.exp(high)
    within = EQUAL[0] <= interval[0] and interval[1] <= EQUAL[1]
    return Effect(what, math.exp(statistics.fmean(logs)), interval, None, len(logs), within, unit="")


def _table(rows: Sequence[Row], plain: Sequence[Row], small: Sequence[Row], large: Sequence[Row]) -> Table:
    named = {
        "autoencoder": plain,
        f"guided, weight {SMALL}": small,
        f"guided, weight {LARGE}": large,
        "random (untrained)": select(rows, objective="random"),
    }
    lines = [
        Line(
            (
                Cell(name),
                spread_cell(by_seed(chosen, total_error), digits=4),
                spread_cell(by_seed(chosen, linear), percent=True),
                spread_cell(by_seed(chosen, nearest), percent=True),
                spread_cell(by_seed(chosen, own_classifier), percent=True),
                Cell(str(len(by_seed(chosen, linear)))),
            )
        )
        for name, chosen in named.items()
    ]
    columns = ("", "error of reconstruction", "linear probe, %", "k-NN, %", "own classifier, %", "n")
    caption = (
        "Error of reconstruction: squared error of test images over their variance. All accuracies on test images; "
        "mean ± sd over seeds."
    )
    return Table(caption, tuple(Cell(column) for column in columns), tuple(lines))
