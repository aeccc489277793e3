"""Same error, different perception: an autoencoder, and one that was told a little of the labels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

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
LABELLED = (
    f"The pair of {LARGE} against {SMALL} as one of equal errors was picked after the results were seen, and both read "
    "labels: it says nothing of training without them."
)


def judge(evidence: Evidence) -> Outcome:
    """Verdicts on ``same_error``, ``other_perception`` and ``dose``."""
    rows = evidence.every()
    plain = select(rows, objective="autoencoder")
    small, large = _guided(rows, SMALL), _guided(rows, LARGE)
    probes = [by_seed(one, linear) for one in (plain, small, large)]
    errors = [by_seed(one, total_error) for one in (plain, small, large)]
    gap = differences([(f"linear probe, guided at {SMALL} less plain", probes[1], probes[0])], "above", LEAST)
    dose = differences([(f"linear probe, guided at {LARGE} less {SMALL}", probes[2], probes[1])], "above")
    return Outcome(
        {
            "same_error": Verdict((_ratio(f"guided at {SMALL} to plain", errors[1], errors[0]),)),
            "other_perception": Verdict(gap),
            "dose": Verdict(dose),
        },
        # Nobody predicted this pair's errors: it was seen in the results, and is the nearer one to equal errors.
        afterwards=(replace(_ratio(f"guided at {LARGE} to guided at {SMALL}", errors[2], errors[1]), held=None),),
        remarks=(LABELLED,),
        tables=(_table(rows, plain, small, large),),
    )


def _guided(rows: Sequence[Row], weight: float) -> list[Row]:
    return [row for row in select(rows, objective="guided") if row["settings"].get(WEIGHT) == weight]


def _ratio(which: str, first: BySeed, second: BySeed) -> Effect:
    """Ratio of the errors over shared seeds, with a 95 % t interval by its logarithm.

    Equal if all of the interval is within the bounds, unequal if none of it is; else it cannot be told.
    """
    what = f"error of reconstruction, {which}"
    shared = sorted(first.keys() & second.keys())
    logs = [math.log(first[seed] / second[seed]) for seed in shared if second[seed] > 0 and first[seed] > 0]
    if len(logs) < 2:
        return Effect(what, math.exp(logs[0]) if logs else None, None, None, len(logs), None, unit="")
    low, high = mean_interval(logs)
    interval = math.exp(low), math.exp(high)
    outside = interval[1] < EQUAL[0] or EQUAL[1] < interval[0]
    inside = EQUAL[0] <= interval[0] and interval[1] <= EQUAL[1]
    held = False if outside else True if inside else None
    return Effect(what, math.exp(statistics.fmean(logs)), interval, None, len(logs), held, unit="")


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
