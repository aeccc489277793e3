"""What measuring an encoder costs: its features, and the probes on them."""

from __future__ import annotations

from typing import Any

from benchmarks.contest import Entry, contest
from benchmarks.durations import seconds_of
from benchmarks.results import Plan, Row, Section, rows_of

ABOUT = (
    "Features of 32 px images (training and test) by a frozen backbone, then probes on features of N training images "
    "and a fifth as many test images of 10 classes, everything made from seeds. Ours: the linear probe trains 45 pairs "
    "of learning rate and weight decay and chooses one, k-NN answers for four k, ridge chooses among 19 penalties. "
    "scikit-learn's logistic regression has its default penalty and chooses nothing, its ridge chooses among the same "
    "penalties by leave-one-out; lightly's linear evaluation has one learning rate."
)
# Training and test images by backbone.
IMAGES = {"resnet_micro": (10_000, 2_000), "vit_micro": (10_000, 2_000), "resnet18": (500, 100)}
SAMPLES, DIMENSIONS = 10_000, (64, 512)


def run(plan: Plan) -> Section:
    """The section."""
    rows = [*_features(plan)]
    for dimension in (16,) if plan.quick else DIMENSIONS:
        rows += _probes(plan, 200 if plan.quick else SAMPLES, dimension)
    notes = [
        "Top-1 is the accuracy of each contestant's answers on the made test features: it says that all of them solve "
        "the same problem, not how good an encoder is."
    ]
    return Section("evaluation", "Features and probes", ABOUT, rows, notes=notes)


def _features(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    for backbone, (train, test) in IMAGES.items():
        if plan.quick:
            if backbone != "resnet_micro":
                continue
            train, test = 128, 32
        settings = {"backbone": backbone, "train": train, "test": test, "device": plan.device}
        entries = [
            Entry("ssl_bench", "benchmarks.extracting:Ours", settings, plan.threads),
            Entry("DataLoader of PIL images", "benchmarks.extracting:Loader", settings, plan.threads),
        ]
        case = f"features, {backbone}, {train:,} + {test:,} images"
        timings = contest(entries, plan.repeats)
        rows += rows_of(case, "images/s", timings)
    return rows


def _probes(plan: Plan, count: int, dimension: int) -> list[Row]:
    common: dict[str, Any] = {"count": count, "dimension": dimension}
    on_device = {**common, "device": plan.device}
    rivals = {
        "linear": [
            ("scikit-learn LogisticRegression", "scikit", {"name": "linear", **common}),
            ("lightly LinearClassifier", "lightly_linear", {**on_device, **({"epochs": 1} if plan.quick else {})}),
        ],
        "knn": [
            ("scikit-learn KNeighborsClassifier", "scikit", {"name": "knn", **common}),
            ("lightly knn_predict", "lightly_knn", on_device),
        ],
        "ridge": [("scikit-learn RidgeClassifierCV", "scikit", {"name": "ridge", **common})],
    }
    rows: list[Row] = []
    for name, others in rivals.items():
        contestants = [("ssl_bench", "ours", {"name": name, **common}), *others]
        entries = [
            Entry(who, f"benchmarks.probing:{factory}", settings, plan.threads)
            for who, factory, settings in contestants
        ]
        rows += seconds_of(f"{name} probe, N = {count:,}, D = {dimension}", contest(entries, plan.repeats))
    return rows
