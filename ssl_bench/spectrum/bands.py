"""The analyzers: what an encoder holds of each band, how far it moves with it, and what its probe needs of it."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.evaluation.features import standardise
from ssl_bench.spectrum import altered
from ssl_bench.spectrum.analyzer import Measurement
from ssl_bench.spectrum.bases import band_sums

PENALTIES = tuple(10.0**power for power in range(-6, 3))
VALIDATION = 0.2


def relative_error(measurement: Measurement) -> list[float] | None:
    """E|P_b (x - x_hat)|^2 / E|P_b x|^2 of each band, over the test images; ``None`` without a reconstruction.

    1 is the error of answering the mean image; a band is called learned below 1/2.
    """
    if measurement.difference is None:
        return None
    targets = measurement.targets
    energy = targets.basis.coefficients(measurement.difference).double().square().mean(0)
    errors: list[float] = (band_sums(energy, targets.basis) / targets.reference).tolist()
    return errors


def decodability(measurement: Measurement) -> list[float]:
    """Held-out R^2 of each band's coefficients, read linearly from the frozen embedding.

    Ridge regression from standardised features; a band's penalty is chosen on a fifth of the fitting images, its R^2
    measured on the test images. 0 is what the mean gives; below 0 is worse than the mean.
    """
    targets, embedding = measurement.targets, measurement.fit_embedding
    cut = round(len(embedding) * (1 - VALIDATION))
    like = embedding[:cut]
    mean = targets.fit[:cut].double().mean(0)
    features = standardise(like, like).double()
    scale, axes = torch.linalg.eigh(features.T @ features / cut)
    # In the eigenbasis of the features the weights of every penalty are these, divided by (scale + penalty).
    weights = axes.T @ (features.T @ (targets.fit[:cut].double() - mean)) / cut
    shrinkage = [1 / (scale.clamp(min=0) + penalty) for penalty in PENALTIES]

    def errors(seen: Tensor, truth: Tensor) -> Tensor:
        """Squared error a band, for each penalty. Shapes: ``(N, D)``, ``(N, R)`` -> ``(penalties, bands)``."""
        turned = standardise(seen, like).double() @ axes
        centred = truth.double() - mean
        # E(t - u w)^2 = E t^2 - 2 w E(u t) + w E(u u) w: the images enter once, not once a penalty.
        energy = centred.square().mean(0)
        cross, gram = turned.T @ centred / len(seen), turned.T @ turned / len(seen)
        shrunk = [factor[:, None] * weights for factor in shrinkage]
        rows = [energy - 2 * (one * cross).sum(0) + (one * (gram @ one)).sum(0) for one in shrunk]
        return band_sums(torch.stack(rows), targets.basis)

    chosen = errors(embedding[cut:], targets.fit[cut:]).argmin(0)
    test = errors(measurement.test_embedding, targets.test).gather(0, chosen[None])[0]
    scores: list[float] = (1 - test / targets.reference).tolist()
    return scores


def sensitivity(measurement: Measurement) -> list[float] | None:
    """How far the embedding moves when a random change of fixed norm is made within each band.

    Mean distance over images, in units of the embedding's own spread (root of its total variance), so that encoders
    compare. The norm is a setting, in units of a standardised image's.
    """
    asked = measurement.altered
    if asked is None:
        return None
    moved = asked.nudged(measurement.targets.basis)
    values: list[float] = altered.displacement(moved, asked.embedding, asked.spread).tolist()
    return values


def sensitivity_error(measurement: Measurement) -> list[float] | None:
    """Error of the frozen probe on the images of :func:`sensitivity`, for each band."""
    asked = measurement.altered
    if asked is None:
        return None
    return altered.probe_error(asked.scores, asked.nudged(measurement.targets.basis), asked.labels)


def accuracy_band(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on band-passed images: each band alone."""
    return _accuracy(measurement, altered.only)


def accuracy_low(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on low-passed images: each band with those before it."""
    return _accuracy(measurement, altered.low)


def accuracy_high(measurement: Measurement) -> list[float] | None:
    """Accuracy of the frozen probe on high-passed images: each band with those after it."""
    return _accuracy(measurement, altered.high)


def _accuracy(measurement: Measurement, kept: altered.Kept) -> list[float] | None:
    asked = measurement.altered
    return None if asked is None else asked.accuracies(measurement.targets.basis, kept)
