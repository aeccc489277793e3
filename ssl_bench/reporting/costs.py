"""What each configuration cost: weights, operations, seconds, on which machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from ssl_bench.reporting.collect import Run
from ssl_bench.reporting.groups import Block, Group
from ssl_bench.reporting.numbers import NOTHING, count, operations, seconds
from ssl_bench.reporting.tables import Cell, Row, Table

COLUMNS = (
    Cell("configuration"),
    Cell("weights", "of the backbone"),
    Cell("weights", "with decoder and heads"),
    Cell("operations", "training, an image"),
    Cell("operations", "encoding an image"),
    Cell("operations", "of all training"),
    Cell("training", "s"),
    Cell("images a second", "training"),
    Cell("evaluation", "s"),
    Cell("analysis", "s"),
    Cell("n", "finished seeds"),
    Cell("machine"),
)


# What cost_numbers names, in its order.
COSTS = (
    "weights_backbone", "weights_all", "flops_train_image", "flops_encode_image", "flops_training",
    "train_seconds", "images_per_second", "evaluate_seconds", "analyze_seconds",
)  # fmt: skip


def costs_table(block: Block) -> Table:
    """One row a configuration with finished runs, in the order of the probes; means over its seeds."""
    return Table(
        caption=f"What it cost on {block.dataset}: means over seeds. Operations are multiplications and additions of "
        "products, convolutions and attention, forwards and backwards, counted on the shapes of a step; elementwise "
        "operations, Fourier transforms, augmentation and the optimizer are not among them. Seconds are of the machine "
        "named, whatever else it did; those of runs on different machines do not compare. A dash: not recorded.",
        columns=COLUMNS,
        rows=tuple(_row(group) for group in block.groups if _finished(group)),
    )


def cost_numbers(run: Run) -> dict[str, float | None]:
    """The numbers of one run, by name; ``None`` where they were not recorded."""
    weights, timings = (_mapping(run.record.get(key)) for key in ("weights", "timings"))
    flops = _mapping(run.summary.get("flops"))
    took, seen = _number(timings.get("train_seconds")), _number(run.summary["samples_seen"])
    numbers = (
        _number(weights.get("backbone")),
        _number(weights.get("all")),
        _number(flops.get("train_image")),
        _number(flops.get("encode_image")),
        _number(run.summary.get("train_flops")),
        took,
        seen / took if seen and took else None,
        _number(timings.get("evaluate_seconds")),
        _number(timings.get("analyze_seconds")),
    )
    return dict(zip(COSTS, numbers, strict=True))


def machine(run: Run) -> str:
    """What a run was computed on: its GPU, or its processor and how many threads."""
    hardware = _mapping(run.record.get("hardware"))
    device = str(run.record.get("device", NOTHING))
    if device.startswith("cuda"):
        return str(hardware.get("gpu") or device)
    threads = hardware.get("threads")
    words = [str(hardware.get("processor") or device)]
    return ", ".join([*words, *([f"threads {threads}"] if threads else [])])


def _row(group: Group) -> Row:
    runs = _finished(group)
    each = [cost_numbers(run) for run in runs]
    mean = {key: _mean([one[key] for one in each]) for key in each[0]}
    written = {
        **dict.fromkeys(("weights_backbone", "weights_all"), count),
        **dict.fromkeys(("flops_train_image", "flops_encode_image", "flops_training"), operations),
        **dict.fromkeys(("train_seconds", "images_per_second", "evaluate_seconds", "analyze_seconds"), seconds),
    }
    numbers = [Cell(write(mean[key]), value=mean[key]) for key, write in written.items()]
    machines = Cell(", ".join(dict.fromkeys(machine(run) for run in runs)))
    cells = (Cell(group.label, group.note), *numbers, Cell(str(len(runs)), value=len(runs)), machines)
    return Row(cells, group.reference)


def _finished(group: Group) -> list[Run]:
    return [run for run in group.runs if run.finished]


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of what is known of all; of some only, it would be of other runs than its neighbours."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A number of a record, if it is one."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None
