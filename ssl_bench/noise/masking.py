"""What all masks share: a random 0/1 field times the image."""

from __future__ import annotations

from abc import abstractmethod

from torch import Generator, Tensor

from ssl_bench.noise.base import Noise, Shape


class Masking(Noise):
    """Pixels are set to zero, the mean of a standardised image, where a random mask says so."""

    @abstractmethod
    def keep(self, images: Tensor, generator: Generator) -> Tensor:
        """What stays: 0 or 1, one draw an image. Shapes: images ``(B, C, H, W)`` -> broadcastable to it."""

    @abstractmethod
    def mask_moments(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """E[m] and E[m m^T] of the flattened mask. Shapes: ``(D,)``, ``(D, D)``, float64."""

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        return images * self.keep(images, generator).to(images.dtype)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        return self.mask_moments(shape)[0][:, None] * matrix

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        return self.mask_moments(shape)[1] * matrix
