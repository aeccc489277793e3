"""Salt and pepper: a share of the pixels is replaced by white or black."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise, Shape


class SaltAndPepper(Noise):
    """``salt_and_pepper(ratio, level)``: each pixel of each channel becomes +level or -level with probability ratio.

    The noisy image is k x + (1 - k) r, with k from {0, 1} and r from {-level, +level} independent in each entry.
    """

    ratio: float = Field(ge=0, le=1)
    level: float = Field(2.0, ge=0, le=1e6)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`: below ratio / 2 pepper, below ratio salt."""
        chance = torch.rand(images.shape, generator=generator, device=images.device)
        grains = torch.where(chance < self.ratio / 2, -self.level, self.level).to(images.dtype)
        return torch.where(chance < self.ratio, grains, images)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`: E[k] = 1 - ratio, and r has mean zero."""
        return (1 - self.ratio) * matrix

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`: (1 - ratio)^2 E[x x^T] off the diagonal; k^2 = k on it, and grains beside."""
        stays, power = 1 - self.ratio, matrix.diagonal()
        return stays**2 * matrix + torch.diag(stays * self.ratio * power + self.ratio * self.level**2)
