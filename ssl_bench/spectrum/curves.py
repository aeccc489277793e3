"""What one snapshot holds: a row of spectrum.json, and its heat map and example images beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_bench import processes
from ssl_bench.backbones.feature_point import FeaturePoint
from ssl_bench.clock import Clock
from ssl_bench.config import EvaluationConfig
from ssl_bench.errors import UserError
from ssl_bench.evaluation.features import features
from ssl_bench.evaluation.metrics.summary import embedding_metrics
from ssl_bench.evaluation.probe import Task, check_features
from ssl_bench.evaluation.ridge import RidgeClassifier, ridge_classifier
from ssl_bench.evaluation.subject import Corrupt, Subject, in_batches
from ssl_bench.seeds import make_generator
from ssl_bench.spectrum import ANALYZERS
from ssl_bench.spectrum.altered import Altered, spread_of
from ssl_bench.spectrum.analyzer import Measurement
from ssl_bench.spectrum.bases import PCABasis, band_energies
from ssl_bench.spectrum.bench import ALTERED, Bench
from ssl_bench.spectrum.heat_map import HeatMap, heat_map
from ssl_bench.spectrum.r2_gap import r2_gap
from ssl_bench.spectrum.readout import make_readout
from ssl_bench.spectrum.token_map import log_amplitude

# The name of what is measured here and how; stored with every curve.
PROTOCOL = "bands/2"
EXAMPLES = 8


@dataclass(frozen=True)
class Measured:
    """One snapshot: its row of spectrum.json, and its heat map."""

    row: dict[str, Any]
    heat: HeatMap


def measure(bench: Bench, subject: Subject, cache: Path | None, *, last: bool) -> Measured:
    """One snapshot: what every analyzer says of each band of each basis, and of the embedding as a whole.

    ``last`` asks for what only the end of a run is worth: the metrics that look at views.

    Raises: UserError if a feature is not finite, or all are the same.
    """
    clock = Clock()
    with clock.part("features"):
        fit = features(subject, bench.data, "train", cache, rows=bench.fit_rows)
        test = features(subject, bench.data, "test", cache, rows=bench.test_rows)
    check_features(fit, subject.name)
    with clock.part("reconstructions"):
        difference = _difference(bench, subject)
    row: dict[str, Any] = {
        "step": subject.step,
        "samples_seen": subject.samples_seen,
        "trained": subject.trained,
        "weights": subject.weights,
        "dimension": test.shape[1],
    }
    with clock.part("embedding"):
        row["embedding"] = embedding_metrics(test, _view_embeddings(bench, subject) if last else None)
        row["embedding_spectrum"] = _eigenvalues(test)
    with clock.part("token_spectrum"):
        row["token_spectrum"] = _token_spectrum(bench, subject)
    with clock.part("frozen_probe"):
        altered = make_altered(bench, subject, fit, test)
        row["accuracy"] = float((altered.scores(altered.embedding).argmax(1) == altered.labels).double().mean())
    with clock.part("decodability"):
        readout = make_readout(fit, test)
    for targets in bench.targets:
        changed = altered if targets.basis.name == ALTERED else None
        measurement = Measurement(targets, fit, test, difference, changed, readout)
        answers = {}
        for name in ANALYZERS:
            with clock.part(name):
                answers[name] = _finite_all(ANALYZERS.get(name)(measurement))
        row[targets.basis.name] = answers
        if isinstance(targets.basis, PCABasis):
            with clock.part("r2_gap"):
                row["r2_gap"] = r2_gap(targets.basis.variances, targets.fit, fit, targets.test, test)
    if last:
        with clock.part("noise_power"):
            row["noise_power"] = noise_power(bench, subject)
    with clock.part("heat_map"):
        heat = heat_map(altered, bench.settings.wave_samples)
    return Measured({**row, "seconds": clock.rounded()}, heat)


def make_altered(bench: Bench, subject: Subject, fit: Tensor, test: Tensor) -> Altered:
    """An encoder and a frozen ridge probe before the images to alter. Shapes: embeddings ``(N, D)``, ``(M, D)``."""
    count = bench.settings.altered_samples
    images = bench.data.standardised(bench.test.images[:count])
    size = math.prod(bench.data.shape)
    return Altered(
        images=images,
        labels=bench.test.labels[:count],
        embedding=test[:count],
        encode=lambda changed: in_batches(subject.encode, changed, _as_it_is, subject.device),
        scores=_frozen_probe(bench, fit),
        spread=spread_of(test),
        norm=bench.settings.wave_norm * math.sqrt(size),
    )


def _frozen_probe(bench: Bench, fit: Tensor) -> RidgeClassifier:
    """The classifier of ``ridge/1`` on the fitting images, without classes of one: none can be held out."""
    labels = bench.fit.labels
    several = torch.bincount(labels, minlength=bench.data.classes)[labels] > 1
    known = fit[several]
    return ridge_classifier(Task(known, labels[several], known[:0], bench.data.classes, EvaluationConfig()))


def examples(bench: Bench, subject: Subject, *, last: bool) -> dict[str, Tensor]:
    """What the subject makes of a few test images: ``reconstructions/STEP``, where it reconstructs.

    At the last snapshot beside it ``images``, ``reconstructions`` once more, and, where the encoder was trained on
    corrupted images, ``noisy``, one draw of what it was shown of them. Floats, pixels in 0..1; ``noisy`` may leave it.

    Shapes: ``(8, C, H, W)`` each.
    """
    images, shown = bench.test.images[:EXAMPLES], {}
    if subject.reconstruct is not None:
        made = in_batches(subject.reconstruct, images, bench.data.standardised, subject.device)
        restored = bench.data.statistics.restore(made)
        shown[f"reconstructions/{subject.step}"] = restored
        if last:
            shown["reconstructions"] = restored.clone()
    if last:
        shown["images"] = images.float() / 255
        if subject.corrupt is not None:
            shown["noisy"] = bench.data.statistics.unclipped(corrupted(bench, subject.corrupt, EXAMPLES))
    return shown


def corrupted(bench: Bench, corrupt: Corrupt, count: int) -> Tensor:
    """The first test images as an encoder is shown them while it trains, the same draw every time.

    Shapes: -> ``(count, C, H, W)`` standardised.
    """
    images = bench.data.standardised(bench.test.images[:count])
    return processes.by_first(lambda: corrupt(images, make_generator(0, "analysis noise")))


def noise_power(bench: Bench, subject: Subject) -> dict[str, list[float | None]] | None:
    """E|P_b (noisy - x)|^2 / E|P_b (x - mean)|^2 over the test images, a number a band, by basis.

    1 is as much noise as there is signal in the band. ``None`` where the encoder is shown the images as they are.
    """
    if subject.corrupt is None:
        return None
    images = bench.data.standardised(bench.test.images)
    change = corrupted(bench, subject.corrupt, len(images)) - images
    powers = {}
    for targets in bench.targets:
        energies = band_energies(targets.basis.coefficients(change), targets.basis)
        powers[targets.basis.name] = _finite_all((energies / targets.reference).tolist())
    return powers


def _view_embeddings(bench: Bench, subject: Subject) -> Tensor:
    """Embeddings of the views every subject is shown. Shapes: -> ``(n, q, D)``."""
    made = []
    for views in bench.views():
        embedding = in_batches(subject.encode, views.flatten(0, 1), _as_it_is, subject.device)
        made.append(embedding.view(*views.shape[:2], -1))
    return torch.cat(made)


def _eigenvalues(embedding: Tensor) -> list[float]:
    """Share of the embedding's variance in each of its principal directions, descending, to six digits."""
    centred = embedding.double() - embedding.double().mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred).flip(0).clamp(min=0)
    return [float(f"{value:.6g}") for value in (values / values.sum().clamp(min=1e-300)).tolist()]


def _token_spectrum(bench: Bench, subject: Subject) -> list[float] | None:
    """Log amplitude of the last map of tokens, over some test images; ``None`` for an encoder without a map."""
    images, point = bench.test.images[: bench.settings.altered_samples], FeaturePoint("map")
    try:
        maps = in_batches(lambda some: subject.read(some, point), images, bench.data.standardised, subject.device)
    except UserError:
        return None
    values = log_amplitude(maps)
    return None if values is None else _finite_all(values)


def _difference(bench: Bench, subject: Subject) -> Tensor | None:
    if subject.reconstruct is None:
        return None
    made = in_batches(subject.reconstruct, bench.test.images, bench.data.standardised, subject.device)
    return bench.data.standardised(bench.test.images) - made


def _finite_all(values: Any) -> Any:
    """JSON has no NaN: a band without energy has no relative error."""
    return None if values is None else [float(value) if math.isfinite(value) else None for value in values]


def _as_it_is(images: Tensor) -> Tensor:
    return images
