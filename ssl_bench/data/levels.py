"""Images of any real values as the uint8 that every dataset in memory is: one affine map, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# At most this share of the values, the outermost, is clipped in favour of finer levels for the rest: for projected
# CIFAR-10, where the sum of both errors is smallest, or nearly.
CLIPPED_SHARE = 1e-5
BINS = 2**16
CHUNK_VALUES = 2**22


@dataclass(frozen=True)
class Levels:
    """The map to grey levels: ``low`` is 0 and ``high`` is 255; what lies outside is clipped."""

    low: float
    high: float

    def quantise(self, values: Tensor) -> Tensor:
        """The nearest levels. Shapes: any to the same, uint8."""
        return ((values - self.low) * (255 / (self.high - self.low))).round().clamp(0, 255).to(torch.uint8)

    def restore(self, levels: Tensor) -> Tensor:
        """The values that levels stand for. Shapes: any uint8 to the same, float32."""
        return levels.float() * ((self.high - self.low) / 255) + self.low

    def clips(self, values: Tensor) -> Tensor:
        """Which values lie outside. Shapes: any to the same, bool."""
        return (values < self.low) | (values > self.high)


@dataclass(frozen=True)
class Stored:
    """Images as grey levels, uint8 ``(N, D)``.

    ``noise`` is the squared error of that, clipping included, as a share of the values' squares; ``clipped`` the share
    of the values that lay outside.
    """

    images: Tensor
    noise: float
    clipped: float


def choose_levels(values: Tensor) -> Levels:
    """Ends between which all but :data:`CLIPPED_SHARE` of the values lie, half of the others on either side.

    Shapes: float32 ``(N, D)``, not all equal.
    """
    least, most = float(values.min()), float(values.max())
    counts = torch.zeros(BINS, dtype=torch.float64)
    for part in chunks(values):
        counts += torch.histc(part, BINS, least, most).double()
    allowed = CLIPPED_SHARE / 2 * values.numel()
    below, above = int((counts.cumsum(0) <= allowed).sum()), int((counts.flip(0).cumsum(0) <= allowed).sum())
    width = (most - least) / BINS
    return Levels(least + below * width, most - above * width)


def store(values: Tensor, levels: Levels) -> Stored:
    """Values as grey levels, and what is lost by it. Shapes: float32 ``(N, D)``."""
    images = torch.empty(values.shape, dtype=torch.uint8)
    error = energy = 0.0
    clipped = 0
    for part, target in zip(chunks(values), chunks(images), strict=True):
        target.copy_(levels.quantise(part))
        error += float((levels.restore(target) - part).double().square().sum())
        energy += float(part.double().square().sum())
        clipped += int(levels.clips(part).sum())
    return Stored(images, error / energy if energy > 0 else 0.0, clipped / values.numel())


def chunks(images: Tensor) -> Iterator[Tensor]:
    """A few images at a time, as views of the whole: what is computed of them stays small.

    Shapes: ``(N, ...)`` -> ``(n, ...)`` each.
    """
    yield from torch.split(images, max(1, CHUNK_VALUES // images[0].numel()))
