"""Soft choice of the K largest: what makes the alignment of K dimensions differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

# Width of the border between kept and dropped, in units of the logarithm of a score. A design that only just puts a
# direction over the border is worth half of it; one that puts it a factor e^2 beyond, nearly all.
TEMPERATURE = 0.5


def soft_top(scores: Tensor, count: int) -> Tensor:
    """A share of 0 to 1 for each score, which add up to ``count``: sigmoid((log s - border) / T).

    Shapes: scores ``(..., R)``, at least 0 -> the same.
    """
    logs = scores.clamp(min=1e-300).log() / TEMPERATURE
    low, high = logs.min(-1, keepdim=True).values - 40, logs.max(-1, keepdim=True).values + 40
    for _ in range(80):
        middle = (low + high) / 2
        too_many = torch.sigmoid(logs - middle).sum(-1, keepdim=True) > count
        low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
    return torch.sigmoid(logs - (low + high) / 2)


class _SoftProjector(torch.autograd.Function):
    """f(H) for symmetric positive H, f = :func:`soft_top` of its eigenvalues; differentiated by Daleckii and Krein.

    Unlike the gradient through eigenvectors this one is finite where eigenvalues meet.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, count: int) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        shares = soft_top(values, count)
        ctx.save_for_backward(values, vectors, shares)
        projector: Tensor = (vectors * shares) @ vectors.T
        return projector

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, vectors, shares = ctx.saved_tensors
        inner = vectors.T @ gradients[0] @ vectors
        slope = shares * (1 - shares) / TEMPERATURE / values.clamp(min=1e-300)
        gap = values[:, None] - values[None, :]
        close = gap.abs() <= 1e-9 * values.abs().max()
        quotient = torch.where(
            close, slope[:, None], (shares[:, None] - shares[None, :]) / torch.where(close, 1.0, gap)
        )
        # The border moves with the eigenvalues so that the shares keep their sum.
        weight = shares * (1 - shares)
        moved = slope * (weight @ inner.diagonal()) / weight.sum().clamp(min=1e-300)
        return vectors @ (quotient * inner - torch.diag(moved)) @ vectors.T, None


def soft_projector(matrix: Tensor, count: int) -> Tensor:
    """Soft projector on the ``count`` largest eigenvectors; its trace is ``count``. Shapes: ``(R, R)`` to the same."""
    projector: Tensor = _SoftProjector.apply(matrix, count)
    return projector
