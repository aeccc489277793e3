"""Optimal linear encoders, from second moments. Columns of a solution are ordered, best first.

Notation: S = E[x x^T]; C = E[noisy x^T]; M = E[noisy noisy^T]; all ``(D, D)`` float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_bench.errors import UserError
from ssl_bench.noise.base import Noise, Shape


def denoising(cross: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
    """The optimal linear denoising autoencoder: top generalised eigenvectors of C C^T v = mu M v.

    The noise enters through C and M alone (arXiv 2402.11337). With C = M = S, principal components.

    Returns: scores mu ``(D,)``, descending, and V ``(D, D)`` with V^T M V = I. With K columns the least loss is
    tr S less the first K scores.
    """
    return generalised(cross @ cross.T, noisy)


def guided(second: Tensor, labels: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Reconstruction guided by labels: least |W^T V^T x - y|^2 + weight |Z^T V^T x - x|^2 (arXiv 2402.11337).

    Shapes: labels ``(D, K)`` E[x y^T] -> scores ``(D,)``, V ``(D, D)`` with V^T S V = I. weight -> infinity gives
    principal components; 0 the supervised solution.
    """
    return generalised(labels @ labels.T + weight * second @ second, second)


def joint_embedding(second: Tensor, noise: Noise, shape: Shape) -> tuple[Tensor, Tensor]:
    """Invariance across views, embeddings whitened (arXiv 2505.12477): top of E[t]E[t]^T against E[t t^T].

    Returns: scores omega ``(D,)`` in 0..1 and V ``(D, D)``.

    Raises: UserError if the views are all alike: every order of components is then as good as any other.
    """
    noisy = noise.second_map(second, shape)
    mean = noise.mean_map(noise.mean_map(second, shape).T, shape)
    if torch.allclose(mean, noisy, rtol=1e-9, atol=1e-12):
        raise UserError("without noise all views are alike: the order of a joint embedding is undefined")
    return generalised(mean, noisy)


def generalised(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions of L v = mu R v, mu descending, V^T R V = I. Shapes: ``(D, D)`` both, R positive definite."""
    factor = torch.linalg.cholesky(right)
    half = torch.linalg.solve_triangular(factor, left, upper=False)
    inner = torch.linalg.solve_triangular(factor, half.T, upper=False)
    scores, vectors = torch.linalg.eigh((inner + inner.T) / 2)
    return scores.flip(0), torch.linalg.solve_triangular(factor.T, vectors.flip(1), upper=True)
