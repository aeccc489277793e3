"""White Gaussian noise."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise


class Gaussian(Noise):
    """``gaussian(sigma)``: independent normal noise of standard deviation ``sigma`` on every pixel and channel."""

    sigma: float = Field(ge=0)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
        return images + self.sigma * noise
