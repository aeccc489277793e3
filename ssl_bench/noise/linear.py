"""Fixed linear maps: blur, downsampling, frequency masks."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from ssl_bench.config import LARGEST_IMAGE
from ssl_bench.data.frequency import radial_frequency
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.placed import placed
from ssl_bench.noise.stationary import circulant


class Filter(Noise):
    """Convolution with periodic borders: a real transfer function a frequency."""

    @abstractmethod
    def transfer(self, height: int, width: int) -> Tensor:
        """The factor of each Fourier coefficient. Shapes: ``(H, W // 2 + 1)``, float64."""

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`; nothing is random here."""
        height, width = images.shape[-2:]
        transfer = placed(self.transfer, height, width, images.device)
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(images.float()).mul_(transfer), s=(height, width))
        return filtered.to(images.dtype)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        plane = circulant(self.transfer(*shape[1:]), *shape[1:])
        return (plane @ matrix.reshape(shape[0], len(plane), -1)).reshape(matrix.shape)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        return self.mean_map(self.mean_map(matrix, shape).T, shape)


class Blur(Filter):
    """``blur(sigma)``: Gaussian blur of ``sigma`` pixels, periodic borders."""

    sigma: float = Field(ge=0, le=LARGEST_IMAGE)

    def transfer(self, height: int, width: int) -> Tensor:
        """See :meth:`Filter.transfer`."""
        return torch.exp(-2 * (torch.pi * self.sigma * radial_frequency(height, width)).square())


class FrequencyMask(Noise):
    """``frequency_mask(cutoff, keep)``: only frequencies below (``low``) or from (``high``) a cutoff, cycles per pixel.

    ``either`` draws low or high for each image with equal chance (MFM, arXiv 2206.07706). f = 0 counts as low.
    """

    cutoff: float = Field(ge=0, le=0.5)
    keep: Literal["low", "high", "either"] = "either"

    def low_pass(self, height: int, width: int) -> Tensor:
        """1 for the frequencies below the cutoff, else 0. Shapes: ``(H, W // 2 + 1)``, float64."""
        return (radial_frequency(height, width) < self.cutoff).double()

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        below = placed(self.low_pass, height, width, images.device)
        chance = torch.rand((len(images), 1, 1, 1), generator=generator, device=images.device)
        low = chance < {"low": 2.0, "high": -1.0, "either": 0.5}[self.keep]
        kept = torch.where(low, below, 1 - below)
        filtered: Tensor = torch.fft.irfft2(torch.fft.rfft2(images.float()).mul_(kept), s=(height, width))
        return filtered.to(images.dtype)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        low = self._below(matrix, shape)
        return {"low": low, "high": matrix - low, "either": matrix / 2}[self.keep]

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        right = self._below(matrix.T, shape).T
        low = self._below(right, shape)
        high = matrix - self._below(matrix, shape) - right + low
        return {"low": low, "high": high, "either": (low + high) / 2}[self.keep]

    def _below(self, matrix: Tensor, shape: Shape) -> Tensor:
        plane = circulant(self.low_pass(*shape[1:]), *shape[1:])
        return (plane @ matrix.reshape(shape[0], len(plane), -1)).reshape(matrix.shape)


class Downsample(Noise):
    """``downsample(factor)``: the mean of each ``factor`` x ``factor`` square, in its place. Nothing is random.

    The squares tile the image from its upper left corner; the last ones are cut where the image ends.
    """

    factor: int = Field(ge=1, le=LARGEST_IMAGE)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        small = functional.avg_pool2d(images, self.factor, ceil_mode=True, count_include_pad=False)
        large = small.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)
        return large[..., :height, :width]

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`: the map acts on each column as on an image."""
        columns = matrix.T.reshape(-1, *shape)
        return self.sample(columns, Generator()).reshape(matrix.T.shape).T.contiguous()

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        return self.mean_map(self.mean_map(matrix, shape).T, shape)
