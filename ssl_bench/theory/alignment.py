"""Alignment(K): how much of what labels need is in the first K dimensions of a solution."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.theory.moments import Moments


def whitened(solution: Tensor, second: Tensor) -> Tensor:
    """A solution orthonormalised in order (Gram-Schmidt in sample space): z = T^T x has E[z z^T] = I.

    The QR decomposition of X^T V, from moments alone: V^T S V = R^T R gives T = V R^-1.

    Shapes: solution ``(D, K)``, second ``(D, D)`` -> ``(D, K)``.
    """
    # Columns of one length: a direction that the noise removes comes with a huge one.
    solution = solution / (solution * (second @ solution)).sum(0).sqrt()
    gram = solution.T @ second @ solution
    factor = torch.linalg.cholesky((gram + gram.T) / 2)
    whitening: Tensor = torch.linalg.solve_triangular(factor, solution.T, upper=False)
    return whitening.T


def label_energy(basis: Tensor, moments: Moments, balance: str = "official") -> Tensor:
    """What each dimension holds of the labels. Official: e_j = sum_c N_c (y_c q_j)^2 (arXiv 2402.11337).

    ``r2``: sum_c (y_c q_j)^2; ``balanced``: sum_c (y_c q_j)^2 / N_c. The three agree for balanced classes, up to scale.

    Shapes: basis ``(D, K)`` from :func:`whitened` -> ``(K,)``.
    """
    power = {"official": 1, "r2": 0, "balanced": -1}[balance]
    weights = torch.where(moments.shares > 0, moments.shares, 1.0).pow(power) * (moments.shares > 0)
    energy: Tensor = ((basis.T @ moments.labels).square() * weights).sum(1)
    return energy


def alignment(basis: Tensor, moments: Moments, balance: str = "official", total: float | None = None) -> Tensor:
    """Alignment for each K, in percent: 100 sqrt(sum_{j<=K} e_j / sum_j e_j), e of :func:`label_energy`.

    Args:
        basis: From :func:`whitened`. Shapes: ``(D, K)`` -> ``(K,)``.
        moments: Of the training images.
        balance: How classes are weighted.
        total: Energy of all D dimensions, which no noise changes; needed where the basis has fewer.
    """
    energy = label_energy(basis, moments, balance)
    return 100 * (energy.cumsum(0) / (energy.sum() if total is None else total)).clamp(max=1).sqrt()


def held_out(basis: Tensor, train: Moments, test: Moments) -> Tensor:
    """R^2 on test samples of least squares from the first K dimensions to the labels, for each K; not normalised.

    Fitted on the training moments. Shapes: basis ``(D, K)`` -> ``(K,)``.
    """
    weights = basis.T @ train.labels
    seen = basis.T @ test.second @ basis
    agreement = (weights * (basis.T @ test.labels)).sum(1).cumsum(0)
    energy = ((weights @ weights.T) * seen).cumsum(0).cumsum(1).diagonal()
    return (2 * agreement - energy) / test.spread


def variance_explained(basis: Tensor, second: Tensor) -> Tensor:
    """Share of the variance that is linear in the first K dimensions, for each K. Shapes: -> ``(K,)``."""
    return (second @ basis).square().sum(0).cumsum(0) / second.diagonal().sum()


def chance(count: int, rank: int) -> Tensor:
    """What a basis that knows nothing of the labels gets in-sample: 100 sqrt(K / rank), for each K."""
    return 100 * (torch.arange(1, count + 1, dtype=torch.float64) / rank).clamp(max=1).sqrt()


def subspace_distance(first: Tensor, second: Tensor, moments: Tensor) -> Tensor:
    """d(K) = K - |Q_0^T Q_n|_F^2: the sum of squared sines of the angles between two K-dimensional subspaces.

    Zero for all K: the noise cannot change linear perception, whatever the task. Otherwise the largest gain over tasks
    equals the largest loss.

    Shapes: bases ``(D, K)`` from :func:`whitened`, moments ``(D, D)`` -> ``(K,)``.
    """
    overlap = (first.T @ moments @ second).square().cumsum(0).cumsum(1).diagonal()
    dimensions = torch.arange(1, len(overlap) + 1, dtype=overlap.dtype)
    return (dimensions - overlap).clamp(min=0)
