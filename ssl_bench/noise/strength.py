"""A strength that is a number, or drawn anew for each image from a range."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor


def _ordered(value: float | tuple[float, float]) -> float | tuple[float, float]:
    if isinstance(value, tuple) and value[0] > value[1]:
        raise ValueError(f"the range ({value[0]:g}, {value[1]:g}) goes down")
    return value


# Deviations of the image's own: far more than can be told from infinity in float32 once it is squared and summed.
STRONGEST = 1e6

_Positive = Annotated[float, Field(ge=0, le=STRONGEST)]
_Probability = Annotated[float, Field(ge=0, le=1)]

# A number, or (low, high): uniform in that range, one draw an image.
Strength = Annotated[_Positive | tuple[_Positive, _Positive], AfterValidator(_ordered)]
Ratio = Annotated[_Probability | tuple[_Probability, _Probability], AfterValidator(_ordered)]


def draw(strength: float | tuple[float, float], images: Tensor, generator: Generator) -> Tensor:
    """One value an image. Shapes: images ``(B, C, H, W)`` -> ``(B, 1, 1, 1)``."""
    shape = (len(images), 1, 1, 1)
    if isinstance(strength, tuple):
        low, high = strength
        return low + (high - low) * torch.rand(shape, generator=generator, device=images.device)
    return torch.full(shape, strength, device=images.device)


def mean_square(strength: float | tuple[float, float]) -> float:
    """E[s^2] over the draw."""
    low, high = strength if isinstance(strength, tuple) else (strength, strength)
    return (low * low + low * high + high * high) / 3


def mean(strength: float | tuple[float, float]) -> float:
    """E[s] over the draw."""
    return sum(strength) / 2 if isinstance(strength, tuple) else strength


def kept(ratio: float | tuple[float, float]) -> tuple[float, float]:
    """E[1 - r] and E[(1 - r)^2]: the chance that one place, and that two independent ones, stay."""
    low, high = ratio if isinstance(ratio, tuple) else (ratio, ratio)
    return 1 - mean(ratio), mean_square((1 - high, 1 - low))
