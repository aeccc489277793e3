"""Making SimCLR's views: views a second, and microseconds a view."""

from __future__ import annotations

from benchmarks.contest import Entry, contest
from benchmarks.results import Plan, Row, Section, rows_of, with_extra
from ssl_bench.data.augment_parameters import recipe_for

ABOUT = """
Two views of each image of a batch by SimCLR's recipe (crop, flip, colour jitter, grey; above 64 px blur), from uint8
pixels in memory to standardised tensors. lightly and torchvision work on one image after the other; so do the workers
of a loader, of which there is one here. torchvision's tensors and PIL images differ in the type of what is transformed.
"""
# Sides of the images, and how many there are in a batch: some megabytes.
BATCHES = {32: 256, 96: 64, 224: 32}
QUICK = {16: 8}
UNIT = "views/s"


def run(plan: Plan) -> Section:
    """Measure each size."""
    sizes = QUICK if plan.quick else BATCHES
    rows = [row for size, batch in sizes.items() for row in _case(plan, size, batch)]
    return Section("augmentation", "Augmentation: making views", ABOUT.strip(), rows)


def _case(plan: Plan, size: int, batch: int) -> list[Row]:
    where = "on one core" if plan.device == "cpu" else "on the GPU, per sample on one core"
    entries = _entries(plan, size, batch)
    rows = rows_of(f"{size} px, {where}", UNIT, contest(entries, plan.repeats))
    return [with_extra(row, us_per_view=1e6 / row.median) if row.median else row for row in rows]


def _entries(plan: Plan, size: int, batch: int) -> list[Entry]:
    common = {"image_size": size, "batch": batch, "turn": 0.02 if plan.quick else 1.0}
    on_device = {**common, "device": plan.device}
    if plan.device == "cuda":
        # One core fills itself with few images; a GPU does not.
        on_device["batch"] = 16 * batch
    ours = {**on_device, "recipe": recipe_for("simclr", size)}
    first = [Entry("ssl_bench", "benchmarks.our_views:views", ours)]
    if plan.device == "cuda":
        first.append(Entry("ssl_bench, compiled", "benchmarks.our_views:views", {**ours, "compiled": True}))
    return [
        *first,
        Entry("kornia, batched", "benchmarks.rivals.views:kornia", on_device),
        Entry("stable-pretraining, batched", "benchmarks.rivals.views:stable_pretraining", on_device),
        Entry("torchvision v1, PIL", "benchmarks.rivals.views:torchvision_pil", common),
        Entry("torchvision v2, tensors", "benchmarks.rivals.views:torchvision_tensor", common),
        Entry("lightly, PIL", "benchmarks.rivals.views:lightly", common),
    ]
