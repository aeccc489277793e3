"""Images altered within a band, and what an encoder and a probe that were not trained on such images make of them.

A probe is frozen: it was fitted to the embeddings of clean images. What it says of filtered images is therefore about
images it never saw the like of; it shows what an encoder relies on, not what could be read with a probe of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ssl_bench.spectrum.bases import Basis

Kept = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Altered:
    """An encoder, a frozen probe, and the test images to alter; what was encoded is kept for further questions.

    Shapes: images ``(A, C, H, W)`` standardised, labels ``(A,)``, embedding ``(A, D)`` of the images as they are.
    ``encode`` maps images to embeddings, ``scores`` embeddings to scores ``(A, K)``. ``spread`` is the root of the
    embedding's total variance, ``norm`` that of what is added to an image.
    """

    images: Tensor
    labels: Tensor
    embedding: Tensor
    encode: Callable[[Tensor], Tensor]
    scores: Callable[[Tensor], Tensor]
    spread: float
    norm: float
    _kept: dict[str, Tensor] = field(default_factory=dict)

    def nudged(self, basis: Basis) -> Tensor:
        """Embeddings after a random change of fixed norm within each band. Shapes: -> ``(bands, A, D)``."""
        key = f"{basis.name} nudged"
        if key not in self._kept:
            changes = nudges(basis, len(self.images), self.norm)
            self._kept[key] = torch.stack([self.encode(self.images + change) for change in changes])
        return self._kept[key]

    def accuracies(self, basis: Basis, kept: Kept) -> list[float]:
        """Accuracy of the frozen probe on images of which, for each band, a part of the bands is left.

        Args:
            basis: Where bands are.
            kept: The band numbers and one band to which of them are left, as truth values.
        """
        coefficients = basis.coefficients(self.images)
        return [self._accuracy(basis, coefficients, kept(basis.band_of, index)) for index in range(len(basis.bands))]

    def _accuracy(self, basis: Basis, coefficients: Tensor, left: Tensor) -> float:
        key = f"{basis.name} left " + "".join(str(int(band in basis.band_of[left])) for band in range(len(basis.bands)))
        if key not in self._kept:
            embedding = self.encode(basis.images(coefficients * left))
            self._kept[key] = (self.scores(embedding).argmax(1) == self.labels).double().mean()
        return float(self._kept[key])


def nudges(basis: Basis, count: int, norm: float) -> list[Tensor]:
    """Random changes within each band, each of length ``norm``; the same ones for every encoder.

    Shapes: -> ``bands`` times ``(count, C, H, W)``.
    """
    generator = torch.Generator().manual_seed(0)
    made = []
    for index in range(len(basis.bands)):
        inside = basis.band_of == index
        coefficients = torch.zeros(count, len(basis.band_of))
        coefficients[:, inside] = torch.randn(count, int(inside.sum()), generator=generator)
        change = basis.images(coefficients)
        length = change.flatten(1).norm(dim=1).clamp(min=1e-12)
        made.append(change * (norm / length)[:, None, None, None])
    return made


def displacement(moved: Tensor, embedding: Tensor, spread: float) -> Tensor:
    """Mean distance that embeddings moved, in units of their spread.

    Shapes: ``(..., A, D)``, ``(A, D)`` -> ``(...)``.
    """
    moves = (moved - embedding).double().square().sum(-1).sqrt()
    return moves.mean(-1) / max(spread, 1e-30)


def probe_error(scores: Callable[[Tensor], Tensor], moved: Tensor, labels: Tensor) -> list[float]:
    """Error of a frozen probe on each of several sets of embeddings. Shapes: ``(S, A, D)``, ``(A,)`` -> S numbers."""
    return [float((scores(one).argmax(1) != labels).double().mean()) for one in moved]


def only(band_of: Tensor, index: int) -> Tensor:
    """A band-pass filter: this band alone."""
    return band_of == index


def low(band_of: Tensor, index: int) -> Tensor:
    """A low-pass filter: this band and those before it."""
    return band_of <= index


def high(band_of: Tensor, index: int) -> Tensor:
    """A high-pass filter: this band and those after it."""
    return band_of >= index


def spread_of(embedding: Tensor) -> float:
    """Root of the total variance. Shapes: ``(N, D)``."""
    return float(embedding.double().var(0, correction=0).sum().sqrt())
