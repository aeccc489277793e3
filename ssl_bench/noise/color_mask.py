"""Masks from thresholded filtered noise."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from scipy.special import ndtri, owens_t
from torch import Generator, Tensor

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.noise.base import Shape
from ssl_bench.noise.masking import Masking
from ssl_bench.noise.placed import placed
from ssl_bench.noise.stationary import circulant, unit_gain

# Pass bands in cycles per pixel, after ColorMAE (arXiv 2407.13036): red keeps the low, blue the high, green the middle
# frequencies of the noise, purple all but the middle.
SPLIT_LOW, SPLIT_HIGH = 0.08, 0.2


class ColorMask(Masking):
    """``color_mask(color, ratio)``: hide where filtered Gaussian noise is below its ``ratio`` quantile.

    red (low frequencies: large blobs), green (middle), blue (high: fine grain), purple (low and high). The threshold
    is that of the distribution, so the hidden share of one image scatters around ``ratio``. All channels together.
    """

    color: Literal["red", "green", "blue", "purple"]
    ratio: float = Field(gt=0, lt=1)

    def gain(self, height: int, width: int) -> Tensor:
        """The filter of the noise. Shapes: ``(H, W // 2 + 1)``, float64."""
        frequency = radial_frequency(height, width)
        # The lowest frequency an image has is always low: a small one has none below the split.
        low, high = frequency <= max(SPLIT_LOW, 1 / max(height, width)), frequency >= SPLIT_HIGH
        middle = (frequency > SPLIT_LOW) & ~high
        passed = {"red": low, "blue": high, "green": middle, "purple": low | high}[self.color]
        return unit_gain((passed & (frequency > 0)).double(), width)

    def keep(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Masking.keep`."""
        batch, _, height, width = images.shape
        white = torch.randn((batch, 1, height, width), generator=generator, device=images.device)
        gain = placed(self.gain, height, width, images.device)
        field: Tensor = torch.fft.irfft2(torch.fft.rfft2(white).mul_(gain), s=(height, width))
        return field >= float(ndtri(self.ratio))

    def mask_moments(self, shape: Shape) -> tuple[Tensor, Tensor]:
        """See :meth:`Masking.mask_moments`: the bivariate normal orthant probability, by Owen's T function.

        P(both kept) for equal thresholds t and correlation r is 1 - Phi(t) - 2 T(t, sqrt((1 - r) / (1 + r))).
        """
        channels, height, width = shape
        correlation = circulant(self.gain(height, width).square(), height, width).clamp(-1, 1)
        slope = ((1 - correlation) / (1 + correlation).clamp(min=1e-300)).sqrt()
        both = 1 - self.ratio - 2 * torch.from_numpy(owens_t(float(ndtri(self.ratio)), slope.numpy()))
        return (
            torch.full((channels * height * width,), 1 - self.ratio, dtype=torch.float64),
            both.repeat(channels, channels),
        )
