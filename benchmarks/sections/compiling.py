"""What compiling, the memory format and half precision are worth: ssl_bench against itself."""

from __future__ import annotations

from typing import Any

from benchmarks.cases import Case
from benchmarks.contest import Entry, contest
from benchmarks.results import Plan, Row, Section, rows_of, with_extra
from benchmarks.roofline import native_half
from benchmarks.sections.step import case_of, title_of

ABOUT = """
The same training step, eager and compiled: compile_seconds is how much longer the first step takes (nothing is cached
from earlier runs), paid_back_after_steps after how many steps that time is made up for, if ever. A ratio above 1 means
that the eager step is faster. Where the processor multiplies bfloat16 itself, also that; and a convolutional network
whose memory is not channels last.
"""
CASES = (
    ("simclr", "resnet_micro"),
    ("mae", "vit_micro"),
    ("autoencoder", "resnet_micro"),
    ("simclr", "resnet18"),
    ("mae", "vit_tiny"),
)
QUICK = (("supervised", "mlp"),)
EAGER, COMPILED = "ssl_bench, eager", "ssl_bench, compiled"


def run(plan: Plan) -> Section:
    """Measure each case."""
    rows = [row for named in (QUICK if plan.quick else CASES) for row in _rows(plan, case_of(plan, *named))]
    return Section("compiling", "Compiling, memory format, precision", ABOUT.strip(), rows)


def _rows(plan: Plan, case: Case) -> list[Row]:
    entries = [
        Entry(name, "benchmarks.ours:step", {"case": case, **settings}, plan.threads)
        for name, settings in _variants(plan, case).items()
    ]
    rows = rows_of(title_of(case), "images/s", contest(entries, plan.repeats))
    return [_with_compiling(row, rows[0], case.batch) if row.name == COMPILED else row for row in rows]


def _variants(plan: Plan, case: Case) -> dict[str, dict[str, Any]]:
    eager = {"compile": False}
    variants: dict[str, dict[str, Any]] = {
        EAGER: {"training": eager},
        COMPILED: {"training": {"compile": True}},
    }
    if plan.quick:
        return variants
    if case.backbone.startswith("resnet"):
        variants["ssl_bench, channels first"] = {"training": {**eager, "channels_last": False}}
    if plan.device == "cpu":
        variants["ssl_bench, freed memory given back"] = {"training": eager, "keep_memory": False}
    if plan.device == "cpu" and native_half("cpu"):
        variants["ssl_bench, bf16"] = {"training": {**eager, "precision": "bf16-mixed"}}
    return variants


def _with_compiling(row: Row, eager: Row, batch: int) -> Row:
    """What compiling cost, and when it has paid."""
    if row.median is None or eager.median is None:
        return row
    seconds = row.extra["first_seconds"] - eager.extra["first_seconds"]
    saved = batch / eager.median - batch / row.median
    paid = round(seconds / saved) if saved > 0 else None
    return with_extra(row, compile_seconds=seconds, paid_back_after_steps=paid)
