"""Stationary noise with a spectrum given ring by ring."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ssl_bench.noise.stationary import Stationary, ring_index
from ssl_bench.noise.strength import STRONGEST, Strength

Power = Annotated[float, Field(ge=0, le=STRONGEST**2)]


class Spectrum(Stationary):
    """``spectrum(gains=[...])``: the noise's variance a Fourier coefficient, in rings of equal width up to 0.5.

    In units of the standardised image, whose coefficients have mean power 1 with an orthonormal transform; the last
    ring holds the corners of the plane. ``sigma`` (default 1) scales the noise. ``file`` names a JSON list instead,
    which is read at once: what is recorded of a run is the gains.
    """

    sigma: Strength = 1.0
    gains: tuple[Power, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or "file" not in given:
            if isinstance(given, Mapping) and "gains" not in given:
                raise ValueError("give either gains=[...] or file=...")
            return given
        if "gains" in given:
            raise ValueError("give either gains=[...] or file=...")
        file = given["file"]
        try:
            if not Path(str(file)).is_file():  # a pipe or a device may never end
                raise ValueError("there is no such file")
            values = json.loads(Path(str(file)).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{file} is no JSON list of numbers: {error}") from error
        if not isinstance(values, list):
            raise ValueError(f"{file} is no JSON list of numbers")
        return {**{key: value for key, value in given.items() if key != "file"}, "gains": values}

    def power(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.power`; here it is absolute."""
        return torch.tensor(self.gains, dtype=torch.float64)[ring_index(height, width, len(self.gains))]

    def gain(self, height: int, width: int) -> Tensor:
        """See :meth:`Stationary.gain`: not rescaled, as the gains say how strong the noise is."""
        return self.power(height, width).sqrt()
