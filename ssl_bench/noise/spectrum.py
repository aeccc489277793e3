"""Stationary noise with a spectrum given ring by ring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ssl_bench.noise.stationary import Stationary, ring_index
from ssl_bench.noise.strength import Strength

Power = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Spectrum(Stationary):
    """``spectrum(gains=[...])``: the noise's variance a Fourier coefficient, in rings of equal width up to 0.5.

    In units of the standardised image, whose coefficients have mean power 1 with an orthonormal transform; the last
    ring holds the corners of the plane. ``sigma`` (default 1) scales the noise. ``file`` names a JSON list instead.
    """

    sigma: Strength = 1.0
    gains: tuple[Power, ...] | None = Field(None, min_length=1)
    file: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.gains is None) == (self.file is None):
            raise ValueError("give either gains=[...] or file=...")
        if self.file is not None:
            self._read()
        return self

    def _read(self) -> list[float]:
        try:
            values = json.loads(Path(str(self.file)).read_text(encoding="utf-8"))
            return [float(value) for value in values]
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{self.file} is no JSON list of numbers: {error}") from error

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`; here it is absolute."""
        gains = torch.tensor(self.gains if self.gains is not None else self._read(), dtype=torch.float64)
        return gains[ring_index(height, width, len(gains))]

    def gain(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.gain`: not rescaled, as the gains say how strong the noise is."""
        return self.power(height, width).sqrt()
