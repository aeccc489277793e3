"""Stationary noise in one ring of frequencies, or in all but one."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator
from torch import Tensor

from ssl_bench.data.frequency import radial_frequency
from ssl_bench.noise.stationary import Stationary


class Band(Stationary):
    """``band(low, high, sigma)``: equal power at all frequencies between two, variance ``sigma``^2 a pixel.

    Frequencies are radial, in cycles per pixel, 0 to 0.5, both ends included; f = 0 never has power. Where no
    frequency of the image size lies in the band there is no noise.
    """

    low: float = Field(ge=0, le=0.5)
    high: float = Field(ge=0, le=0.5)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low:g} is above high={self.high:g}")
        return self

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`."""
        frequency = radial_frequency(height, width)
        inside = (frequency >= self.low - 1e-9) & (frequency <= self.high + 1e-9)
        return (inside & (frequency > 0)).double()


class Notch(Band):
    """``notch(low, high, sigma)``: equal power at all frequencies but those from ``low`` to ``high``, and f = 0."""

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`."""
        return (1 - super().power(height, width)) * (radial_frequency(height, width) > 0)
