"""Wall time to a given probe accuracy, start-up included, on real images."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import torch

from benchmarks.contest import Entry, contest
from benchmarks.results import Plan, Row, Section
from benchmarks.rivals.lightly_run import BACKBONE
from benchmarks.sections.step import LIGHTLY, case_of
from benchmarks.timed_runs import Job, Point, lightly_run, our_run, seconds_to
from ssl_bench.config import DatasetConfig
from ssl_bench.data.load import load_dataset
from ssl_bench.errors import UserError

# The bar was fixed before anything was measured, the epochs after trials: in five, ssl_bench did not reach it.
BAR = 0.40
EPOCHS, BATCH, LIMIT, TEST_LIMIT = 8, 256, 10_000, 5_000
CASE = f"simclr, {BACKBONE.name}, cifar10, {LIMIT:,} images"
TITLE = f"Time to {BAR:.0%} probe accuracy"
ABOUT = f"""
SimCLR on {LIMIT:,} training images of CIFAR-10 for {EPOCHS} epochs at a batch of {BATCH}, from the command to
{BAR:.0%} of the test images right by a ridge probe: ssl_bench as its console command runs it, lightly by the recipe of
its CIFAR-10 benchmark. Each run is a process of its own, start-up included. Weights are kept about once an epoch and
probed afterwards, outside the time, by the same probe; between two of them the accuracy is taken to grow steadily. A
seed is a turn; one that never gets there took forever.
"""
OURS, SHIPPED = "ssl_bench", "lightly, as shipped"


def run(plan: Plan) -> Section:
    """Measure both, seed by seed; without the images, say so."""
    try:
        data = load_dataset(DatasetConfig(name="cifar10", limit=LIMIT, test_limit=TEST_LIMIT))
    except UserError as error:
        return Section("accuracy", TITLE, ABOUT.strip(), notes=[f"Not measured: {error}"])
    torch.set_num_threads(plan.threads)
    job = Job(1 if plan.quick else EPOCHS, BATCH, plan.threads)
    workers = _best_workers(plan)
    ours, theirs = [], []
    for seed in range(plan.repeats):
        ours.append(our_run(job, data, seed))
        theirs.append(lightly_run(job, data, seed, workers))
    rows = [row_of(OURS, ours, None), row_of(SHIPPED, theirs, ours)]
    return Section("accuracy", TITLE, ABOUT.strip(), rows, notes=[f"lightly's loader had {workers} workers."])


def row_of(name: str, curves: Sequence[Sequence[Point]], first: Sequence[Sequence[Point]] | None) -> Row:
    """Seconds to the bar over the seeds; with those of the first contestant, how many times as long as it took."""
    times = [seconds_to(BAR, curve) for curve in curves]
    extra = {
        "reached": f"{sum(map(math.isfinite, times))} of {len(times)} seeds",
        "whole_run_seconds": statistics.median(curve[-1].seconds for curve in curves),
        "curve": [_median_point(at) for at in zip(*curves, strict=False)],
    }
    low, median, high = _quartiles(times)
    if median is None:
        return Row(CASE, name, "s", extra=extra, error=f"{BAR:.0%} was reached by {extra['reached']}")
    if first is None:
        return Row(CASE, name, "s", median, low, high, extra=extra)
    pairs = [(mine, seconds_to(BAR, curve)) for mine, curve in zip(times, first, strict=True)]
    # Of a seed that brought neither there, neither was faster.
    ratios = [mine / other if math.isfinite(min(mine, other)) else 1.0 for mine, other in pairs]
    ratio_low, ratio, ratio_high = _quartiles(ratios)
    return Row(CASE, name, "s", median, low, high, ratio, ratio_low, ratio_high, extra)


def _quartiles(values: Sequence[float]) -> list[float | None]:
    """The quartiles among the values themselves, since nothing lies between a time and forever; None for forever."""
    ordered = sorted(values)
    found = [ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75)]
    return [value if math.isfinite(value) else None for value in found]


def _median_point(points: Sequence[Point]) -> tuple[float, float]:
    """Seconds and accuracy."""
    seconds = statistics.median(point.seconds for point in points)
    return round(seconds, 2), round(statistics.median(point.accuracy for point in points), 4)


def _best_workers(plan: Plan) -> int:
    """How many workers lightly's loader is fastest with here."""
    case = case_of(plan, "simclr", BACKBONE.name)
    (timing,) = contest([Entry(SHIPPED, LIGHTLY[SHIPPED], {"case": case}, plan.threads)], 0)
    return int(timing.about.get("workers", 0))
