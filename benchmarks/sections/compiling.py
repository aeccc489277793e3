"""What compiling, the memory format and half precision are worth: ssl_bench against itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.cases import Case
from benchmarks.contest import Entry, contest
from benchmarks.results import Plan, Row, Section, rows_of, with_extra
from benchmarks.roofline import native_half
from benchmarks.sections.step import case_of, title_of

ABOUT = """
The same training step, eager and compiled: compile_seconds is how much longer the first step takes (nothing is cached
from earlier runs), paid_back_after_steps after how many steps that time is made up for, if ever. A ratio above 1 means
that the eager step is faster. In some cases also: maps that lie in memory channel by channel, an allocator that gives
freed memory back to the system, and bfloat16 where the processor multiplies it itself.
"""
EAGER, COMPILED, CHANNELS_FIRST = "ssl_bench, eager", "ssl_bench, compiled", "ssl_bench, channels first"
GIVEN_BACK, HALF = "ssl_bench, freed memory given back", "ssl_bench, bf16"
CASES: dict[tuple[str, str], tuple[str, ...]] = {
    ("simclr", "resnet_micro"): (CHANNELS_FIRST, GIVEN_BACK),
    ("mae", "vit_micro"): (GIVEN_BACK,),
    ("autoencoder", "resnet_micro"): (),
    ("simclr", "resnet18"): (CHANNELS_FIRST, HALF),
    ("mae", "vit_tiny"): (HALF,),
}
QUICK: dict[tuple[str, str], tuple[str, ...]] = {("supervised", "mlp"): ()}
# Settings of benchmarks.ours:step.
VARIANTS: dict[str, dict[str, Any]] = {
    EAGER: {"training": {"compile": False}},
    COMPILED: {"training": {"compile": True}},
    CHANNELS_FIRST: {"training": {"compile": False, "channels_last": False}},
    GIVEN_BACK: {"training": {"compile": False}, "keep_memory": False},
    HALF: {"training": {"compile": False, "precision": "bf16-mixed"}},
}


def run(plan: Plan) -> Section:
    """Measure each case."""
    rows = []
    for (objective, backbone), more in (QUICK if plan.quick else CASES).items():
        variants = [EAGER, COMPILED, *(name for name in more if _is_possible(name, plan.device))]
        rows += _rows(plan, case_of(plan, objective, backbone), variants)
    return Section("compiling", "Compiling, memory, precision", ABOUT.strip(), rows)


def _is_possible(variant: str, device: str) -> bool:
    """On a GPU half precision is what ``eager`` is, and its memory is not the allocator's that is meant here."""
    if variant == HALF:
        return device == "cpu" and native_half(device)
    return variant != GIVEN_BACK or device == "cpu"


def _rows(plan: Plan, case: Case, variants: Sequence[str]) -> list[Row]:
    entries = [Entry(name, "benchmarks.ours:step", {"case": case, **VARIANTS[name]}, plan.threads) for name in variants]
    rows = rows_of(title_of(case), "images/s", contest(entries, plan.repeats))
    return [_with_compiling(row, rows[0], case.batch) if row.name == COMPILED else row for row in rows]


def _with_compiling(row: Row, eager: Row, batch: int) -> Row:
    """What compiling cost, and when it has paid."""
    if row.median is None or eager.median is None:
        return row
    seconds = row.extra["first_seconds"] - eager.extra["first_seconds"]
    saved = batch / eager.median - batch / row.median
    paid = round(seconds / saved) if saved > 0 else None
    return with_extra(row, compile_seconds=seconds, paid_back_after_steps=paid)
