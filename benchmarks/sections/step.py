"""The whole training step, data included: images a second."""

from __future__ import annotations

from benchmarks.cases import Case
from benchmarks.contest import Entry, contest
from benchmarks.results import Plan, Row, Section, rows_of, with_extra
from benchmarks.roofline import Roofline, measure

ABOUT = """
Everything a step does, from images in memory to updated weights, on the same network, loss, batch and images.
ssl_bench is its own loop. lightly as shipped is what its CIFAR-10 benchmark (SimCLR) and its example (MAE) do: PIL
images through a DataLoader, float32, channels first, a forward for each view. At equal settings it has ssl_bench's
optimizer, clipping, precision, memory format, linear layers, allocator and single forward, so that only the data path
differs. stable-pretraining is its CIFAR-10 recipe without its trainer and online probes. Nobody ships a recipe for
autoencoders: there the other is a plain PyTorch loop. Each loader has the number of workers that was fastest here
(workers). gflop_per_image is counted, roofline_share is the rate of arithmetic over the best of matrix products here.
"""
VITS, CNNS = ("vit_micro", "vit_tiny"), ("resnet_micro", "resnet18")
BACKBONES = {
    "simclr": (*CNNS, *VITS),
    "mae": VITS,
    "autoencoder": CNNS,
    "denoising": CNNS,
    "supervised": (*CNNS, *VITS),
}
QUICK = {"simclr": ("resnet_micro",)}
LIGHTLY = {
    "lightly, equal settings": "benchmarks.rivals.lightly_step:equal",
    "lightly, as shipped": "benchmarks.rivals.lightly_step:shipped",
}
OTHERS = {
    "simclr": {**LIGHTLY, "stable-pretraining, as shipped": "benchmarks.rivals.stable_pretraining_step:step"},
    "mae": LIGHTLY,
    "autoencoder": {"plain PyTorch loop": "benchmarks.rivals.plain_step:step"},
    "denoising": {"plain PyTorch loop": "benchmarks.rivals.plain_step:step"},
    "supervised": {},
}
# What computes in half precision on a GPU; on a CPU nothing does.
HALF = ("ssl_bench", "lightly, equal settings", "stable-pretraining, as shipped")


def run(plan: Plan) -> Section:
    """Measure each objective on its backbones."""
    before = measure(plan)
    rows = []
    for objective, backbones in (QUICK if plan.quick else BACKBONES).items():
        for backbone in backbones:
            rows += _rows(plan, case_of(plan, objective, backbone))
    # On a machine that is shared, the better of two times is nearer to what it can do.
    roofline = before.or_better(measure(plan))
    rows = [_with_share(row, roofline, plan.device) for row in rows]
    return Section("step", "Training: the whole step", ABOUT.strip(), rows, notes=[roofline.sentence])


def case_of(plan: Plan, objective: str, backbone: str) -> Case:
    """A case as the plan wants it: of batches, images and turns that suit the device."""
    if plan.quick:
        return Case(objective, backbone, 16, 64, 8, plan.device, (0,), 0.02)
    if plan.device == "cuda":
        return Case(objective, backbone, 32, 50_000, 1024, "cuda", (0, 8, 16), 3.0)
    return Case(objective, backbone, 32, 10_000, 256 if backbone.endswith("micro") else 64)


def title_of(case: Case) -> str:
    """A case in a few words."""
    return f"{case.objective}, {case.backbone}, {case.image_size} px, batch {case.batch}"


def _rows(plan: Plan, case: Case) -> list[Row]:
    others = OTHERS[case.objective]
    entries = [
        Entry(name, factory, {"case": case}, plan.threads)
        for name, factory in {"ssl_bench": "benchmarks.ours:step", **others}.items()
    ]
    return rows_of(title_of(case), "images/s", contest(entries, plan.repeats))


def _with_share(row: Row, roofline: Roofline, device: str) -> Row:
    if row.median is None:
        return row
    precision = "bf16-mixed" if device == "cuda" and row.name in HALF else "32-true"
    share = roofline.share(precision, 1e9 * row.extra["gflop_per_image"] * row.median)
    return row if share is None else with_extra(row, roofline_share=share)
