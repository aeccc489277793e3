"""Multiplicative noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.strength import Strength, draw, mean_square


class Speckle(Noise):
    """``speckle(sigma)``: every pixel and channel times 1 + sigma * (independent normal noise)."""

    sigma: Strength

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        return noise.mul_(draw(self.sigma, images, generator).to(images.dtype)).add_(1).mul_(images)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`: the diagonal grows by E[sigma^2]."""
        return matrix + mean_square(self.sigma) * torch.diag(matrix.diagonal())
