"""Smooth curves through noisy bands."""

from __future__ import annotations

import torch
from torch import Tensor


def smoothed(values: Tensor, weights: Tensor, stiffness: float = 1.0) -> Tensor:
    """Whittaker's smoother: least sum of w (z - y)^2 + stiffness (second differences of z)^2. Shapes: ``(n,)``."""
    count = len(values)
    differences = torch.eye(count, dtype=torch.float64).diff(dim=0).diff(dim=0)
    curve: Tensor = torch.linalg.solve(torch.diag(weights) + stiffness * differences.T @ differences, weights * values)
    return curve


def shrunk(values: Tensor, errors: Tensor) -> Tensor:
    """Estimates pulled towards a smooth curve through them, each by how little it is known (empirical Bayes).

    The curve is Whittaker's, weighted by precision; what is left of the scatter about it after the errors are taken
    off is true roughness, which is kept.

    Shapes: values and their standard errors ``(n,)`` -> ``(n,)``.
    """
    precision = 1 / errors.square().clamp(min=1e-300)
    curve = smoothed(values, precision / precision.mean())
    scatter = ((values - curve).square() * precision).mean()
    rough = float(((scatter - 1) / precision.mean()).clamp(min=0))
    share = rough / (rough + errors.square())
    return curve + share * (values - curve)
