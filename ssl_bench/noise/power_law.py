"""Stationary noise with a power-law spectrum: white, pink, brown, blue, violet."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.noise.stationary import Stationary


class PowerLaw(Stationary):
    """``power_law(alpha, sigma)``: power spectrum proportional to f^-alpha, variance ``sigma``^2 a pixel.

    f is the radial frequency in cycles per pixel; no power at f = 0; channels are independent. alpha = 0 is white, 1
    pink, 2 brown, -1 blue, -2 violet; a large alpha leaves only the lowest frequencies.
    """

    alpha: float = Field(ge=-50, le=50)

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`."""
        frequency = radial_frequency(height, width)
        # Relative to the lowest frequency, so that no power overflows.
        relative = torch.where(frequency > 0, frequency * max(height, width), torch.inf)
        return torch.where(frequency > 0, relative.pow(-self.alpha), 0.0)
