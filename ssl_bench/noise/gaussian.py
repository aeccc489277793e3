"""White Gaussian noise."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.strength import Strength, draw, mean_square


class Gaussian(Noise):
    """``gaussian(sigma)``: independent normal noise of standard deviation ``sigma`` on every pixel and channel."""

    sigma: Strength

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        return noise.mul_(draw(self.sigma, images, generator).to(images.dtype)).add_(images)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        return matrix + mean_square(self.sigma) * torch.eye(len(matrix), dtype=matrix.dtype)

    def diagonal(self, variances: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Noise.diagonal`."""
        return torch.ones_like(variances), variances + mean_square(self.sigma)
