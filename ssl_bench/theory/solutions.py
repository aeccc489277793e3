"""Optimal linear encoders, from second moments. Columns of a solution are ordered, best first.

Notation: S = E[x x^T]; C = E[noisy x^T]; M = E[noisy noisy^T]; all ``(D, D)`` float64.
"""

from __future__ import annotations

import torch
from scipy.linalg import eigh
from torch import Tensor

from ssl_bench.errors import UserError
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.targets.base import Target

# Added to a singular second moment, relative to its mean diagonal.
RIDGE = 1e-9


def denoising(
    cross: Tensor, noisy: Tensor, weight: Tensor | None = None, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """The optimal linear denoising autoencoder: top generalised eigenvectors of C W C^T v = mu M v.

    The noise enters through C and M alone (arXiv 2402.11337), a target A x through W = A^T A: least
    E|A x - Z V^T noisy|^2. With C = M = S and W = 1, principal components.

    Args:
        cross: C ``(D, D)``.
        noisy: M ``(D, D)``.
        weight: W ``(D, D)``; the identity by default.
        count: How many solutions; all by default.

    Returns: scores mu ``(K,)``, descending, and V ``(D, K)`` with V^T M V = I. With K columns the least loss is
    tr W S less the first K scores.
    """
    return generalised(cross @ cross.T if weight is None else cross @ weight @ cross.T, noisy, count)


def diagonal_order(variances: Tensor, noise: Noise | None, target: Target | None, components: Tensor) -> Tensor | None:
    """The order of principal components in the solution, where noise and target are diagonal in them: no eigenproblem.

    Scores w (m l)^2 / (second moment), l the variance, m = E[T] of the noise; equal ones keep their order.

    Shapes: variances ``(R,)`` descending, components ``(D, R)`` -> ``(R,)`` int64, or ``None`` if not diagonal.
    """
    scores = variances
    if noise is not None:
        found = noise.diagonal(variances, components)
        if found is None:
            return None
        mean, second = found
        scores = torch.where(second > 0, (mean * variances).square() / second.clamp(min=1e-300), 0.0)
    if target is not None:
        weights = target.diagonal(variances, components)
        if weights is None:
            return None
        scores = scores * weights
    return scores.sort(descending=True, stable=True).indices


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


def generalised(left: Tensor, right: Tensor, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Solutions of L v = mu R v, mu descending, V^T R V = I. Shapes: ``(D, D)`` both.

    Where R is singular (a noise that removes a direction altogether), L must vanish too, and a trace of R's mean is
    added to its diagonal: the direction then comes last.

    ``count``: only the largest ones, -> ``(K,)``, ``(D, K)``; about half the time where they are few.
    """
    factor, failed = torch.linalg.cholesky_ex(right)
    if failed:
        factor = torch.linalg.cholesky(right + RIDGE * right.diagonal().mean() * torch.eye(len(right)))
    half = torch.linalg.solve_triangular(factor, left, upper=False)
    inner = torch.linalg.solve_triangular(factor, half.T, upper=False)
    scores, vectors = _top((inner + inner.T) / 2, count)
    return scores, torch.linalg.solve_triangular(factor.T, vectors, upper=True)


def _top(matrix: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Largest eigenvalues, descending, and their vectors."""
    dimension = len(matrix)
    if count is None or 2 * count > dimension:
        values, vectors = torch.linalg.eigh(matrix)
        kept = dimension if count is None else count
        return values.flip(0)[:kept], vectors.flip(1)[:, :kept]
    few, columns = eigh(
        matrix.numpy(), subset_by_index=[dimension - count, dimension - 1], driver="evr", check_finite=False
    )
    return torch.from_numpy(few).flip(0), torch.from_numpy(columns).flip(1)
