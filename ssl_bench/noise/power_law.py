"""Stationary noise with a power-law spectrum: white, pink, brown, blue, violet."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise
from ssl_bench.noise.stationary import radial_frequency, sample_stationary, unit_gain


class PowerLaw(Noise):
    """``power_law(alpha, sigma)``: power spectrum proportional to f^-alpha, variance ``sigma``^2 a pixel.

    f is the radial frequency in cycles per pixel; no power at f = 0; channels are independent. alpha = 0 is white, 1
    pink, 2 brown, -1 blue, -2 violet; a large alpha leaves only the lowest frequencies.
    """

    alpha: float = Field(allow_inf_nan=False)
    sigma: float = Field(ge=0, allow_inf_nan=False)

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        frequency = radial_frequency(height, width)
        power = torch.where(frequency > 0, frequency, torch.inf).pow(-self.alpha)
        power[0, 0] = 0.0
        return sample_stationary(images, unit_gain(power, width), self.sigma, generator)
