"""Band curves over a run's snapshots: the content of spectrum.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_bench.config import AnalysisConfig
from ssl_bench.data.images import ImageData, Split
from ssl_bench.data.moments import eigenbasis
from ssl_bench.evaluation.features import embed
from ssl_bench.evaluation.subject import Subject, in_batches
from ssl_bench.seeds import derive_seed
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.analyzer import Measurement, Targets, make_targets
from ssl_bench.spectrum.bases import Basis, PCABasis, RadialBasis
from ssl_bench.spectrum.embedding import alpha_req, rankme
from ssl_bench.spectrum.half_times import first_crossing, order_correlation

# The name of what is measured here and how; stored with every curve.
PROTOCOL = "bands/1"
EXAMPLES = 8
# Below this final R^2 a band was not learned, and half of it is noise: it has no half-time.
LEAST_DECODABLE = 0.05


@dataclass(frozen=True)
class Bench:
    """The images and bases every subject on a dataset is measured with; made once."""

    data: ImageData
    fit: Split
    test: Split
    targets: tuple[Targets, ...]


def make_bench(data: ImageData, settings: AnalysisConfig) -> Bench:
    """Choose the images (the same for all runs, whatever their seed) and project them on the bases."""
    fit = data.train.take(_choose(len(data.train), settings.fit_samples, "fit"))
    test = data.test.take(_choose(len(data.test), settings.test_samples, "test"))
    bases: list[Basis] = [
        PCABasis(eigenbasis(data), settings.bands),
        RadialBasis(data.channels, data.image_size, min(settings.bands, data.image_size // 2)),
    ]
    images = data.standardised(fit.images), data.standardised(test.images)
    return Bench(data, fit, test, tuple(make_targets(basis, *images) for basis in bases))


def measure(bench: Bench, subject: Subject, cache: Path | None) -> dict[str, Any]:
    """One snapshot: what every analyzer says of each band of each basis."""
    fit = embed(subject, bench.data, bench.fit, cache)
    test = embed(subject, bench.data, bench.test, cache)
    difference = _difference(bench, subject)
    row: dict[str, Any] = {
        "step": subject.step,
        "samples_seen": subject.samples_seen,
        "trained": subject.trained,
        "embedding": {"rankme": rankme(test), **alpha_req(test)},
    }
    for targets in bench.targets:
        measurement = Measurement(targets, fit, test, difference)
        answers = {name: ANALYZERS.get(name)(measurement) for name in ANALYZERS}
        row[targets.basis.name] = {
            name: None if answer is None else [_finite(value) for value in answer] for name, answer in answers.items()
        }
    return row


def examples(bench: Bench, subject: Subject) -> dict[str, Tensor]:
    """A few test images and what the subject makes of them, as floats in 0..1. Shapes: ``(8, C, H, W)`` each."""
    images = bench.test.images[:EXAMPLES]
    shown = {"images": images.float() / 255}
    if subject.reconstruct is not None:
        made = in_batches(subject.reconstruct, images, bench.data.standardised)
        shown["reconstructions"] = bench.data.statistics.restore(made)
    return shown


def summarise(bench: Bench, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bands of each basis at the last snapshot, with half-times over all: the ``BAND`` lists and their order."""
    summary: dict[str, Any] = {"trained": rows[-1]["trained"], "embedding": rows[-1]["embedding"]}
    for targets in bench.targets:
        name = targets.basis.name
        summary[name] = [_band(targets, rows, index) for index in range(len(targets.basis.bands))]
    summary["order"] = {
        targets.basis.name: {
            key: order_correlation([band[key] for band in summary[targets.basis.name]])
            for key in ("half_time", "decodability_half_time")
        }
        for targets in bench.targets
    }
    return summary


def _band(targets: Targets, rows: Sequence[dict[str, Any]], index: int) -> dict[str, Any]:
    band = targets.basis.bands[index]
    samples = [row["samples_seen"] for row in rows]
    curves = [row[targets.basis.name] for row in rows]
    errors, decoded = (_curve(curves, name, index) for name in ("relative_error", "decodability"))
    half = first_crossing(samples, errors, 0.5, falling=True) if errors else None
    learned = decoded is not None and decoded[-1] >= LEAST_DECODABLE
    decoded_half = first_crossing(samples, decoded, decoded[-1] / 2, falling=False) if decoded and learned else None
    return {
        "index": index,
        "low": band.low,
        "high": band.high,
        "variance_fraction": float(targets.variance_fraction[index]),
        "relative_error": errors[-1] if errors else None,
        "half_time": None if half is None else round(half, 1),
        "decodability": decoded[-1] if decoded else None,
        "decodability_half_time": None if decoded_half is None else round(decoded_half, 1),
    }


def _curve(curves: Sequence[dict[str, Any]], name: str, index: int) -> list[float] | None:
    """One band's values over the snapshots; ``None`` if any snapshot has none."""
    values = [None if curve[name] is None else curve[name][index] for curve in curves]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None


def _finite(value: float) -> float | None:
    """JSON has no NaN: a band without energy has no relative error."""
    return float(value) if math.isfinite(value) else None


def _difference(bench: Bench, subject: Subject) -> Tensor | None:
    if subject.reconstruct is None:
        return None
    made = in_batches(subject.reconstruct, bench.test.images, bench.data.standardised)
    return bench.data.standardised(bench.test.images) - made


def _choose(available: int, wanted: int, purpose: str) -> Tensor:
    """The first ``wanted`` of a fixed shuffle, so that a smaller choice is a part of a larger one."""
    generator = torch.Generator().manual_seed(derive_seed(0, f"analysis {purpose}"))
    return torch.randperm(available, generator=generator)[:wanted]
