"""What an encoder holds of each band: error of its reconstructions, and what a ridge regression reads from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_bench.evaluation.features import standardise
from ssl_bench.spectrum.bases import Basis, band_sums

PENALTIES = tuple(10.0**power for power in range(-6, 3))
VALIDATION = 0.2


@dataclass(frozen=True)
class Targets:
    """One basis and the coefficients of the images it is used on, centred at the mean of the fitting part.

    Shapes: fit ``(N, R)``, test ``(M, R)``; reference: energy of the test images a band, ``(bands,)``.
    """

    basis: Basis
    fit: Tensor
    test: Tensor
    reference: Tensor

    @property
    def variance_fraction(self) -> Tensor:
        """Share of the test images' variance in each band. Shapes: ``(bands,)``."""
        return self.reference / self.reference.sum()


def make_targets(basis: Basis, fit_images: Tensor, test_images: Tensor) -> Targets:
    """Project images once, for all snapshots and runs. Shapes: both ``(N, C, H, W)``, standardised."""
    fit, test = basis.coefficients(fit_images), basis.coefficients(test_images)
    mean = fit.double().mean(0).float()
    fit, test = fit - mean, test - mean
    return Targets(basis, fit, test, band_sums(test.double().square().mean(0), basis))


def relative_error(targets: Targets, difference: Tensor) -> Tensor:
    """E|P_b (x - x_hat)|^2 / E|P_b x|^2 a band, over the test images.

    Shapes: difference ``(M, C, H, W)``, image minus reconstruction -> ``(bands,)``.
    """
    energy = targets.basis.coefficients(difference).double().square().mean(0)
    return band_sums(energy, targets.basis) / targets.reference


def decodability(targets: Targets, fit_embedding: Tensor, test_embedding: Tensor) -> Tensor:
    """Held-out R^2 of each band's coefficients, read linearly from the frozen embedding.

    Ridge regression from standardised features; a band's penalty is chosen on a fifth of the fitting images, its R^2
    measured on the test images. 0 is what the mean gives; below 0 is worse than the mean.

    Shapes: embeddings ``(N, D)``, ``(M, D)`` -> ``(bands,)``.
    """
    cut = round(len(fit_embedding) * (1 - VALIDATION))
    like = fit_embedding[:cut]
    features = standardise(like, like).double()
    mean = targets.fit[:cut].double().mean(0)
    scale, axes = torch.linalg.eigh(features.T @ features / cut)
    # In the eigenbasis of the features all penalties share the one decomposition.
    projected = (axes.T @ (features.T @ (targets.fit[:cut].double() - mean)) / cut).float()

    def errors(embedding: Tensor, truth: Tensor, penalty: float) -> Tensor:
        seen = standardise(embedding, like) @ axes.float()
        predicted = seen @ (projected / (scale.clamp(min=0) + penalty).float()[:, None]) + mean.float()
        return band_sums((truth - predicted).double().square().mean(0), targets.basis)

    validation = torch.stack([errors(fit_embedding[cut:], targets.fit[cut:], penalty) for penalty in PENALTIES])
    chosen = validation.argmin(0)
    test = torch.stack([errors(test_embedding, targets.test, penalty) for penalty in PENALTIES])
    return 1 - test.gather(0, chosen[None])[0] / targets.reference
