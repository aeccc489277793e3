"""White noise through a filter: what all stationary noises share."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Generator, Tensor

from ssl_bench.data.frequency import ring_of
from ssl_bench.errors import UserError
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.placed import placed
from ssl_bench.noise.strength import Strength, draw, mean_square


class Stationary(Noise):
    """Additive noise with a power spectrum, independent in each channel; variance ``sigma``^2 a pixel."""

    sigma: Strength

    @abstractmethod
    def power(self, height: int, width: int) -> Tensor:
        """The power spectrum up to scale, on the half plane of ``rfft2``. Shapes: ``(H, W // 2 + 1)``, float64."""

    def gain(self, height: int, width: int) -> Tensor:
        """The filter from white noise of unit variance to this noise at ``sigma`` = 1."""
        return unit_gain(self.power(height, width), width)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        white = torch.randn(images.shape, generator=generator, device=images.device, dtype=torch.float32)
        gain = placed(self.gain, height, width, images.device)
        shaped: Tensor = torch.fft.irfft2(torch.fft.rfft2(white).mul_(gain), s=(height, width))
        return shaped.mul_(draw(self.sigma, images, generator)).to(images.dtype).add_(images)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`: the covariance of the noise is added."""
        channels, height, width = shape
        plane = mean_square(self.sigma) * circulant(self.gain(height, width).square(), height, width)
        return matrix + torch.kron(torch.eye(channels, dtype=torch.float64), plane)


def ring_index(height: int, width: int, rings: int) -> Tensor:
    """The ring of each frequency of ``rfft2``: equal widths up to 0.5, the last with the corners of the plane.

    Shapes: ``(H, W // 2 + 1)``, int64.

    Raises: UserError if some ring holds no frequency of this size.
    """
    index = ring_of(height, width, rings)
    held = int((torch.bincount(index.flatten(), minlength=rings) > 0).sum())
    if held < rings:
        raise UserError(f"spectrum: {rings} gains, but at {height} pixels only {held} such rings hold a frequency")
    return index


def unit_gain(power: Tensor, width: int) -> Tensor:
    """The filter that gives white noise of unit variance this power spectrum, scaled to unit variance a pixel.

    By Parseval the mean of the squared filter over the *full* plane is one; columns that stand for their mirror image
    too count twice.

    Shapes: power ``(H, W // 2 + 1)``, any scale -> the same, float64. All zero where there is no power.
    """
    twice = torch.full((power.shape[1],), 2.0, dtype=torch.float64)
    twice[0] = 1.0
    if width % 2 == 0:
        twice[-1] = 1.0
    mean = (power * twice).sum() / (power.shape[0] * width)
    return torch.sqrt(power / mean) if mean > 0 else torch.zeros_like(power)


def circulant(transfer: Tensor, height: int, width: int) -> Tensor:
    """The matrix of a filter on one channel, with periodic borders.

    Shapes: transfer ``(H, W // 2 + 1)``, real -> ``(H W, H W)`` float64.
    """
    kernel = torch.fft.irfft2(transfer.double(), s=(height, width))
    rows, columns = torch.arange(height), torch.arange(width)
    down = (rows[:, None] - rows[None, :]) % height
    right = (columns[:, None] - columns[None, :]) % width
    full: Tensor = kernel[down[:, None, :, None], right[None, :, None, :]]
    return full.reshape(height * width, height * width)
