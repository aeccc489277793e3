"""Ridge regression from an embedding to coefficients of images, for all penalties, and what of it all bases share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_bench.evaluation.features import standardise

# Of the mean squared error a sample, as features of unit variance see it.
PENALTIES = tuple(10.0**power for power in range(-6, 3))
# The share of the fitting images on which penalties are chosen.
VALIDATION = 0.2
# Coefficients that are brought to float64 at once: more would leave the processor's cache.
COLUMNS = 256


@dataclass(frozen=True)
class Readout:
    """Standardised embeddings turned into the eigenbasis of their second moment: the same whatever is read from them.

    The weights of a ridge regression are there those without a penalty times ``shrinkage``.

    Shapes: fit ``(n, D)``, of the images that weights are fitted on; held_out ``(v, D)``, of those that choose a
    penalty; test ``(M, D)``; second moments of the latter two, ``(D, D)``; shrinkage ``(P, D)``, a row a penalty. All
    of them float64.
    """

    fit: Tensor
    held_out: Tensor
    test: Tensor
    held_out_moment: Tensor
    test_moment: Tensor
    shrinkage: Tensor


def fitted(count: int) -> int:
    """How many of the fitting images, the first, weights are fitted on; the others choose a penalty."""
    return round(count * (1 - VALIDATION))


def make_readout(fit_embedding: Tensor, test_embedding: Tensor) -> Readout:
    """One eigendecomposition for all bases. Shapes: ``(N, D)``, ``(M, D)``."""
    cut = fitted(len(fit_embedding))
    like = fit_embedding[:cut]
    parts = (like, fit_embedding[cut:], test_embedding)
    fit, held_out, test = (standardise(part, like).double() for part in parts)
    scale, axes = torch.linalg.eigh(fit.T @ fit / cut)
    fit, held_out, test = fit @ axes, held_out @ axes, test @ axes
    shrinkage = 1 / (scale.clamp(min=0) + scale.new_tensor(PENALTIES)[:, None])
    return Readout(fit, held_out, test, second_moment(held_out), second_moment(test), shrinkage)


def second_moment(samples: Tensor) -> Tensor:
    """E x x^T. Shapes: ``(N, D)`` -> ``(D, D)``."""
    return samples.T @ samples / len(samples)


def cross_moment(samples: Tensor, coefficients: Tensor, mean: Tensor) -> Tensor:
    """E x (c - mean). Shapes: ``(N, D)`` float64, ``(N, R)``, ``(R,)`` float64 -> ``(D, R)`` float64."""
    columns = torch.split(coefficients, COLUMNS, dim=1)
    products = torch.cat([samples.T @ some.double() for some in columns], dim=1)
    return (products - torch.outer(samples.sum(0), mean)) / len(samples)


def squared_errors(energy: Tensor, linear: Tensor, quadratic: Tensor, shrinkage: Tensor) -> Tensor:
    """E |c - w x|^2 summed over coefficients c, for each of several shrunken weights w.

    E c^2 - 2 w E(x c) + w E(x x^T) w, in which what comes before the shrinkage is summed over the coefficients first:
    images and coefficients enter once, not once a penalty.

    Shapes: energy ``()``; linear ``(D,)``, weights times E(x c); quadratic ``(D, D)``, the weights' second moment times
    E(x x^T), entry by entry; shrinkage ``(P, D)`` -> ``(P,)``.
    """
    return energy - 2 * shrinkage @ linear + ((shrinkage @ quadratic) * shrinkage).sum(1)
