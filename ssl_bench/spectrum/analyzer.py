"""The Analyzer protocol: encoder, basis and images to one number a band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ssl_bench.spectrum.altered import Altered
from ssl_bench.spectrum.bases import Basis, band_energies, band_frequencies
from ssl_bench.spectrum.readout import Readout, fitted

# How many images say at which frequencies a band lies.
FREQUENCY_SAMPLES = 256


@dataclass(frozen=True)
class Targets:
    """One basis and the coefficients of the images it is used on, centred at the mean of the fitting part.

    Shapes: fit ``(N, R)``, test ``(M, R)``; of each band, ``(bands,)``: reference, energy of the test images;
    variance_fraction, share of the training images' variance; frequency, mean of their energy in cycles per pixel.
    """

    basis: Basis
    fit: Tensor
    test: Tensor
    reference: Tensor
    variance_fraction: Tensor
    frequency: Tensor

    @cached_property
    def fitted_mean(self) -> Tensor:
        """Mean of the images that regressions are fitted on: what they have to beat. Shapes: ``(R,)`` float64."""
        return self.fit[: fitted(len(self.fit))].double().mean(0)

    @cached_property
    def energies(self) -> tuple[Tensor, Tensor]:
        """Energy about that mean, of the images that choose a penalty and of the test images, in each band."""
        parts = self.fit[fitted(len(self.fit)) :], self.test
        held_out, test = (band_energies(part - self.fitted_mean, self.basis) for part in parts)
        return held_out, test


@dataclass(frozen=True)
class Measurement:
    """What one snapshot did with the images, before one basis.

    Shapes: embeddings ``(N, D)`` of the fitting images and ``(M, D)`` of the test images; difference ``(M, C, H, W)``,
    test image minus reconstruction, ``None`` where nothing is reconstructed. ``altered`` answers for images changed
    within the basis; ``None`` for a basis in which images are not altered. ``readout`` is what regressions from these
    embeddings share; ``None`` to make it where it is wanted.
    """

    targets: Targets
    fit_embedding: Tensor
    test_embedding: Tensor
    difference: Tensor | None
    altered: Altered | None = None
    readout: Readout | None = None


# One number a band, or None where the question does not arise. A third-party analyzer is such a function, named in the
# entry-point group ``ssl_bench.analyzers``; its curves are stored in spectrum.json under its name.
Analyzer = Callable[[Measurement], Sequence[float] | None]


def make_targets(basis: Basis, fit_images: Tensor, test_images: Tensor) -> Targets:
    """Project images once, for all snapshots and runs. Shapes: both ``(N, C, H, W)``, standardised."""
    fit, test = basis.coefficients(fit_images), basis.coefficients(test_images)
    mean = fit.double().mean(0).float()
    fit, test = fit - mean, test - mean
    return Targets(
        basis,
        fit,
        test,
        reference=band_energies(test, basis),
        variance_fraction=basis.variance_fraction(fit),
        frequency=band_frequencies(basis, fit[:FREQUENCY_SAMPLES]),
    )


def random_directions(images: Tensor, dim: int) -> Tensor:
    """As many random directions of pixel space as an embedding has dimensions: what it is compared with as chance.

    Shapes: ``(N, C, H, W)`` -> ``(N, dim)``.
    """
    flat = images.flatten(1)
    return flat @ torch.randn(flat.shape[1], dim, generator=torch.Generator().manual_seed(0))
