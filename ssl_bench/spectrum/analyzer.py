"""The Analyzer protocol: encoder, basis and images to one number a band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ssl_bench.spectrum.bases import Basis, band_sums


@dataclass(frozen=True)
class Targets:
    """One basis and the coefficients of the images it is used on, centred at the mean of the fitting part.

    Shapes: fit ``(N, R)``, test ``(M, R)``; reference: energy of the test images a band, ``(bands,)``;
    variance_fraction: share of the training images' variance a band, ``(bands,)``.
    """

    basis: Basis
    fit: Tensor
    test: Tensor
    reference: Tensor
    variance_fraction: Tensor


@dataclass(frozen=True)
class Measurement:
    """What one snapshot did with the images, before one basis.

    Shapes: embeddings ``(N, D)`` of the fitting images and ``(M, D)`` of the test images; difference ``(M, C, H, W)``,
    test image minus reconstruction, ``None`` where nothing is reconstructed.
    """

    targets: Targets
    fit_embedding: Tensor
    test_embedding: Tensor
    difference: Tensor | None


# One number a band, or None where the question does not arise. A third-party analyzer is such a function, named in the
# entry-point group ``ssl_bench.analyzers``; its curves are stored in spectrum.json under its name.
Analyzer = Callable[[Measurement], Sequence[float] | None]


def make_targets(basis: Basis, fit_images: Tensor, test_images: Tensor) -> Targets:
    """Project images once, for all snapshots and runs. Shapes: both ``(N, C, H, W)``, standardised."""
    fit, test = basis.coefficients(fit_images), basis.coefficients(test_images)
    mean = fit.double().mean(0).float()
    fit, test = fit - mean, test - mean
    return Targets(basis, fit, test, band_sums(test.double().square().mean(0), basis), basis.variance_fraction(fit))
