"""Random patch masking."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.noise.base import Shape
from ssl_bench.noise.masking import Masking
from ssl_bench.noise.strength import Ratio, draw, kept


class Mask(Masking):
    """``mask(ratio, patch)``: whole patches of ``patch`` x ``patch`` pixels, all channels, set to zero.

    The patches tile the image from its upper left corner (the last row and column are cut where the image ends); each
    is dropped with probability ``ratio``, independently. Zero is the mean of a standardised image.
    """

    ratio: Ratio
    patch: int = Field(ge=1, le=LARGEST_IMAGE)

    def keep(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Masking.keep`."""
        batch, _, height, width = images.shape
        grid = (batch, 1, -(-height // self.patch), -(-width // self.patch))
        chance = torch.rand(grid, generator=generator, device=images.device)
        stays = chance >= draw(self.ratio, images, generator)
        full = stays.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        return full[..., :height, :width]

    def mask_moments(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """See :meth:`Masking.mask_moments`."""
        channels, height, width = shape
        rows, columns = torch.arange(height) // self.patch, torch.arange(width) // self.patch
        patch = (rows[:, None] * width + columns[None, :]).flatten().repeat(channels)
        one, two = kept(self.ratio)
        together = torch.where(patch[:, None] == patch[None, :], one, two).double()
        return torch.full((len(patch),), one, dtype=torch.float64), together


class ChannelMask(Masking):
    """``channel_mask(ratio)``: whole channels set to zero, each with probability ``ratio``, independently."""

    ratio: Ratio

    def keep(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Masking.keep`."""
        chance = torch.rand((*images.shape[:2], 1, 1), generator=generator, device=images.device)
        return chance >= draw(self.ratio, images, generator)

    def mask_moments(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """See :meth:`Masking.mask_moments`."""
        channel = torch.arange(shape[0]).repeat_interleave(shape[1] * shape[2])
        one, two = kept(self.ratio)
        together = torch.where(channel[:, None] == channel[None, :], one, two).double()
        return torch.full((len(channel),), one, dtype=torch.float64), together


class BlockMask(Masking):
    """``block_mask(size)``: one square of ``size`` of the side, all channels, at a uniform place, zero."""

    size: float = Field(gt=0, le=1)

    def keep(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Masking.keep`."""
        batch, _, height, width = images.shape
        inside = []
        for side in (height, width):
            block = self._block(side)
            start = torch.randint(side - block + 1, (batch, 1), generator=generator, device=images.device)
            place = torch.arange(side, device=images.device)
            inside.append((place >= start) & (place < start + block))
        return ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])

    def mask_moments(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """See :meth:`Masking.mask_moments`: rows and columns of the block are independent."""
        channels, height, width = shape
        rows, columns = self._inside(height), self._inside(width)
        hidden = torch.kron(rows.diagonal(), columns.diagonal()).repeat(channels)
        both = torch.kron(rows, columns).repeat(channels, channels)
        return 1 - hidden, 1 - hidden[:, None] - hidden[None, :] + both

    def _block(self, side: int) -> int:
        return max(1, round(self.size * side))

    def _inside(self, side: int) -> Tensor:
        """Probability that two places are both in the block, on one axis. Shapes: ``(side, side)``."""
        block = self._block(side)
        starts = torch.arange(side - block + 1)[:, None]
        place = torch.arange(side)[None, :]
        hit = ((place >= starts) & (place < starts + block)).double()
        return hit.T @ hit / len(starts)
