"""Anisotropic stationary noise: stripes."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.noise.stationary import Stationary


class Oriented(Stationary):
    """``oriented(angle, width, alpha, sigma)``: a power law of waves that run within ``width`` degrees of ``angle``.

    ``angle`` is the direction of the wave vector in degrees, 0 along the rows (vertical stripes), 90 down the columns;
    ``width`` is the half-width of the wedge, up to 90, which is isotropic.
    """

    angle: float = Field(ge=-360, le=360)
    width: float = Field(22.5, gt=0, le=90)
    alpha: float = Field(0.0, ge=-50, le=50)

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`."""
        frequency = radial_frequency(height, width)
        rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
        columns = torch.fft.rfftfreq(width, dtype=torch.float64)[None, :]
        turn = (
            torch.remainder(torch.atan2(rows, columns) - math.radians(self.angle) + math.pi / 2, math.pi) - math.pi / 2
        )
        inside = (turn.abs() <= math.radians(self.width) + 1e-9) & (frequency > 0)
        # At the Nyquist column a wave and its mirror image are one coefficient: keep it if either is inside.
        mirrored = inside.roll(-1, 0).flip(0)
        inside = inside | (mirrored & ((columns == 0) | (columns == 0.5)))
        relative = torch.where(frequency > 0, frequency * max(height, width), torch.inf)
        return torch.where(inside, relative.pow(-self.alpha), 0.0)
