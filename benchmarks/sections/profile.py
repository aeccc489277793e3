"""Where the time of a training step goes."""

from __future__ import annotations

from typing import Any

from benchmarks.goals import VIEWS
from benchmarks.growth import apart
from benchmarks.profiling import step_shares
from benchmarks.results import Plan, Row, Section
from benchmarks.sections.step import case_of

ABOUT = """
Percent of the time of ssl_bench's training steps by kind of operator, forth and back, by torch.profiler: time on the
processor without that of the operators inside; with a GPU, time there. Views are everything that making them takes.
The profiler itself costs time, most of all where operators are small: what is left to Python and waiting (with a GPU:
the time in which it has nothing to do) is an upper bound. The second table is of making SimCLR's views alone.
"""
CASES = (
    ("simclr", "resnet_micro"),
    ("simclr", "resnet18"),
    ("simclr", "vit_micro"),
    ("mae", "vit_micro"),
    ("mae", "vit_tiny"),
    ("autoencoder", "resnet_micro"),
    ("autoencoder", "resnet18"),
)
APART = "views, timed without the profiler"
STEPS, QUICK_STEPS = 5, 2


def run(plan: Plan) -> Section:
    """The section."""
    rows: list[Row] = []
    views: list[Row] = []
    for objective, backbone in CASES[:1] if plan.quick else CASES:
        case = case_of(plan, objective, backbone)
        found = apart(step_shares, case, QUICK_STEPS if plan.quick else STEPS, plan=plan)
        rows += rows_of_shares(f"{objective}, {backbone}", found)
        if (objective, backbone) == CASES[0]:
            operators = found["operators"].items()
            views = [Row(VIEWS, name, "% of the views alone", share) for name, share in operators]
    return Section("profile", "Where a step's time goes", ABOUT.strip(), [*rows, *views])


def rows_of_shares(case: str, found: dict[str, Any]) -> list[Row]:
    """A row a kind, then the views by themselves."""
    shares = {**found["shares"], APART: found["apart"]}
    return [Row(case, kind, "%", share) for kind, share in shares.items()]
