"""Noises made of noises: one after another, one or another, one turning into another."""

from __future__ import annotations

from typing import Annotated, Any, Self

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from torch import Generator, Tensor

from ssl_bench.data.images import ImageData
from ssl_bench.noise import from_spec, make_noise
from ssl_bench.noise.base import Noise, Shape
from ssl_bench.noise.strength import STRONGEST
from ssl_bench.spec import Spec


def _part(value: Any) -> Any:
    if isinstance(value, str):
        return make_noise(value)
    return from_spec(value) if isinstance(value, Spec) else value


Part = Annotated[SerializeAsAny[Noise], BeforeValidator(_part)]


class Compose(Noise):
    """``compose(parts=[...])``: one noise after another, in the order given."""

    parts: tuple[Part, ...] = Field(min_length=1)

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`."""
        return self.model_copy(update={"parts": tuple(part.prepare(data) for part in self.parts)})

    def at(self, progress: float) -> Self:
        """See :meth:`Noise.at`."""
        return self.model_copy(update={"parts": tuple(part.at(progress) for part in self.parts)})

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        for part in self.parts:
            images = part.sample(images, generator)
        return images

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        for part in self.parts:
            matrix = part.mean_map(matrix, shape)
        return matrix

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        for part in self.parts:
            matrix = part.second_map(matrix, shape)
        return matrix


class Mixture(Noise):
    """``mixture(parts=[...], weights=[...])``: each image gets one part, by chance; equal by default."""

    parts: tuple[Part, ...] = Field(min_length=1)
    weights: tuple[Annotated[float, Field(ge=0, le=STRONGEST**2)], ...] | None = None

    @model_validator(mode="after")
    def _one_weight_a_part(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.parts):
            raise ValueError(f"{len(self.parts)} parts but {len(self.weights)} weights")
        if self.weights is not None and sum(self.weights) == 0:
            raise ValueError("the weights are all zero")
        return self

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`."""
        return self.model_copy(update={"parts": tuple(part.prepare(data) for part in self.parts)})

    def at(self, progress: float) -> Self:
        """See :meth:`Noise.at`."""
        return self.model_copy(update={"parts": tuple(part.at(progress) for part in self.parts)})

    def shares(self) -> list[float]:
        """The probability of each part."""
        weights = self.weights or (1.0,) * len(self.parts)
        return [weight / sum(weights) for weight in weights]

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`. Every part is drawn for every image and one kept: no host waits for a device."""
        chance = torch.rand((len(images), 1, 1, 1), generator=generator, device=images.device)
        below = 0.0
        chosen = images
        for part, share in zip(self.parts, self.shares(), strict=True):
            mine = (chance >= below) & (chance < below + share + 1e-7)
            chosen = torch.where(mine, part.sample(images, generator), chosen)
            below += share
        return chosen

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        maps = [share * part.mean_map(matrix, shape) for part, share in zip(self.parts, self.shares(), strict=True)]
        return torch.stack(maps).sum(0)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        maps = [share * part.second_map(matrix, shape) for part, share in zip(self.parts, self.shares(), strict=True)]
        return torch.stack(maps).sum(0)


class Schedule(Noise):
    """``schedule(from=..., to=...)``: starts as one noise and ends as another (Geras and Sutton, arXiv 1406.3269).

    In between each image gets the later one with a probability equal to the progress of training. Before training
    has a progress, and for theory, it is the noise it ends as.
    """

    start: Part = Field(alias="from")
    end: Part = Field(alias="to")

    def prepare(self, data: ImageData) -> Self:
        """See :meth:`Noise.prepare`."""
        return self.model_copy(update={"start": self.start.prepare(data), "end": self.end.prepare(data)})

    def at(self, progress: float) -> Noise:
        """See :meth:`Noise.at`."""
        parts = (self.start.at(progress), self.end.at(progress))
        return Mixture(parts=parts, weights=(1 - progress, progress))

    def sample(self, images: Tensor, generator: Generator) -> Tensor:
        """See :meth:`Noise.sample`."""
        return self.end.sample(images, generator)

    def mean_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.mean_map`."""
        return self.end.mean_map(matrix, shape)

    def second_map(self, matrix: Tensor, shape: Shape) -> Tensor:
        """See :meth:`Noise.second_map`."""
        return self.end.second_map(matrix, shape)
