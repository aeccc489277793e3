"""Random patch masking."""

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise


class Mask(Noise):
    """``mask(ratio, patch)``: whole patches of ``patch`` x ``patch`` pixels, all channels, set to zero.

    The patches tile the image from its upper left corner (the last row and column are cut where the image ends); each
    is dropped with probability ``ratio``, independently. Zero is the mean of a standardised image.
    """

    ratio: float = Field(ge=0, le=1)
    patch: int = Field(ge=1)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        batch, _, height, width = images.shape
        grid = (batch, 1, -(-height // self.patch), -(-width // self.patch))
        keep = torch.rand(grid, generator=generator, device=images.device) >= self.ratio
        full = keep.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        return images * full[..., :height, :width].to(images.dtype)
