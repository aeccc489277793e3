"""Orthogonal splits of image space into ordered bands."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ssl_bench.data.frequency import ring_of
from ssl_bench.data.moments import Eigenbasis, pca_edges


@dataclass(frozen=True)
class Band:
    """One band: component indices, both included (pca), or cycles per pixel (radial)."""

    index: int
    low: float
    high: float


class Basis(Protocol):
    """Image space in ordered bands. Coefficients keep energy: their squares add up to the image's."""

    name: str
    bands: tuple[Band, ...]
    band_of: Tensor

    def coefficients(self, images: Tensor) -> Tensor:
        """Linear coordinates of images. Shapes: ``(N, C, H, W)`` -> ``(N, R)``; ``band_of`` is ``(R,)``."""
        ...

    def images(self, coefficients: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The images of coordinates: what :meth:`coefficients` takes back. Shapes: ``(N, R)`` -> ``(N, C, H, W)``."""
        ...

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """Share of the training images' variance in each band.

        Shapes: fit ``(N, R)``, coefficients of training images less their mean -> ``(bands,)``, float64.
        """
        ...


def band_sums(values: Tensor, basis: Basis) -> Tensor:
    """Sum over each band's coefficients. Shapes: ``(..., R)`` -> ``(..., bands)``, float64."""
    sums = torch.zeros(*values.shape[:-1], len(basis.bands), dtype=torch.float64)
    return sums.index_add_(-1, basis.band_of, values.double())


class PCABasis:
    """Principal components of the training images in index bands, log-spaced, so that band 0 has the most variance."""

    name = "pca"

    def __init__(self, eigenbasis: Eigenbasis, bands: int) -> None:
        self.components = eigenbasis.components.float()
        self.variances = eigenbasis.variances
        edges = pca_edges(eigenbasis.variances.numpy(), bands)
        self.bands = tuple(Band(index, low, high - 1) for index, (low, high) in enumerate(itertools.pairwise(edges)))
        widths = torch.tensor(edges).diff()
        self.band_of = torch.repeat_interleave(torch.arange(len(widths)), widths)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`."""
        return images.flatten(1) @ self.components

    def images(self, coefficients: Tensor, shape: tuple[int, ...]) -> Tensor:
        """See :meth:`Basis.images`; what is outside the span of the components stays zero."""
        return (coefficients @ self.components.T).view(-1, *shape)

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`: from the eigenvalues, of all training images."""
        return band_sums(self.variances / self.variances.sum(), self)


class RadialBasis:
    """Fourier coefficients of each channel in rings of equal width up to 0.5 cycles per pixel.

    The last ring holds the corners of the frequency plane too (up to 0.71); the first holds the mean.
    """

    name = "radial"

    def __init__(self, channels: int, image_size: int, bands: int) -> None:
        edges = np.linspace(0, 0.5, bands + 1)
        high = [*edges[1:-1], float(np.hypot(0.5, 0.5))]
        self.bands = tuple(
            Band(index, float(low), float(top)) for index, (low, top) in enumerate(zip(edges, high, strict=False))
        )
        rows = torch.fft.fftfreq(image_size, dtype=torch.float64)[:, None]
        columns = torch.fft.rfftfreq(image_size, dtype=torch.float64)[None, :]
        ring = ring_of(image_size, image_size, bands)
        self.band_of = ring.flatten().repeat(2 * channels)
        # A real image's other half plane mirrors this one; the columns at 0 and Nyquist are their own mirror.
        own_mirror = (columns == 0) | (columns == 0.5)
        self.weight = torch.where(own_mirror, 1.0, 2.0).sqrt().float()
        # On these columns a frequency and its negative are the same wave, with half of its energy each.
        alone = (rows == 0) | (rows == -0.5)
        real = torch.where(own_mirror & ~alone, 0.5, 1.0)
        imaginary = torch.where(own_mirror, torch.where(alone, 0.0, 0.5), 1.0)
        # Squared length of each coordinate's direction, and the coordinates that say nothing twice.
        self.norms = torch.cat([real.flatten().repeat(channels), imaginary.flatten().repeat(channels)]).double()
        first = ~own_mirror | (rows >= 0) | (rows == -0.5)
        self.independent = torch.cat([first.flatten().repeat(channels)] * 2) & (self.norms > 0)

    def coefficients(self, images: Tensor) -> Tensor:
        """See :meth:`Basis.coefficients`. Real parts of all channels, then imaginary parts."""
        plane = torch.fft.rfft2(images, norm="ortho") * self.weight
        return torch.cat([plane.real.flatten(1), plane.imag.flatten(1)], dim=1)

    def images(self, coefficients: Tensor, shape: tuple[int, ...]) -> Tensor:
        """See :meth:`Basis.images`."""
        half = (len(coefficients), *shape[:-1], shape[-1] // 2 + 1)
        real, imaginary = (part.reshape(half) for part in coefficients.chunk(2, dim=1))
        plane = torch.complex(real, imaginary) / self.weight
        made: Tensor = torch.fft.irfft2(plane, s=shape[-2:], norm="ortho")
        return made

    def variance_fraction(self, fit: Tensor) -> Tensor:
        """See :meth:`Basis.variance_fraction`."""
        energy = band_sums(fit.double().square().mean(0), self)
        return energy / energy.sum()
