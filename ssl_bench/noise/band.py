"""Stationary noise in one ring of frequencies."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from torch import Generator, Tensor

from ssl_bench.noise.base import Noise
from ssl_bench.noise.stationary import radial_frequency, sample_stationary, unit_gain


class Band(Noise):
    """``band(low, high, sigma)``: equal power at all frequencies between two, variance ``sigma``^2 a pixel.

    Frequencies are radial, in cycles per pixel, 0 to 0.5, both ends included; f = 0 never has power. Where no
    frequency of the image size lies in the band there is no noise.
    """

    low: float = Field(ge=0, le=0.5)
    high: float = Field(ge=0, le=0.5)
    sigma: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low:g} is above high={self.high:g}")
        return self

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        height, width = images.shape[-2:]
        frequency = radial_frequency(height, width)
        inside = (frequency >= self.low - 1e-9) & (frequency <= self.high + 1e-9) & (frequency > 0)
        return sample_stationary(images, unit_gain(inside.double(), width), self.sigma, generator)
